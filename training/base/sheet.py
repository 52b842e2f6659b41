"""Stage `sheet`: a contact sheet of concepts by styles, drawn by an exported base with stock diffusers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

MARGIN = 14
COLUMNS = 12


def draw_sheet(
    base: Path, concepts: Sequence[str], styles: Sequence[str], out: Path, steps: int, guidance: float, device: str
) -> None:
    """Write a picture: a row per style ("" is none), a column per concept, twelve to a block; seeds by the concept."""
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None).to(device)
    pipeline.set_progress_bar_config(disable=True)
    rows = []
    for style in styles:
        prompts = [f"{concept}, {style} style" if style else concept for concept in concepts]
        seeds = [torch.Generator("cpu").manual_seed(number) for number in range(len(prompts))]
        rows.append(
            pipeline(
                prompts, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="np"
            ).images
        )
    _paste(rows, concepts, styles).save(out, quality=88)


def _paste(rows: Sequence[np.ndarray], concepts: Sequence[str], styles: Sequence[str]) -> Image.Image:
    """Blocks of at most `COLUMNS` concepts, one under the other, each with a row for every style."""
    side, columns = rows[0].shape[1], min(COLUMNS, len(concepts))
    blocks = -(-len(concepts) // columns)
    sheet = Image.new("RGB", (side * columns, (side + MARGIN) * len(rows) * blocks), "white")
    pen = ImageDraw.Draw(sheet)
    for down, (row, style) in enumerate(zip(rows, styles, strict=True)):
        for number, (picture, concept) in enumerate(zip(row, concepts, strict=True)):
            block, along = divmod(number, columns)
            left, top = along * side, (block * len(rows) + down) * (side + MARGIN)
            sheet.paste(Image.fromarray((picture * 255).round().astype(np.uint8)), (left, top + MARGIN))
            pen.text((left + 3, top + 1), f"{concept} {style}".strip(), fill="#444")
    return sheet
