"""Which numbers a device computes fastest with."""

import torch


def has_bfloat16_units(device: torch.device) -> bool:
    """True where products of bfloat16 matrices are faster than those of float32: on a GPU, on a CPU with AMX."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_tile"))
