"""From a planned request to a row: words, adapters, source picture and noise, made ready once."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.stack import RowAdapters
from inference.bases import Base
from inference.denoise import Row
from inference.errors import ImageRefused
from inference.guidance import read_asks
from inference.messages import Plan
from inference.pictures import fill, open_picture
from inference.readings import Readings
from inference.verdicts import Stage


def make_row(
    base: Base,
    readings: Readings,
    adapters: RowAdapters,
    plan: Plan,
    may_pass: Callable[[Image.Image, Stage], bool],
) -> tuple[Row, tuple[str, ...]]:
    """The row that will become the planned picture, and what the person who asked should know about it.

    adapters: those that the request names, read. may_pass: hears of the source picture, whole, before anything is made
    of it, and may raise. Raises InferenceError if a picture is unusable.
    """
    request = plan.request
    sent = None if request.image is None else _opened(request.image, "image")
    if sent is not None:
        may_pass(sent, "image")
    table = base.table(plan.sampler, steps=plan.steps, width=plan.width, height=plan.height, strength=plan.strength)
    prompt, unread = base.fit_prompt(request.prompt, plan.call)
    sent_mask = None if request.mask is None else _opened(request.mask, "mask")
    source = None if sent is None else fill(sent, plan.width, plan.height)
    kept = None if sent is None or sent_mask is None else _kept(sent, sent_mask, plan.width, plan.height)
    row = Row(
        table=table,
        noises=base.noises(request.seed, width=plan.width, height=plan.height),
        asks=read_asks(
            readings,
            called=prompt,
            plain=request.prompt,
            negative=request.negative_prompt,
            adapters=adapters,
            guidance=plan.guidance,
            style_guidance=base.spec.style_guidance,
        ),
        guidance_rescale=base.spec.guidance_rescale,
        clean_CHW=None if source is None else base.encode_images([source])[0],
        mask_1HW=None if kept is None else _latent_mask(kept[1], base),
        kept=kept,
        kept_large=_kept_large(sent, sent_mask, plan),
    )
    note = f"{base.spec.name} reads the beginning of a long prompt; left out was: {unread!r}"
    return row, (note,) if unread else ()


def _opened(content: bytes, name: str) -> Image.Image:
    try:
        return open_picture(content).image
    except ImageRefused as error:
        raise ImageRefused(f"the {name} {error}", kind=error.kind) from error


def _kept(sent: Image.Image, mask: Image.Image, width: int, height: int) -> tuple[Image.Image, Image.Image]:
    return fill(sent, width, height), fill(mask, width, height).convert("L")


def _kept_large(
    sent: Image.Image | None, mask: Image.Image | None, plan: Plan
) -> tuple[Image.Image, Image.Image] | None:
    """What an enlarged picture keeps of its source; None where the source would itself have to be enlarged."""
    width, height = plan.width * plan.enlargement, plan.height * plan.enlargement
    if sent is None or mask is None or plan.enlargement == 1 or sent.width < width or sent.height < height:
        return None
    return _kept(sent, mask, width, height)


def _latent_mask(mask: Image.Image, base: Base) -> Tensor:
    """Shares (1, H, W) of each latent that are made anew."""
    small = mask.resize((mask.width // base.factor, mask.height // base.factor), Image.Resampling.BOX)
    levels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).reshape(1, small.height, small.width)
    return (levels.float() / 255).to(base.device)
