"""A picture in the middle of its making, as bytes: another process goes on from them and draws the same picture.

What a row begins with follows from its request, and the noise that a sampler adds from its seed. What steps have made
of it is one latent and the newest of the denoiser's outputs: a few kilobytes for the starter base, under a megabyte
for a picture of 1024 x 1024 pixels.

Shapes: C latent channels, H x W latent, K newest outputs.
"""

from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from inference.denoise import Row
from inference.errors import HalfwayUnusable


@dataclass(frozen=True, kw_only=True)
class Halfway:
    """Where a picture stood after `index` model calls. Nothing writes to its tensors any more."""

    draws: str
    """What is drawn (`receipt.Receipt.draws`): only who draws the same goes on from here."""
    index: int
    latent_CHW: Tensor
    outputs: tuple[Tensor, ...]
    """K of (C, H, W), newest first."""

    def as_bytes(self) -> bytes:
        """All of it, as a safetensors file. May be called in any thread; waits for a GPU that is still computing."""
        tensors = {
            "draws": torch.frombuffer(bytearray.fromhex(self.draws), dtype=torch.uint8),
            "index": torch.tensor(self.index),
            "latent": self.latent_CHW.cpu().clone(),
            "outputs": torch.stack(self.outputs).cpu(),
        }
        return save(tensors)


def halfway_of(row: Row, *, draws: str) -> Halfway:
    """Where a row stands, after at least one step; steps that follow leave it as it is."""
    return Halfway(draws=draws, index=row.index, latent_CHW=row.latent_CHW, outputs=tuple(row.outputs))


def go_on(row: Row, content: bytes, *, draws: str) -> None:
    """Let a row that has not begun stand where `content` says. Raises HalfwayUnusable, and leaves it as it is."""
    halfway = _read(content)
    if halfway.draws != draws:
        raise HalfwayUnusable("it is of another picture, or of other weights")
    shapes = {output.shape for output in (halfway.latent_CHW, *halfway.outputs)}
    if shapes != {row.latent_CHW.shape} or not 1 <= halfway.index <= len(row.table):
        raise HalfwayUnusable(f"step {halfway.index} of {len(row.table)} cannot look as it does")
    place = row.latent_CHW
    row.go_on_from(halfway.index, halfway.latent_CHW.to(place), tuple(output.to(place) for output in halfway.outputs))


def _read(content: bytes) -> Halfway:
    try:
        tensors = load(content)
        return Halfway(
            draws=bytes(tensors["draws"].tolist()).hex(),
            index=int(tensors["index"]),
            latent_CHW=tensors["latent"],
            outputs=tuple(tensors["outputs"]),
        )
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise HalfwayUnusable(f"it is damaged ({error})") from error
