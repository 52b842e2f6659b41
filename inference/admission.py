"""From a planned request to a row: words, adapters, source picture and noise, made ready once."""

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.cache import AdapterCache
from inference.bases.sd import StableDiffusion
from inference.denoise import Row
from inference.errors import ImageRefused
from inference.messages import Plan
from inference.pictures import fill, open_picture
from inference.samplers import read_table


def make_row(base: StableDiffusion, cache: AdapterCache, plan: Plan) -> tuple[Row, tuple[str, ...]]:
    """The row that will become the planned picture, and what the person who asked should know about it.

    Raises InferenceError if an adapter or picture is unusable.
    """
    request = plan.request
    adapters = tuple((cache.open(ref), ref.strength) for ref in request.adapters)
    table = read_table(base.scheduler_config, plan.sampler, steps=plan.steps, strength=plan.strength)
    prompt, unread = base.fit_prompt(request.prompt, plan.call)
    negative_prompt, _ = base.fit_prompt(request.negative_prompt, plan.call)
    prompts = [prompt] if plan.guidance == 1 else [prompt, negative_prompt]
    source = None if request.image is None else _opened(request.image, "image", plan)
    mask = None if request.mask is None else _opened(request.mask, "mask", plan).convert("L")
    row = Row(
        table=table,
        noise_CHW=base.noise(request.seed, width=plan.width, height=plan.height),
        texts=tuple(base.encode_prompts(prompts)),
        guidance=plan.guidance,
        guidance_rescale=base.spec.guidance_rescale,
        adapters=adapters,
        clean_CHW=None if source is None else base.encode_images([source])[0],
        mask_1HW=None if mask is None else _latent_mask(mask, base),
        kept=None if source is None or mask is None else (source, mask),
    )
    note = f"{base.spec.name} reads the beginning of a long prompt; left out was: {unread!r}"
    return row, (note,) if unread else ()


def _opened(content: bytes, name: str, plan: Plan) -> Image.Image:
    try:
        opened = open_picture(content)
    except ImageRefused as error:
        raise ImageRefused(f"the {name} {error}", kind=error.kind) from error
    return fill(opened.image, plan.width, plan.height)


def _latent_mask(mask: Image.Image, base: StableDiffusion) -> Tensor:
    """Shares (1, H, W) of each latent that are made anew."""
    small = mask.resize((mask.width // base.factor, mask.height // base.factor), Image.Resampling.BOX)
    levels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).reshape(1, small.height, small.width)
    return (levels.float() / 255).to(base.device)
