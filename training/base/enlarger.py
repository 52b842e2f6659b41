"""Stage `enlarger`: pictures drawn small and worn, to the same drawings four times as large."""

import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from inference.enlarger import Enlarger
from inference.pixels import images_of
from inference.precision import has_bfloat16_units
from training.base.autoencoder import edge_loss
from training.base.collection import read_collection
from training.base.data import split_in
from training.base.errors import StageMissing
from training.base.latents import normalised_autoencoder
from training.base.loop import Session, carry_out, make_plan, new_run, part
from training.base.paper import lay_on, soft_paper
from training.base.recipe import BaseRecipe, EnlargerRecipe
from training.base.render import render, render_moved
from training.base.sources import Drawing
from training.base.wear import shift_of, worn
from training.checkpoint import load_latest_checkpoint

LARGE = "large.npy"
SOFT_SHARE = 0.3
LOOKS = 3
"""Places looked at for every crop; the one with most edges is taken."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Worn crops (B, 3, s, s) and what they should become (B, 3, factor * s, factor * s), in -1..1."""

    worn: Tensor
    large: Tensor


def train_enlarger(recipe: BaseRecipe, work: Path, base: Path, session: Session) -> None:
    """Train, or go on training, the enlarger of `work`.

    Pictures are worn by the autoencoder of `work` where its latents were made, else by that of the folder `base`.
    """
    torch.manual_seed(recipe.seed)
    shape = recipe.enlarger
    autoencoder = autoencoder_in_use(recipe, work, base).to(session.device, memory_format=torch.channels_last)
    large = large_pictures(recipe, work, session.workers, session.say)
    network = new_enlarger(shape)
    network.to(session.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = new_run(network, weight_decay=0.0)

    def loss_of(step: int, rows: slice) -> Tensor:
        return enlarger_loss(network, batch_at(recipe, large, autoencoder, step, rows), shape)

    plan = make_plan(run, shape, loss_of, work / "enlarger", session)
    carry_out(run, plan, loss_of, work / "enlarger", session)


def new_enlarger(shape: EnlargerRecipe) -> Enlarger:
    """An untrained enlarger: for now it mixes neighbours by their distance."""
    return Enlarger(**enlarger_shape(shape))


def enlarger_shape(shape: EnlargerRecipe) -> dict[str, int]:
    """What the network is made with."""
    return {name: getattr(shape, name) for name in ("factor", "channels", "blocks", "fine_channels")}


def load_enlarger(recipe: BaseRecipe, work: Path) -> Enlarger:
    """The averaged weights of the newest enlarger checkpoint of `work`; StageMissing where there is none."""
    found = load_latest_checkpoint(work / "enlarger")
    if found is None:
        raise StageMissing(f"No enlarger in {work}. Run `python -m training.base enlarger --work {work}` first.")
    network = new_enlarger(recipe.enlarger)
    network.load_state_dict(part(found.tensors, "average."))
    return network.eval().requires_grad_(False)


def autoencoder_in_use(recipe: BaseRecipe, work: Path, base: Path) -> AutoencoderKL:
    """The autoencoder that pictures will come out of: of `work` after `encode`, else of the exported folder `base`."""
    if (work / "vae.safetensors").is_file():
        return normalised_autoencoder(recipe, work)
    if not (base / "vae").is_dir():
        raise StageMissing(
            f"No autoencoder in {work} or {base}. Run `python -m training.base encode --work {work}` first."
        )
    network: AutoencoderKL = AutoencoderKL.from_pretrained(base / "vae")
    return network.eval().requires_grad_(False)


def enlarger_loss(network: Enlarger, batch: Batch, shape: EnlargerRecipe) -> Tensor:
    """L1 of what differs and of its neighbour differences (edges); a scalar.

    An absolute error asks for the middle of what is likely, a squared one for its mean: an edge that could be here or
    a little further is drawn sharp at one place instead of soft over both.
    """
    device = batch.worn.device
    with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16_units(device)):
        enlarged = network(batch.worn)
    error = enlarged - batch.large
    loss: Tensor = error.abs().mean() + shape.gradient * edge_loss(error)
    return loss


def batch_at(recipe: BaseRecipe, large: np.ndarray, autoencoder: AutoencoderKL, step: int, rows: slice) -> Batch:
    """Crops of some of the pictures of a step: turned, mirrored, made small, worn."""
    shape, device = recipe.enlarger, autoencoder.device
    picks = [random.Random(f"{recipe.seed}/enlarger/{step}/{slot}") for slot in range(shape.batch)[rows]]
    drawings = [_turned(large[pick.randrange(len(large))], pick) for pick in picks]
    wanted = torch.from_numpy(np.stack(drawings)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = functional.avg_pool2d(wanted, shape.factor).contiguous(memory_format=torch.channels_last)
    seen = worn(small, autoencoder, shape, picks)
    inputs, targets = [], []
    for number, pick in enumerate(picks):
        shift = shift_of(small[number], seen[number])
        ink = _ink(small[number])
        for _ in range(shape.crops):
            top, left = _place(ink, shape.crop, pick)
            inputs.append(_cut(seen[number], top, left, shape.crop))
            top, left, side = shape.factor * top, shape.factor * left, shape.factor * shape.crop
            targets.append(shift.of(_cut(wanted[number], top, left, side)))
    return Batch(
        worn=torch.stack(inputs).contiguous(memory_format=torch.channels_last),
        large=torch.stack(targets).contiguous(memory_format=torch.channels_last),
    )


def large_pictures(recipe: BaseRecipe, work: Path, workers: int, say: Callable[[str], None]) -> np.ndarray:
    """(N, S, S, 3) uint8, memory-mapped: drawings of the training split at the enlarged size, made at the first call.

    S is the base's size times the factor. Which drawings, where they stand and on what paper follows from the seed.
    """
    path, shape, data = work / LARGE, recipe.enlarger, recipe.data
    side = data.size * shape.factor
    if not path.is_file():
        drawings = chosen_drawings(recipe, work, "train", shape.pictures)
        draw = partial(draw_large, size=side, seed=recipe.seed)
        scratch = path.with_suffix(".part.npy")
        pixels = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(drawings), side, side, 3))
        # Spawned, because forking a process in which torch has threads can hang.
        with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
            for number, drawn in enumerate(pool.map(draw, drawings, chunksize=16)):
                pixels[number] = drawn
                if number % 400 == 0:
                    say(f"rendered {number} of {len(drawings)} at {side} pixels")
        pixels.flush()
        scratch.rename(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def chosen_drawings(recipe: BaseRecipe, work: Path, split: str, most: int) -> list[Drawing]:
    """Drawings of a split, `train` or `held`: at most so many, chosen by the seed, wanted kinds first."""
    weights = recipe.data.weights
    pick = random.Random(f"{recipe.seed}/large/{split}")
    kept = [
        (drawing, subject)
        for drawing, subject in read_collection(work)
        if split_in(recipe.data, drawing, subject) == split
    ]
    # Weighted without repeats (Efraimidis and Spirakis, 2006).
    ranked = sorted(
        (
            (pick.random() ** (1 / weights[subject.kind]), drawing.package, drawing.name, drawing)
            for drawing, subject in kept
        ),
        reverse=True,
        key=lambda entry: entry[:3],
    )
    return [drawing for *_, drawing in ranked[:most]]


def draw_large(drawing: Drawing, size: int, seed: int) -> np.ndarray:
    """One drawing on paper, (size, size, 3) uint8: as it is or moved, on white or soft paper, by its name."""
    pick = random.Random(f"{seed}/large/{drawing.package}/{drawing.name}")
    try:
        drawn = (render(drawing.svg, size) if pick.random() < 0.5 else render_moved(drawing.svg, size, pick)).copy()
    except ValueError:
        # The few that the renderer gives up on teach that white paper stays white.
        drawn = np.zeros((size, size, 4), dtype=np.uint8)
    laid = lay_on(torch.from_numpy(drawn)[None], soft_paper([pick], size, SOFT_SHARE))
    return np.asarray(images_of(laid)[0])


def _turned(drawing: np.ndarray, pick: random.Random) -> np.ndarray:
    turned = np.rot90(drawing, pick.randrange(4))
    return turned[:, ::-1] if pick.random() < 0.5 else turned


def _ink(small: Tensor) -> Tensor:
    """How much the colours change at every pixel (s, s) of one picture."""
    down, along = torch.diff(small, dim=1).abs().sum(dim=0), torch.diff(small, dim=2).abs().sum(dim=0)
    return functional.pad(down, (0, 0, 0, 1)) + functional.pad(along, (0, 1))


def _place(ink: Tensor, side: int, pick: random.Random) -> tuple[int, int]:
    """Top and left of a crop, even: the place with most ink of a few."""
    room = ink.shape[-1] - side + 1
    places = [(pick.randrange(0, room, 2), pick.randrange(0, room, 2)) for _ in range(LOOKS)]
    return max(places, key=lambda at: float(_cut(ink, at[0], at[1], side).sum()))


def _cut(planes: Tensor, top: int, left: int, side: int) -> Tensor:
    return planes[..., top : top + side, left : left + side]
