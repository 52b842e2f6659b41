"""Stage `styles`: how the drawing sets are drawn, as the exported base sees it: creators' styles are told from them."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from inference.bases import open_base
from inference.catalog import base_spec
from inference.pixels import images_of
from training.base.data import Pictures, read_data
from training.base.paper import lay_on
from training.encode import through_autoencoder

PICTURES = 24
"""Of every set; more would change no verdict and cost room in the repository."""


def write_styles(work: Path, base: str, out: Path, say: Callable[[str], None]) -> None:
    """Write `out`: textures (PICTURES, T) bfloat16 of every set by its name, as `BaseSpec.styles` wants them.

    Pictures are laid on white and sent through the base's autoencoder, since drawn ones come out of it as well.
    """
    opened, pictures = open_base(base_spec(base)), read_data(work)
    tensors = {}
    for name in sorted({row["set"] for row in pictures.rows}):
        drawings = torch.from_numpy(np.ascontiguousarray(pictures.pixels[_pick(pictures, name), 0]))
        seen = opened.textures(through_autoencoder(opened, images_of(lay_on(drawings))))
        # Some channels reach 1e9: too much for float16.
        tensors[name] = seen.to(torch.bfloat16)
        say(f"{name}: {len(seen)} pictures")
    save_file(tensors, out)


def _pick(pictures: Pictures, name: str) -> list[int]:
    numbers = [n for n, row in enumerate(pictures.rows) if row["set"] == name and row["kind"] != "people"]
    return sorted(random.Random(name).sample(numbers, min(PICTURES, len(numbers))))
