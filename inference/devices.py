"""Where to compute: the CPU or one of the GPUs, by the word that people use for it."""

import re

import torch

from inference.errors import InvalidRequest

AUTO = "auto"


def choose_device(name: str = AUTO) -> str:
    """`auto` is a GPU where torch sees one, else the CPU; `cpu`, `cuda` and `cuda:1` are meant as they are said.

    Raises InvalidRequest for any other word, and for a GPU that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO:
        return "cuda" if count else "cpu"
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise InvalidRequest(f"{name!r} is no device; choose auto, cpu, cuda or, of several GPUs one, cuda:1")
    if name != "cpu" and int(found[1] or 0) >= count:
        raise InvalidRequest(
            f"device {name} was asked for, and torch sees {count} GPUs here; choose cpu, or install torch's build for"
            " your GPU"
        )
    return name


def name_of(device: torch.device) -> str:
    """What people call it: the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def await_device(device: torch.device) -> None:
    """Wait until everything that was asked of a GPU is done; a CPU answers at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
