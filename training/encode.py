"""Works and captions turned into latents and text states once, before the first step.

Shapes: N works, V versions of each (scaled, moved, mirrored), C x H x W latent, L tokens, D text width.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from inference.adapters.stack import RowAdapters
from inference.bases import Base
from training.captions import captions_of, with_trigger
from training.works import GoodWork

EVEN_BORDER = 0.04
"""A picture whose border deviates less than this (share of the full range) stands on a plain ground."""
SMALLEST = 0.82
"""A picture on a plain ground is drawn down to this share of its size; others are cut by at most as much."""
ENCODE_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """All that training needs of a portfolio; after this neither files nor encoders are opened."""

    latents_NVCHW: Tensor
    captions: tuple[tuple[str, ...], ...]
    """What each work shows, without the trigger; one empty wording where nothing is known."""
    trigger: str
    texts: dict[str, object]
    """What the base reads, by prompt: each wording with and without trigger, and the empty one."""

    @property
    def num_works(self) -> int:
        return len(self.latents_NVCHW)


def encode(
    base: Base,
    works: Sequence[GoodWork],
    *,
    trigger: str,
    style_words: Sequence[str],
    crops: int,
    flips: bool,
    seed: int,
    go_on: Callable[[], None],
) -> Encoded:
    """Encode every version of every work, and every wording of its captions. `go_on` is called between batches."""
    size = base.spec.size
    pictures = [
        picture
        for number, work in enumerate(works)
        for picture in versions(work.image, size=size, crops=crops, flips=flips, seed=f"{seed} {number}")
    ]
    parts = []
    for start in range(0, len(pictures), ENCODE_BATCH):
        parts.append(base.encode_images(pictures[start : start + ENCODE_BATCH]))
        go_on()
    latents = torch.cat(parts)
    captions = tuple(captions_of(work.work, style_words) or ("",) for work in works)
    wordings = {caption for caption_set in captions for caption in caption_set} | {""}
    prompts = sorted(wordings | {prompt for caption in wordings for prompt in with_trigger(caption, trigger)})
    return Encoded(
        latents_NVCHW=latents.reshape(len(works), -1, *latents.shape[1:]),
        captions=captions,
        trigger=trigger,
        texts=encode_texts(base, prompts),
    )


def encode_texts(base: Base, prompts: Sequence[str], adapters: RowAdapters = ()) -> dict[str, object]:
    """What the base reads by prompt, as adapters read them. Keeps their gradients."""
    states = [
        state
        for start in range(0, len(prompts), ENCODE_BATCH)
        for state in base.encode_prompts(prompts[start : start + ENCODE_BATCH], adapters)
    ]
    return dict(zip(prompts, states, strict=True))


def through_autoencoder(base: Base, images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures of one size as the base's autoencoder gives them back: drawn ones come out of it as well."""
    return [
        image
        for start in range(0, len(images), ENCODE_BATCH)
        for image in base.decode(base.encode_images(images[start : start + ENCODE_BATCH]))
    ]


def versions(image: Image.Image, *, size: int, crops: int, flips: bool, seed: str) -> list[Image.Image]:
    """The picture as a square of `size` pixels: whole, `crops` times moved a little, and all of these mirrored."""
    whole = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    made = [whole] + [_moved(image, whole, size, seed=f"{seed} {number}") for number in range(crops)]
    return made + [ImageOps.mirror(picture) for picture in made] if flips else made


def _moved(image: Image.Image, whole: Image.Image, size: int, *, seed: str) -> Image.Image:
    scale, across, down = _shares(seed)
    scale = SMALLEST + (1 - SMALLEST) * scale
    ground = _plain_ground(whole)
    if ground is not None:
        edge = max(round(size * scale), 1)
        canvas = Image.new("RGB", (size, size), ground)
        place = (round((size - edge) * across), round((size - edge) * down))
        canvas.paste(whole.resize((edge, edge), Image.Resampling.LANCZOS), place)
        return canvas
    edge_px = min(image.size) * scale
    left, top = (image.width - edge_px) * across, (image.height - edge_px) * down
    box = (left, top, left + edge_px, top + edge_px)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def _plain_ground(image: Image.Image) -> tuple[int, int, int] | None:
    """The colour of the border, if it is one colour."""
    pixels = np.asarray(image, dtype=np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if border.std(axis=0).max() > EVEN_BORDER * 255:
        return None
    red, green, blue = (int(level) for level in np.median(border, axis=0))
    return red, green, blue


def _shares(seed: str) -> tuple[float, float, float]:
    """Three numbers from 0 to 1 that depend on `seed` alone."""
    digest = hashlib.sha256(seed.encode()).digest()
    first, second, third = (int.from_bytes(digest[start : start + 4]) / 2**32 for start in (0, 4, 8))
    return first, second, third
