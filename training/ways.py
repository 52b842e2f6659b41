"""The ways in which a base can compute a step: in which precision, whether it keeps what lies between layers, and by
how many threads of a CPU."""

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


@contextmanager
def threaded(way: Way) -> Iterator[None]:
    """Inside the block torch computes with as many threads as the way says, where it does not take fewer anyway."""
    before = torch.get_num_threads()
    if not 0 < way.num_threads < before:
        yield
        return
    torch.set_num_threads(way.num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def thread_counts() -> list[int]:
    """Numbers of threads that a CPU can be measured with: each twice the one before, up to what torch takes."""
    most = torch.get_num_threads()
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


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
