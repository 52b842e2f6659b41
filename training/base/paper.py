"""Transparent drawings onto paper: white, or a soft run of two light colours. Whole batches, on any device."""

import math
import random

import torch
from torch import Tensor

WHITE = 255.0
DARKEST = 150.0


def lay_on(drawings: Tensor, paper: Tensor | float = WHITE) -> Tensor:
    """RGBA drawings (B, s, s, 4) uint8 with straight alpha over paper (B, 3, s, s) in 0..255.

    Returns pictures (B, 3, s, s) float32 in -1..1, channels last in memory, where the drawings are.
    """
    planes = drawings.permute(0, 3, 1, 2).float()
    alpha = planes[:, 3:] / 255
    pictures = (planes[:, :3] * alpha + paper * (1 - alpha)) / 127.5 - 1
    return pictures.contiguous(memory_format=torch.channels_last)


def soft_paper(picks: list[random.Random], size: int, share: float) -> Tensor:
    """Papers (B, 3, size, size) in 0..255, one per random source: soft ones with probability `share`, else white."""
    papers = torch.full((len(picks), 2, 3), WHITE)
    angles = torch.zeros(len(picks))
    for number, pick in enumerate(picks):
        if pick.random() < share:
            papers[number] = torch.tensor([[pick.uniform(DARKEST, WHITE) for _ in range(3)] for _ in range(2)])
            angles[number] = pick.uniform(0, 2 * math.pi)
    axis = torch.linspace(-1, 1, size)
    slope = axis * angles.cos()[:, None, None] + axis[:, None] * angles.sin()[:, None, None]
    along = (0.5 + 0.5 * slope).clamp(0, 1)[:, None]
    first, second = papers[:, 0, :, None, None], papers[:, 1, :, None, None]
    return first * (1 - along) + second * along
