"""Families of bases: one module each, blind to each other, opened by name."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from inference.adapters.names import AdapterNames
from inference.adapters.stack import RowAdapters, StackedAdapters
from inference.catalog import BaseSpec
from inference.enlarger import Enlarger
from inference.errors import BaseUnusable
from inference.noising import NoiseLevels
from inference.samplers import Table

FAMILIES = {
    "flux2": "inference.bases.flux2:Flux2Klein",
    "sd": "inference.bases.sd:StableDiffusion",
    "sdxl": "inference.bases.sdxl:StableDiffusionXL",
}

Reading = TypeVar("Reading")
"""What a denoiser reads of a prompt, or of a batch of prompts. Only the family that made it knows what is in it."""


class OpenBase(Protocol[Reading]):
    """An open base of any family: all that the engine and trainings know of it.

    Its weights never change and need no gradient; adapters are laid over it from outside, `denoiser` by whoever draws
    or trains, the text encoders by `encode_prompts`. Latents are (rows, channels, height, width) in float32.
    """

    spec: BaseSpec
    sha256: str
    """Fingerprint of its folder."""
    device: torch.device
    names: AdapterNames
    """What adapter files call its layers."""
    text_stack: StackedAdapters
    """Over its text encoders, each by the name of its folder; over nothing where adapters leave them alone."""
    levels: NoiseLevels
    """How latents are noised in a training."""
    enlarger: Enlarger | None
    factor: int
    """Pixels per latent, along an edge."""

    @property
    def denoiser(self) -> nn.Module:
        """What answers in every step."""

    def encode_prompts(self, prompts: Sequence[str], adapters: RowAdapters = ()) -> list[Reading]:
        """What the denoiser reads of each prompt, through the adapters' part for the text encoders. Keeps gradients."""

    def join_texts(self, texts: Sequence[Reading]) -> Reading:
        """One batch for `predict` of what `encode_prompts` gave."""

    def fit_prompt(self, words: str, call: str) -> tuple[str, str]:
        """A prompt that is read to its end and keeps its call, and the words that were left out for it."""

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Latents (P, C, H, W) of P RGB pictures of one size."""

    def decode(self, latents_PCHW: Tensor) -> list[Image.Image]:
        """RGB pictures of finished latents."""

    def textures(self, images: Sequence[Image.Image]) -> Tensor:
        """How RGB pictures of one size are drawn, (P, T) float32 on the CPU, wherever in them something stands."""

    def enlarge(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """RGB pictures of one size, larger; for bases with an enlarger."""

    def noises(self, seed: int, *, width: int, height: int) -> Iterator[Tensor]:
        """Noise (C, H, W) of one picture of so many pixels, always the same for a seed: what it starts from, then what
        a stochastic sampler adds, step by step. Without end."""

    def table(self, sampler: str, *, steps: int, width: int, height: int, strength: float = 1.0) -> Table:
        """One run of a sampler for a picture of so many pixels. Raises InvalidRequest."""

    def predict(self, latents_BCHW: Tensor, timesteps_B: Tensor, texts: Reading, /) -> Tensor:
        """The denoiser's answers (B, C, H, W); every row has its own timestep. Keeps gradients."""

    def clean_estimate(self, latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
        """The finished latents (B, C, H, W) that answers point to. `latents_BCHW` is what the denoiser was fed."""

    def sub_blocks(self) -> list[nn.Module]:
        """The parts of the denoiser between which a stop is heeded."""

    def finishing_blocks(self) -> list[nn.Module]:
        """The same of what decodes and enlarges."""


Base = OpenBase[object]
"""A base to whoever does not know its family: readings are opaque, and go back to the base that made them."""


def open_base(spec: BaseSpec, *, device: str = "cpu") -> Base:
    """Load a base's weights onto `device`, ready to draw or to be trained on.

    Raises BaseUnusable if its family is unknown or its folder is not as its entry promises.
    """
    if spec.family not in FAMILIES:
        raise BaseUnusable(
            f"base {spec.id!r} is of the unknown family {spec.family!r}; known are: {', '.join(sorted(FAMILIES))}"
        )
    module, _, name = FAMILIES[spec.family].partition(":")
    with _all_is_kept():
        base: Base = getattr(import_module(module), name)(spec, device=device)
    return base


@contextmanager
def _all_is_kept() -> Iterator[None]:
    """Nobody looks for garbage meanwhile: libraries and weights stay, and to search them again and again as they grow
    is a sixth of what it costs to open a base."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
