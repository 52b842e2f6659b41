"""Stage `encode`: every picture becomes latents once, so that the denoiser never waits for the autoencoder."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.precision import has_bfloat16_units
from training.base.autoencoder import fold_normalisation, load_autoencoder
from training.base.data import Pictures, read_data
from training.base.errors import StageMissing
from training.base.paper import lay_on, soft_paper
from training.base.recipe import BaseRecipe
from training.base.tokens import all_captions, learn_tokenizer

VIEWS = ("plain", "moved", "grounded")
VARIED_KINDS = ("everyday", "concrete")
GROUND_CAPTION = "soft background"
ONE_WAY = re.compile(r"left|right|letter|text|sign|clock|calendar|arrow|number|alphabet|abc|button|note|score")


@dataclass(frozen=True, kw_only=True)
class Latents:
    """`values` (N, views, C, s, s) float16: each picture in `VIEWS`, zero where it has none; and its row."""

    values: Tensor
    rows: list[dict[str, Any]]

    def of(self, split: str) -> np.ndarray:
        """Numbers of the pictures of a split, `train` or `held`."""
        return np.array([number for number, row in enumerate(self.rows) if row["split"] == split], dtype=np.int64)


def encode(recipe: BaseRecipe, work: Path, device: str, say: Callable[[str], None]) -> None:
    """Write `latents.npy`, `vae.safetensors` (normalised), `preview.safetensors` and `tokenizer/` to `work`."""
    pictures = read_data(work)
    network = load_autoencoder(recipe, work).to(device, memory_format=torch.channels_last)
    sample = pictures.of("train")[:: max(1, len(pictures.rows) // 1500)]
    raw = torch.cat([_means(network, view_of(pictures, chunk, 0, recipe)) for chunk in _chunks(sample)])
    fold_normalisation(network, raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3)))
    save_file({key: value.contiguous().cpu() for key, value in network.state_dict().items()}, work / "vae.safetensors")
    save_file(fit_preview(network, pictures, sample[:600], recipe), work / "preview.safetensors")
    learn_tokenizer(recipe.text, all_captions(pictures.rows, recipe.data.styles, recipe.seed), work / "tokenizer")
    side = recipe.data.size // recipe.autoencoder.factor
    shape = (len(pictures.rows), len(VIEWS), recipe.autoencoder.latent_channels, side, side)
    varied = [is_varied(row) for row in pictures.rows]
    values = np.zeros(shape, dtype=np.float16)
    chunks = _chunks(np.arange(len(pictures.rows)))
    for number, chunk in enumerate(chunks):
        for view in range(len(VIEWS)):
            some = chunk if view == 0 else chunk[[varied[number] for number in chunk]]
            if len(some):
                values[some, view] = _means(network, view_of(pictures, some, view, recipe)).half().numpy()
        if number % 50 == 0:
            say(f"encoded {chunk[-1] + 1} of {len(pictures.rows)}")
    np.save(work / "latents.npy", values)
    (work / "latents.json").write_text(json.dumps({"rows": len(pictures.rows), "views": VIEWS}))
    say(f"latents {shape}, deviation {values[:2000].astype(np.float32).std():.3f}")


def read_latents(work: Path) -> Latents:
    """What `encode` wrote; StageMissing before that."""
    if not (work / "latents.npy").is_file():
        raise StageMissing(f"No latents in {work}. Run `python -m training.base encode --work {work}` first.")
    values = torch.from_numpy(np.load(work / "latents.npy"))
    return Latents(values=values, rows=read_data(work).rows)


def normalised_autoencoder(recipe: BaseRecipe, work: Path) -> AutoencoderKL:
    """The autoencoder whose latents `encode` wrote."""
    if not (work / "vae.safetensors").is_file():
        raise StageMissing(f"No encoded data in {work}. Run `python -m training.base encode --work {work}` first.")
    network = load_autoencoder(recipe, work)
    network.load_state_dict(load_file(work / "vae.safetensors"))
    return network


def is_varied(row: dict[str, Any]) -> bool:
    """True for pictures that have all views; the others, rarely seen, have the plain one alone."""
    return row["kind"] in VARIED_KINDS and row["split"] == "train"


def view_of(pictures: Pictures, numbers: np.ndarray, view: int, recipe: BaseRecipe) -> Tensor:
    """Pictures in a view, (B, 3, size, size): plain on white, moved (half of them mirrored), or on soft paper."""
    picks = [random.Random(f"{recipe.seed}/view/{view}/{number}") for number in numbers]
    drawings = []
    for number, pick in zip(numbers, picks, strict=True):
        layout = 0 if view == 0 or (view == 2 and pick.random() < 0.5) else pick.randrange(1, recipe.data.layouts)
        drawing = pictures.pixels[number, layout]
        mirrored = view > 0 and pick.random() < 0.5 and not ONE_WAY.search(pictures.rows[number]["concept"])
        drawings.append(drawing[:, ::-1] if mirrored else drawing)
    paper = soft_paper(picks, recipe.data.size, share=1.0 if view == 2 else 0.0)
    return lay_on(torch.from_numpy(np.stack(drawings)), paper)


def fit_preview(
    network: AutoencoderKL, pictures: Pictures, numbers: np.ndarray, recipe: BaseRecipe
) -> dict[str, Tensor]:
    """`matrix` (C, 3) and `bias` (3,): latents @ matrix + bias is a small RGB preview in -1..1, by least squares."""
    latents, colours = [], []
    for chunk in _chunks(numbers):
        batch = view_of(pictures, chunk, 0, recipe)
        latents.append(_means(network, batch).permute(0, 2, 3, 1).reshape(-1, recipe.autoencoder.latent_channels))
        small = torch.nn.functional.avg_pool2d(batch, recipe.autoencoder.factor)
        colours.append(small.permute(0, 2, 3, 1).reshape(-1, 3))
    x, y = torch.cat(latents), torch.cat(colours)
    solved = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], dim=1), y).solution
    return {"matrix": solved[:-1].contiguous(), "bias": solved[-1].contiguous()}


@torch.no_grad()
def _means(network: AutoencoderKL, batch: Tensor) -> Tensor:
    device = next(network.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16_units(device)):
        means: Tensor = network.encode(batch.to(device)).latent_dist.mean.float().cpu()
    return means


def _chunks(numbers: np.ndarray) -> list[np.ndarray]:
    return np.array_split(numbers, max(1, len(numbers) // 32))
