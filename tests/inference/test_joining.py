"""Nine pictures with eight samplers join one batch at nine different steps: each is what diffusers draws alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from inference.adapters.stack import StackedAdapters
from inference.admission import make_row
from inference.bases.sd import StableDiffusion
from inference.catalog import SAMPLERS, base_spec
from inference.denoise import Batch, Row
from inference.messages import ImageRequest, plan
from inference.readings import Readings
from tests.inference.tiny_base import write_tiny_base

SAME = 1e-5
"""Largest difference of a finished latent, as a share of its largest number."""


@dataclass(frozen=True)
class Guest:
    """One picture, and after how many steps of the batch it joins."""

    sampler: str
    steps: int
    guidance: float
    joins: int


GUESTS = (
    Guest("ddim", 12, 3.0, 0),
    Guest("euler", 5, 1.0, 1),
    Guest("dpmpp_2m", 9, 4.5, 2),
    Guest("dpmpp_2m_karras", 7, 2.0, 3),
    Guest("unipc", 8, 3.0, 4),
    Guest("heun", 6, 3.5, 5),
    Guest("pndm", 11, 2.5, 6),
    Guest("euler_a", 10, 3.0, 7),
    Guest("ddim", 5, 1.0, 8),
)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Calls of the model."""

    together: int
    alone: int


def draw_together(base: StableDiffusion, guests: Sequence[Guest]) -> tuple[list[Tensor], Calls]:
    """The finished latents (C, H, W), and how many model calls they took."""
    stack, readings = StackedAdapters(base.denoiser), Readings(base, most=len(guests))
    rows = [
        make_row(base, readings, (), plan(request_of(number, guest), base.spec), lambda *_: True)[0]
        for number, guest in enumerate(guests)
    ]
    calls = 0
    while not all(row.is_finished for row in rows):
        inside = [row for row, guest in zip(rows, guests, strict=True) if guest.joins <= calls and not row.is_finished]
        _step(base, stack, inside)
        calls += 1
    alone = sum(len(row.table) for row in rows)
    return [row.latent_CHW for row in rows], Calls(together=calls, alone=alone)


def _step(base: StableDiffusion, stack: StackedAdapters, rows: list[Row]) -> None:
    batch = Batch(base, stack, rows)
    batch.bind()
    batch.step()


def request_of(number: int, guest: Guest) -> ImageRequest:
    return ImageRequest(
        id=f"{number}",
        base="tiny",
        prompt=f"an apple number {number}",
        seed=100 + number,
        steps=guest.steps,
        guidance=guest.guidance,
        sampler=guest.sampler,
    )


def draw_alone(folder: Path, guests: Sequence[Guest]) -> list[Tensor]:
    """The same by the stock pipeline, one at a time."""
    latents = []
    for number, guest in enumerate(guests):
        stock: Any = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
        stock.set_progress_bar_config(disable=True)
        sampler = SAMPLERS[guest.sampler]
        module, _, name = sampler.scheduler.partition(":")
        kind = getattr(import_module(module), name)
        stock.scheduler = kind.from_config(stock.scheduler.config, **sampler.settings)
        request = request_of(number, guest)
        drawn = stock(
            request.prompt,
            negative_prompt="",
            num_inference_steps=guest.steps,
            guidance_scale=guest.guidance,
            generator=torch.Generator().manual_seed(request.seed),
            width=32,
            height=32,
            output_type="latent",
        )
        latents.append(drawn.images[0])
    return latents


def largest_difference(folder: Path, guests: Sequence[Guest] = GUESTS) -> tuple[float, Calls]:
    """How far the latents of the worst guest are from diffusers', as a share; and the model calls."""
    base = StableDiffusion(base_spec(str(write_tiny_base(folder, zero_snr=False))))
    together, calls = draw_together(base, guests)
    alone = draw_alone(folder / "tiny", guests)
    apart = [
        float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in zip(together, alone, strict=True)
    ]
    return max(apart), calls


def test_who_joins_at_any_step_is_drawn_as_alone(tmp_path: Path):
    assert len({guest.sampler for guest in GUESTS}) == 8
    assert len({guest.joins for guest in GUESTS}) == len(GUESTS) == 9

    apart, calls = largest_difference(tmp_path)

    assert apart <= SAME
    assert calls.together < calls.alone / 3


def test_another_seed_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    truly = StableDiffusion.noises
    monkeypatch.setattr(StableDiffusion, "noises", lambda self, seed, **size: truly(self, seed + 1, **size))

    assert largest_difference(tmp_path, GUESTS[:2])[0] > 100 * SAME
