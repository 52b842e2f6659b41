"""Pictures as numbers and numbers as pictures.

Shapes: P pictures of one size.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor


def pixels_of(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size as (P, 3, height, width) float32 from -1 to 1."""
    planes = [
        torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, 3)
        for image in images
    ]
    return torch.stack(planes).permute(0, 3, 1, 2).float() / 127.5 - 1


def images_of(pixels_P3HW: Tensor) -> list[Image.Image]:
    """The way back: RGB pictures of (P, 3, height, width) from -1 to 1; what is beyond is cut off."""
    levels = (pixels_P3HW.float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return [Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()) for picture in levels]
