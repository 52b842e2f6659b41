"""What a training costs: against a plain loop of diffusers and peft, and for many creators at once against one by one.

Costs are CPU seconds of one thread for each picture that is learnt from; variants take turns, so that a machine that is
slower for a while is slower for all of them.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.schedulers import DDPMScheduler
from peft import LoraConfig
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from inference.adapters.stack import StackedAdapters
from inference.bases import Base, open_base
from inference.catalog import BaseSpec, base_spec
from inference.pixels import pixels_of
from tests.benchmarks.figures import ROOT, Figure
from training import state, steps
from training.captions import captions_of
from training.encode import Encoded, encode, versions
from training.messages import StateChanged, TrainingRequest, Work, read_event
from training.plan import Split, split_works
from training.recipe import Recipe, load_recipe
from training.review.portfolio import review_portfolio
from training.works import Review, works_in

DEMO = Path("configs/demo/works")
"""40 works of a set that the base never saw."""
SHARED = ((8, 1), (8, 4), (8, 8), (4, 8), (2, 8))
"""Creators in one batch, and rows of each."""
GOALS = {(8, 1): 1.5, (8, 4): 1.1, (8, 8): 1.0}
WARM_UP = 2
"""Steps of each variant that are taken first and not counted."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--works", type=Path, default=DEMO, help="portfolio, 40 works")
    parser.add_argument("--rounds", type=int, default=6, help="turns that each variant takes")
    parser.add_argument("--turn", type=int, default=4, help="steps of a turn")


def measure(*, seed: int, say: Callable[[str], None], base: str, works: Path, rounds: int, turn: int) -> list[Figure]:
    """Start-up and a whole training as a process of their own first, then the loops side by side."""
    spec = base_spec(base)
    portfolio = works_in(works)
    say("a whole training, from the shell ...")
    figures = whole_training(base, portfolio, seed=seed)
    torch.set_num_threads(1)
    say("loops side by side ...")
    opened = open_base(spec)
    review = review_portfolio(portfolio, size=spec.size, min_works=4, is_whole=False)
    recipe = load_recipe(f"{base}-style")
    figures += against_plain(opened, review, recipe, rounds=rounds, turn=turn, seed=seed)
    say("creators together and one after another ...")
    for creators, rows in SHARED:
        one = replace(recipe, batch=rows)
        figures += together(opened, review, one, creators=creators, rounds=rounds, turn=turn, seed=seed)
    return figures


def whole_training(base: str, works: Sequence[Work], *, seed: int) -> list[Figure]:
    """Wall seconds from start to gated artefact, and CPU seconds until the first step, of `python -m training.run`.

    Without the whole review, as the service starts it: that has a benchmark of its own.
    """
    with TemporaryDirectory() as folder:
        request = TrainingRequest(
            id="benchmark",
            base=base,
            works=tuple(works),
            out=Path(folder) / "out",
            scratch=Path(folder) / "s",
            seed=seed,
            is_reviewed=True,
        )
        file = Path(folder) / "request.json"
        file.write_text(request.to_json())
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "training.run", str(file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        opened = started = 0.0
        outcome = ""
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{") and isinstance(event := read_event(line), StateChanged):
                outcome = event.state
                if event.state == "preparing" and event.message:
                    opened = _cpu_seconds(process.pid)
                elif event.state == "training":
                    started = _cpu_seconds(process.pid)
        process.wait()
        seconds = time.perf_counter() - began
    return [
        Figure(name="40 works, start to gated artefact", value=seconds, unit="s", goal=240, at_most=True),
        Figure(name="it passed the gate", value=float(outcome == "passed"), unit="yes or no"),
        Figure(name="start-up until works are read", value=opened, unit="CPU-s", goal=5, at_most=True),
        Figure(name="reading and encoding 40 works in 6 versions", value=started - opened, unit="CPU-s"),
    ]


def against_plain(base: Base, review: Review, recipe: Recipe, *, rounds: int, turn: int, seed: int) -> list[Figure]:
    """The same base, batch, rank, layers and number of steps in our loop and in a plain one."""
    alike = replace(recipe, prior_share=0.0, text_targets=(), steps=10**6)
    data, split = _encoded(base, review, alike, seed)
    stack = StackedAdapters(base.denoiser)
    ours, as_recipe = (
        _steps_of([_begin(base, stack, data, split, one, seed)]) for one in (alike, replace(recipe, steps=10**6))
    )
    plain = plain_loop(base.spec, review, alike, seed=seed)
    seconds = interleaved({"ours": ours, "plain": plain, "recipe": as_recipe}, rounds=rounds, turn=turn)
    each = {name: value / recipe.batch for name, value in seconds.items()}
    return [
        Figure(name="plain diffusers and peft loop", value=each["plain"], unit="CPU-s"),
        Figure(name="our loop, the same work", value=each["ours"], unit="CPU-s"),
        Figure(name="plain against ours", value=each["plain"] / each["ours"], unit="times", goal=1.3),
        Figure(name="our loop, with prior rows and text encoder", value=each["recipe"], unit="CPU-s"),
    ]


def together(
    base: Base, review: Review, recipe: Recipe, *, creators: int, rounds: int, turn: int, seed: int
) -> list[Figure]:
    """Creators in one batch against the same ones one after another; `recipe.batch` rows of each."""
    data, split = _encoded(base, review, recipe, seed)
    stack, endless = StackedAdapters(base.denoiser), replace(recipe, steps=10**6)

    def begun() -> list[state.Training]:
        return [_begin(base, stack, data, split, endless, seed + number) for number in range(creators)]

    in_one = _steps_of(begun())
    one_by_one = _in_turn([_steps_of([training]) for training in begun()])
    seconds = interleaved({"in one": in_one, "one by one": one_by_one}, rounds=rounds, turn=max(turn // 2, 1))
    each = {name: value / (creators * recipe.batch) for name, value in seconds.items()}
    goal = GOALS.get((creators, recipe.batch))
    name = f"{creators} creators, {recipe.batch} rows each"
    return [
        Figure(name=f"{name}: in one pass", value=each["in one"], unit="CPU-s"),
        Figure(name=f"{name}: one after another", value=each["one by one"], unit="CPU-s"),
        Figure(name=f"{name}: gain", value=each["one by one"] / each["in one"], unit="times", goal=goal),
    ]


def interleaved(variants: dict[str, Iterator[object]], *, rounds: int, turn: int) -> dict[str, float]:
    """CPU seconds of one step of each variant: the median of its turns."""
    for variant in variants.values():
        for _ in range(WARM_UP):
            next(variant)
    turns: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            began = time.process_time()
            for _ in range(turn):
                next(variant)
            turns[name].append((time.process_time() - began) / turn)
    return {name: float(np.median(values)) for name, values in turns.items()}


def plain_loop(spec: BaseSpec, review: Review, recipe: Recipe, *, seed: int) -> Iterator[float]:
    """What the public examples do: pictures and captions go through the encoders in every step, peft trains the layers.

    Yields the loss of every step, without end.
    """
    unet = UNet2DConditionModel.from_pretrained(spec.path / "unet", torch_dtype=torch.float32).requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(spec.path / "vae", torch_dtype=torch.float32).requires_grad_(False)
    text = CLIPTextModel.from_pretrained(spec.path / "text_encoder", torch_dtype=torch.float32).requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(spec.path / "tokenizer")
    scheduler = DDPMScheduler.from_pretrained(spec.path / "scheduler")
    targets = list(recipe.targets or spec.lora_targets)
    unet.add_adapter(LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=targets))
    parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate)
    pixels, captions = _pixels(spec, review, recipe), [captions_of(work.work)[0] for work in review.good]
    pick = torch.Generator().manual_seed(seed)
    while True:
        chosen = torch.randint(len(pixels), (recipe.batch,), generator=pick)
        latents = vae.encode(pixels[chosen]).latent_dist.sample() * vae.config.scaling_factor
        noise, levels = torch.randn_like(latents), torch.randint(1000, (recipe.batch,), generator=pick)
        tokens = tokenizer(
            [captions[number // (len(pixels) // len(captions))] for number in chosen.tolist()],
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).input_ids
        predicted = unet(scheduler.add_noise(latents, noise, levels), levels, text(tokens)[0]).sample
        loss = functional.mse_loss(predicted, _target(scheduler, latents, noise, levels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def _target(scheduler: DDPMScheduler, latents: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    is_v = scheduler.config.prediction_type == "v_prediction"
    return scheduler.get_velocity(latents, noise, levels) if is_v else noise


def _pixels(spec: BaseSpec, review: Review, recipe: Recipe) -> Tensor:
    square = (spec.size, spec.size)
    pictures = [
        picture
        for work in review.good
        for picture in versions(work.image, bucket=square, crops=recipe.crops, flips=recipe.flips, seed=work.work.id)
    ]
    return pixels_of(pictures)


def _encoded(base: Base, review: Review, recipe: Recipe, seed: int) -> tuple[Encoded, Split]:
    data = encode(
        base,
        review.good,
        trigger="xovaj",
        style_words=(),
        crops=recipe.crops,
        flips=recipe.flips,
        seed=seed,
        go_on=lambda: None,
    )
    return data, split_works(review.clusters, recipe, seed=seed)


def _begin(
    base: Base, stack: StackedAdapters, data: Encoded, split: Split, recipe: Recipe, seed: int
) -> state.Training:
    """Of a training that is never saved."""
    return state.begin(base, stack, data, split, recipe, seed=seed, fingerprint="", folder=Path(os.devnull))


def _steps_of(trainings: Sequence[state.Training]) -> Iterator[object]:
    return steps.take_steps_together(trainings)


def _in_turn(loops: Sequence[Iterator[object]]) -> Iterator[object]:
    """One step of every loop at a time."""
    while True:
        yield [next(loop) for loop in loops]


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
