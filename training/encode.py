"""Works and captions turned into latents and text states once, before the first step.

Shapes: V versions of a work (scaled, moved, mirrored), C x H x W latent: H and W are a work's own (`training.buckets`).
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
from inference.catalog import size_step
from training.buckets import bucket_for, of_one_shape
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

    latents_VCHW: tuple[Tensor, ...]
    """Of every work."""
    captions: tuple[tuple[str, ...], ...]
    """What each work shows, without the trigger; one empty wording where nothing is known."""
    trigger: str
    texts: dict[str, object]
    """What the base reads, by prompt: each wording with and without trigger, and the empty one."""

    @property
    def num_works(self) -> int:
        return len(self.latents_VCHW)

    def shape_of(self, work: int) -> torch.Size:
        """(C, H, W) of a work's latents: rows of one batch have the same."""
        return self.latents_VCHW[work].shape[1:]


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
    latents_VCHW = _encode_versions(base, works, crops=crops, flips=flips, seed=seed, go_on=go_on)
    captions = tuple(captions_of(work.work, style_words) or ("",) for work in works)
    wordings = {caption for caption_set in captions for caption in caption_set} | {""}
    prompts = sorted(wordings | {prompt for caption in wordings for prompt in with_trigger(caption, trigger)})
    return Encoded(
        latents_VCHW=latents_VCHW,
        captions=captions,
        trigger=trigger,
        texts=encode_texts(base, prompts),
    )


def _encode_versions(
    base: Base, works: Sequence[GoodWork], *, crops: int, flips: bool, seed: int, go_on: Callable[[], None]
) -> tuple[Tensor, ...]:
    """Latents (V, C, H, W) of every work's versions; works of one shape share batches."""
    spec = base.spec
    edges = {"size": spec.size, "step": size_step(spec), "max_size": spec.max_size}
    buckets = [bucket_for(*work.image.size, **edges) for work in works]
    latents_VCHW: dict[int, Tensor] = {}
    for alike in of_one_shape(range(len(works)), buckets.__getitem__):
        pictures = [
            picture
            for work in alike
            for picture in versions(
                works[work].image, bucket=buckets[work], crops=crops, flips=flips, seed=f"{seed} {work}"
            )
        ]
        parts = []
        for start in range(0, len(pictures), ENCODE_BATCH):
            parts.append(base.encode_images(pictures[start : start + ENCODE_BATCH]))
            go_on()
        latents_VCHW |= zip(alike, torch.cat(parts).chunk(len(alike)), strict=True)
    return tuple(latents_VCHW[work] for work in range(len(works)))


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


def versions(image: Image.Image, *, bucket: tuple[int, int], crops: int, flips: bool, seed: str) -> list[Image.Image]:
    """The picture in (width, height) of `bucket`: whole, `crops` times moved a little, and all of these mirrored."""
    whole = ImageOps.fit(image, bucket, Image.Resampling.LANCZOS)
    made = [whole] + [_moved(image, whole, seed=f"{seed} {number}") for number in range(crops)]
    return made + [ImageOps.mirror(picture) for picture in made] if flips else made


def _moved(image: Image.Image, whole: Image.Image, *, seed: str) -> Image.Image:
    """The picture at another place and size on its plain ground, or else a part of it; as large as `whole`."""
    width, height = whole.size
    scale, across, down = _shares(seed)
    scale = SMALLEST + (1 - SMALLEST) * scale
    ground = _plain_ground(whole)
    if ground is not None:
        small = (max(round(width * scale), 1), max(round(height * scale), 1))
        canvas = Image.new("RGB", whole.size, ground)
        place = (round((width - small[0]) * across), round((height - small[1]) * down))
        canvas.paste(whole.resize(small, Image.Resampling.LANCZOS), place)
        return canvas
    wide_px = min(image.width, image.height * width / height) * scale
    high_px = min(image.height, image.width * height / width) * scale
    left, top = (image.width - wide_px) * across, (image.height - high_px) * down
    box = (left, top, left + wide_px, top + high_px)
    return image.resize(whole.size, Image.Resampling.LANCZOS, box=box)


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
