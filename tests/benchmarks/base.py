"""How good the starter base is: recognisable, near to real drawings, no copies, fast."""

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inference.catalog import base_spec
from inference.engine import Engine
from inference.messages import ImageRequest, Picture, Result
from tests.benchmarks.concepts import ConceptProbe, learn_concepts
from tests.benchmarks.features import Features, frechet, nearest
from tests.benchmarks.figures import Figure
from training.base.autoencoder import held_out_psnr
from training.base.data import Pictures, read_data
from training.base.recipe import read_recipe

RECIPE = Path("configs/recipes/base-cpu.toml")
STAGES = ("autoencoder", "denoiser", "enlarger")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="work folder of `python -m training.base data`")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--per-concept", type=int, default=4, help="generated pictures per concept")
    parser.add_argument("--guidance", type=float, help="default: the base's own")
    parser.add_argument("--draft-steps", type=int, default=8)


def measure(
    *,
    seed: int,
    say: Callable[[str], None],
    work: Path,
    base: str,
    per_concept: int,
    guidance: float | None,
    draft_steps: int,
) -> list[Figure]:
    """Pictures of 60 everyday concepts in the training styles by turns, against held-out real ones."""
    pictures, features = read_data(work), Features()
    say("learning to name real pictures ...")
    probe = learn_concepts(pictures, features, seed=seed)
    words = [word for word in probe.concepts for _ in range(per_concept)]
    say(f"generating {len(words)} pictures ...")
    made, seconds = generate(pictures, words, base, guidance, None, seed)
    drafts, draft_seconds = generate(pictures, words, base, guidance, draft_steps, seed)
    draft_top5 = probe.hits(features(drafts), words, 5)
    return [
        *_recognised(probe, features(made), words),
        Figure(name=f"probe top-5, drafts of {draft_steps} steps", value=draft_top5, unit="share"),
        Figure(name="autoencoder PSNR, held-out", value=psnr(base, pictures), unit="dB", goal=27),
        Figure(name="seconds per picture at the base's steps", value=seconds, unit="s", goal=1.0, at_most=True),
        Figure(name=f"seconds per draft of {draft_steps} steps", value=draft_seconds, unit="s"),
        *(
            Figure(name=f"training the {stage}", value=training_hours(work / f"{stage}.jsonl"), unit="hours")
            for stage in STAGES
        ),
    ]


def _recognised(probe: ConceptProbe, drawn_ND: torch.Tensor, words: Sequence[str]) -> list[Figure]:
    seen_ND, unseen_ND = probe.seen_ND, probe.unseen_ND
    real_top5, made_top5 = probe.hits(unseen_ND, probe.unseen_words, 5), probe.hits(drawn_ND, words, 5)
    real_top1, made_top1 = probe.hits(unseen_ND, probe.unseen_words, 1), probe.hits(drawn_ND, words, 1)
    return [
        Figure(name="probe top-1, held-out real pictures", value=real_top1, unit="share"),
        Figure(name="probe top-5, held-out real pictures", value=real_top5, unit="share"),
        Figure(name="probe top-1, generated pictures", value=made_top1, unit="share"),
        Figure(name="probe top-5, generated pictures", value=made_top5, unit="share"),
        Figure(name="generated top-5 over real top-5", value=made_top5 / real_top5, unit="ratio", goal=0.70),
        Figure(name="Frechet distance, generated to held-out", value=frechet(drawn_ND, unseen_ND), unit="features"),
        Figure(name="Frechet distance, training to held-out", value=frechet(seen_ND, unseen_ND), unit="features"),
        Figure(name="nearest training picture, drawn, p95", value=_p95(nearest(drawn_ND, seen_ND)), unit="cosine"),
        Figure(
            name="nearest training picture, held-out real, p95", value=_p95(nearest(unseen_ND, seen_ND)), unit="cosine"
        ),
    ]


def generate(
    pictures: Pictures, words: Sequence[str], base: str, guidance: float | None, steps: int | None, seed: int
) -> tuple[np.ndarray, float]:
    """A picture of every word, (N, s, s, 3) uint8, and the seconds that one picture takes when it is alone."""
    spec = base_spec(base)
    names = read_recipe(RECIPE).data.styles
    styles = [names[package] for package in sorted({row["set"] for row in pictures.rows})]
    requests = [
        ImageRequest(
            id=f"{number}",
            base=spec.id,
            prompt=f"{word}, {styles[number % len(styles)]} style",
            seed=seed + number,
            guidance=guidance,
            steps=steps,
        )
        for number, word in enumerate(words)
    ]
    with Engine(spec, max_rows=8, max_waiting=len(words)) as engine:
        engine.submit(requests[0], stop=lambda: None).result()
        began = time.perf_counter()
        engine.submit(requests[1], stop=lambda: None).result()
        seconds = time.perf_counter() - began
        futures = [engine.submit(request, stop=lambda: None) for request in requests]
        made = np.stack([pixels_of(future.result()) for future in futures])
    return made, seconds


def psnr(base: str, pictures: Pictures) -> float:
    """Of the shipped autoencoder (half precision on disk), on held-out pictures, in dB."""
    from diffusers import AutoencoderKL

    network = AutoencoderKL.from_pretrained(base_spec(base).path, subfolder="vae").eval()
    return held_out_psnr(network, pictures, "cpu")


def training_hours(log: Path) -> float:
    """Hours that a stage of the base's training took, from its log; of steps taken twice the later ones count."""
    milliseconds = {}
    for line in log.read_text().splitlines():
        told = json.loads(line)
        milliseconds[told["step"]] = told["ms"]
    taken = sorted(milliseconds)
    return sum((step - before) * milliseconds[step] for before, step in pairwise([0, *taken])) / 3.6e6


def pixels_of(result: Result) -> np.ndarray:
    """(s, s, 3) uint8 of an engine's answer."""
    assert isinstance(result, Picture)
    return np.asarray(Image.open(io.BytesIO(result.png)).convert("RGB"))


def _p95(values: torch.Tensor) -> float:
    return float(values.quantile(0.95))
