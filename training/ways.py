"""The ways in which a base can compute a step: in which precision, and whether it keeps what lies between layers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from inference.bases import Base
from training.messages import Way

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@contextmanager
def computed(base: Base, way: Way) -> Iterator[None]:
    """Inside the block the base answers in the way's precision, and its denoiser keeps little if the way says so."""
    with ExitStack() as stack:
        if way.precision != "float32":
            stack.enter_context(torch.autocast(base.device.type, dtype=DTYPES[way.precision]))
        if way.is_checkpointed:
            stack.enter_context(_checkpointed(base.denoiser))
        yield


def can_be_checkpointed(denoiser: nn.Module) -> bool:
    """True for every network of diffusers that is built of blocks."""
    return bool(getattr(denoiser, "_supports_gradient_checkpointing", False))


@contextmanager
def _checkpointed(denoiser: nn.Module) -> Iterator[None]:
    denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    try:
        yield
    finally:
        denoiser.disable_gradient_checkpointing()  # type: ignore[operator]
