"""How well a base's enlarger draws: against bicubic enlargement and the true drawings, and what it costs."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from inference.bases.sd import StableDiffusion
from inference.catalog import ENLARGER, base_spec, enlargement
from inference.pixels import images_of, pixels_of
from tests.benchmarks.figures import Figure
from training.base.enlarger import chosen_drawings
from training.base.paper import lay_on
from training.base.recipe import BaseRecipe, read_recipe
from training.base.render import render
from training.base.wear import round_trip

CORES = 2
TIMED = 8
EDGE = 0.25
"""Neighbour difference, in a picture from -1 to 1, from which on it counts as an edge."""
PATCH = 8
TITLES = ("from the autoencoder", "bicubic", "enlarger", "true drawing")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="work folder of `python -m training.base drawings`")
    parser.add_argument("--base", default="openicons", help="an id in configs/bases, or the path of an entry")
    parser.add_argument("--recipe", type=Path, default=Path("configs/recipes/base-cpu.toml"))
    parser.add_argument("--pictures", type=int, default=96, help="held-out drawings to measure on")
    parser.add_argument("--sheet", type=Path, help="also paint some of them side by side into this PNG")


def measure(
    *,
    seed: int,
    say: Callable[[str], None],
    work: Path,
    base: str,
    recipe: Path,
    pictures: int,
    sheet: Path | None,
) -> list[Figure]:
    """Both ways of enlarging get the same inputs: small renders, and the same out of the base's autoencoder."""
    spec = base_spec(base)
    opened, factor = StableDiffusion(spec), enlargement(spec)
    say(f"rendering {pictures} held-out drawings at {spec.size * factor} pixels ...")
    true = held_out(read_recipe(recipe), work, spec.size * factor, pictures)
    clean = eight_bits(functional.avg_pool2d(true, factor))
    inputs = {"clean": clean, "autoencoder": eight_bits(torch.cat([_trip(opened, one[None]) for one in clean]))}
    enlarged, figures = {}, []
    for name, small in inputs.items():
        say(f"enlarging, {name} ...")
        ours = torch.cat([pixels_of(opened.enlarge(images_of(one[None]))) for one in small])
        plain = torch.cat([bicubic(one[None], factor) for one in small])
        enlarged[name] = (plain, ours)
        figures += [
            Figure(name=f"PSNR, bicubic, {name}", value=psnr(plain, true), unit="dB"),
            Figure(name=f"PSNR, enlarger, {name}", value=psnr(ours, true), unit="dB", goal=psnr(plain, true)),
            Figure(name=f"edges, bicubic, {name}", value=edges(plain, true), unit="share of true"),
            Figure(
                name=f"edges, enlarger, {name}", value=edges(ours, true), unit="share of true", goal=edges(plain, true)
            ),
            Figure(name=f"colours moved, {name}", value=moved(ours, small), unit="levels of 255", goal=2, at_most=True),
        ]
    if sheet is not None:
        paint(sheet, inputs["autoencoder"], *enlarged["autoencoder"], true)
    size = sum(path.stat().st_size for path in (spec.path / ENLARGER).iterdir())
    return [*figures, *_times(opened, clean), Figure(name="files", value=size / 1e6, unit="MB", goal=4, at_most=True)]


def held_out(recipe: BaseRecipe, work: Path, side: int, most: int) -> Tensor:
    """Drawings never trained on, plainly on white, (N, 3, side, side) from -1 to 1."""
    drawn = [render(drawing.svg, side) for drawing in chosen_drawings(recipe, work, "held", most)]
    return eight_bits(lay_on(torch.from_numpy(np.stack(drawn))))


def eight_bits(pictures: Tensor) -> Tensor:
    """As they would be after a file."""
    return pixels_of(images_of(pictures))


def bicubic(picture: Tensor, factor: int) -> Tensor:
    """One picture (1, 3, s, s) enlarged as drawing programs do it."""
    (image,) = images_of(picture)
    return pixels_of([image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)])


def psnr(pictures: Tensor, true: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, mean over pictures."""
    error = (pictures - true).square().mean(dim=(1, 2, 3)) / 4
    return float((-10 * torch.log10(error + 1e-10)).mean())


def edges(pictures: Tensor, true: Tensor) -> float:
    """How much of the true drawings' edges is there, at its place and in its direction: 1 is all of it."""
    there = wanted = 0.0
    for axis in (2, 3):
        step, true_step = torch.diff(pictures, dim=axis), torch.diff(true, dim=axis)
        is_edge = true_step.abs() > EDGE
        there += float((step * true_step)[is_edge].sum())
        wanted += float(true_step[is_edge].square().sum())
    return there / wanted


def moved(large: Tensor, small: Tensor) -> float:
    """Mean absolute difference between patches of the enlarged and of the small pictures, in levels of 255."""
    factor = large.shape[-1] // small.shape[-1]
    difference = functional.avg_pool2d(large, PATCH * factor) - functional.avg_pool2d(small, PATCH)
    return float(difference.abs().mean()) * 127.5


def paint(path: Path, small: Tensor, plain: Tensor, ours: Tensor, true: Tensor, rows: int = 6) -> None:
    """A PNG: a row per drawing, a column per title."""
    side, chosen = true.shape[-1], range(0, len(true), max(1, len(true) // rows))
    columns: Sequence[Tensor] = (functional.interpolate(small, size=side), plain, ours, true)
    sheet = Image.new("RGB", (side * len(columns), (side + 14) * len(chosen)), "white")
    pen = ImageDraw.Draw(sheet)
    for down, number in enumerate(chosen):
        for along, (title, column) in enumerate(zip(TITLES, columns, strict=True)):
            sheet.paste(images_of(column[number][None])[0], (along * side, down * (side + 14) + 14))
            pen.text((along * side + 3, down * (side + 14) + 1), title, fill="#444")
    sheet.save(path)


def _trip(opened: StableDiffusion, picture: Tensor) -> Tensor:
    return round_trip(picture, opened.vae, deviations=[0.0], seeds=[0])


def _times(opened: StableDiffusion, small: Tensor) -> list[Figure]:
    """Of one picture at a time, as the engine does it; the first is left out."""
    figures = []
    for cores in range(1, CORES + 1):
        torch.set_num_threads(cores)
        opened.enlarge(images_of(small[:1]))
        wall, cpu = time.perf_counter(), time.process_time()
        for one in small[:TIMED]:
            opened.enlarge(images_of(one[None]))
        wall, cpu = (time.perf_counter() - wall) / TIMED, (time.process_time() - cpu) / TIMED
        figures += [
            Figure(name=f"one picture, {cores} threads", value=wall, unit="s", goal=0.5, at_most=True),
            Figure(name=f"one picture, {cores} threads, processor time", value=cpu, unit="s"),
        ]
    return figures
