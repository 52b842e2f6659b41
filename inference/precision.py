"""Which numbers a device computes fastest with."""

import torch


def has_bfloat16_units(device: torch.device) -> bool:
    """True where products of bfloat16 matrices are faster than those of float32: on a GPU, on a CPU with AMX."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_tile"))


def large_weights_dtype(device: torch.device) -> torch.dtype:
    """How to hold a network of billions of weights that was published in bfloat16: as it is on a GPU.

    A CPU gets float32, which every CPU computes exactly and most compute fastest.
    """
    return torch.bfloat16 if device.type == "cuda" else torch.float32
