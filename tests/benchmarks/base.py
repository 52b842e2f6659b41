"""How good the starter base is: recognisable, near to real drawings, no copies, fast."""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inference.catalog import base_spec
from inference.engine import Engine
from inference.messages import ImageRequest, Picture
from tests.benchmarks.features import Features, frechet, nearest, top_k, train_probe
from tests.benchmarks.figures import Figure
from training.base.autoencoder import held_out_psnr
from training.base.data import Pictures, read_data
from training.base.recipe import read_recipe
from training.base.render import flatten

CONCEPTS = 60
RECIPE = Path("configs/recipes/base-cpu.toml")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="work folder of `python -m training.base data`")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--per-concept", type=int, default=4, help="generated pictures per concept")


def measure(*, seed: int, say: Callable[[str], None], work: Path, base: str, per_concept: int) -> list[Figure]:
    """The probe knows 60 everyday concepts and "something else", so that a blob has a place to go."""
    pictures = read_data(work)
    concepts = everyday_concepts(pictures)
    features = Features()
    say("features of real pictures ...")
    train = _chosen(pictures, concepts, "train")
    held = [number for number in _chosen(pictures, concepts, "held") if pictures.rows[number]["everyday"] in concepts]
    seen, unseen = features(real(pictures, train)), features(real(pictures, held))
    labels = torch.tensor([_label(pictures, number, concepts) for number in train])
    probe = train_probe(seen, labels, CONCEPTS + 1, seed=seed)
    held_labels = torch.tensor([_label(pictures, number, concepts) for number in held])
    say(f"generating {CONCEPTS * per_concept} pictures ...")
    made, made_labels, seconds = generate(pictures, concepts, base, per_concept, seed)
    drawn = features(made)
    real_top5 = top_k(probe(unseen), held_labels, 5)
    made_top5 = top_k(probe(drawn), made_labels, 5)
    return [
        Figure(name="probe top-1, held-out real pictures", value=top_k(probe(unseen), held_labels, 1), unit="share"),
        Figure(name="probe top-5, held-out real pictures", value=real_top5, unit="share"),
        Figure(name="probe top-1, generated pictures", value=top_k(probe(drawn), made_labels, 1), unit="share"),
        Figure(name="probe top-5, generated pictures", value=made_top5, unit="share"),
        Figure(name="generated top-5 over real top-5", value=made_top5 / real_top5, unit="ratio", goal=0.70),
        Figure(name="Frechet distance, generated to held-out real", value=frechet(drawn, unseen), unit="features"),
        Figure(name="Frechet distance, training to held-out real", value=frechet(seen, unseen), unit="features"),
        Figure(name="nearest training picture, generated, p95", value=_p95(nearest(drawn, seen)), unit="cosine"),
        Figure(name="nearest training picture, held-out real, p95", value=_p95(nearest(unseen, seen)), unit="cosine"),
        Figure(name="autoencoder PSNR, held-out", value=psnr(base, pictures), unit="dB", goal=27),
        Figure(name="seconds per picture at the base's steps", value=seconds, unit="s", goal=1.0, at_most=True),
    ]


def everyday_concepts(pictures: Pictures) -> list[str]:
    """The 60 everyday concepts with the most held-out pictures, in alphabetical order."""
    counts: dict[str, int] = {}
    for row in pictures.rows:
        if row["everyday"]:
            counts[row["everyday"]] = counts.get(row["everyday"], 0) + (row["split"] == "held")
    return sorted(sorted(counts, key=lambda word: (-counts[word], word))[:CONCEPTS])


def real(pictures: Pictures, numbers: list[int]) -> np.ndarray:
    """Plain layouts on white, (N, s, s, 3) uint8."""
    return ((flatten(pictures.pixels[numbers, 0]) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def generate(
    pictures: Pictures, concepts: list[str], base: str, per_concept: int, seed: int
) -> tuple[np.ndarray, torch.Tensor, float]:
    """Pictures of every concept in the training styles by turns: (N, s, s, 3), labels (N,), mean seconds for one."""
    spec = base_spec(base)
    words = read_recipe(RECIPE).data.styles
    styles = [words[package] for package in sorted({row["set"] for row in pictures.rows})]
    made, labels = [], []
    with Engine(spec, max_rows=8) as engine:
        engine.submit(_request(spec.id, concepts[0], styles[0], seed), stop=lambda: None).result()
        began = time.perf_counter()
        engine.submit(_request(spec.id, concepts[0], styles[0], seed + 1), stop=lambda: None).result()
        seconds = time.perf_counter() - began
        futures = [
            (label, engine.submit(_request(spec.id, word, styles[n % len(styles)], seed + n), stop=lambda: None))
            for label, word in enumerate(concepts)
            for n in range(per_concept)
        ]
        for label, future in futures:
            picture = future.result()
            assert isinstance(picture, Picture)
            made.append(np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")))
            labels.append(label)
    return np.stack(made), torch.tensor(labels), seconds


def psnr(base: str, pictures: Pictures) -> float:
    """Of the shipped autoencoder (half precision on disk), on held-out pictures, in dB."""
    from diffusers import AutoencoderKL

    network = AutoencoderKL.from_pretrained(base_spec(base).path, subfolder="vae").eval()
    return held_out_psnr(network, pictures, "cpu")


def _request(base: str, word: str, style: str, seed: int) -> ImageRequest:
    return ImageRequest(id=f"{word}-{seed}", base=base, prompt=f"{word}, {style} style", seed=seed)


def _chosen(pictures: Pictures, concepts: list[str], split: str) -> list[int]:
    """Pictures of the concepts, and as many others again, for the probe's last class."""
    numbers = [int(number) for number in pictures.of(split)]
    wanted = [number for number in numbers if pictures.rows[number]["everyday"] in concepts]
    others = [number for number in numbers if not pictures.rows[number]["everyday"]]
    return sorted(wanted + others[:: max(1, len(others) // max(1, len(wanted)))])


def _label(pictures: Pictures, number: int, concepts: list[str]) -> int:
    word = pictures.rows[number]["everyday"]
    return concepts.index(word) if word in concepts else CONCEPTS


def _p95(values: torch.Tensor) -> float:
    return float(values.quantile(0.95))
