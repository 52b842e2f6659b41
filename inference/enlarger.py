"""A base's enlarger: small pictures to large ones with edges drawn anew. Knows no base.

Shapes: P pictures of height h and width w, `factor` times as large when enlarged.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from inference.catalog import ENLARGER
from inference.errors import BaseUnusable
from inference.precision import has_bfloat16_units

WEIGHTS = "model.safetensors"
SETTINGS = "config.json"


REACH = 2
"""Pixels to every side from which a new pixel may be mixed."""
NEIGHBOURS = (2 * REACH + 1) ** 2
STRIP = 32
"""Rows of the small picture that are mixed at once."""
SLOPE = 0.1
"""Of what is below zero: a channel that is quite cut off would never learn again."""


class Block(nn.Module):
    """Two convolutions whose sum with their input goes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.second(functional.leaky_relu(self.first(x), SLOPE))
        return x + added


class Enlarger(nn.Module):
    """Mixes every pixel of the large picture from the small one's pixels around it, and adds a little.

    What a network learns is which neighbours count: next to an edge, those on one side of it. So edges come out sharp,
    and colours stay what they were, for a mixture has no others; what is added makes up for lines that are too thin to
    have a pixel of their own. Most layers work at half the picture's edges, where a layer is cheap and sees far;
    `fine_channels` of them meet the picture itself again. Edges of the picture must be even.
    """

    def __init__(self, *, factor: int, channels: int, blocks: int, fine_channels: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv_in = nn.Conv2d(3 * 2**2, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.widen = nn.Conv2d(channels, fine_channels * 2**2, 3, padding=1)
        self.fine_in = nn.Conv2d(3, fine_channels, 3, padding=1)
        self.fine = nn.Conv2d(fine_channels, fine_channels, 3, padding=1)
        self.conv_out = nn.Conv2d(fine_channels, (NEIGHBOURS + 3) * factor**2, 1)
        # At first it mixes by distance alone and adds nothing.
        nn.init.zeros_(self.conv_out.weight)
        self.conv_out.bias = nn.Parameter(torch.cat([_nearness(factor).log(), torch.zeros(3, factor**2)]).flatten())

    def forward(self, pictures: Tensor) -> Tensor:
        """(P, 3, h, w) in -1..1 -> (P, 3, factor * h, factor * w), not clamped."""
        return self._mix(self._features(pictures), _widened(pictures))

    @torch.no_grad()
    def enlarge(self, pictures: Tensor) -> Tensor:
        """Like `forward`, clamped, and in bfloat16 where the device has units for it."""
        device = self.conv_in.weight.device
        pictures = pictures.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16_units(device)):
            fine, around = self._features(pictures), _widened(pictures)
            # In strips, because what is mixed from takes a hundred times the memory of the picture.
            strips = [
                self._mix(fine[:, :, top : top + STRIP], around[:, :, top : top + STRIP + 2 * REACH])
                for top in range(0, pictures.shape[2], STRIP)
            ]
        return torch.cat(strips, dim=2).clamp(-1, 1)

    def sub_blocks(self) -> list[nn.Module]:
        """The parts in which it spends its time; the last is asked of every strip."""
        return [*self.blocks, self.widen, self.fine, self.conv_out]

    def _features(self, pictures: Tensor) -> Tensor:
        """(P, fine_channels, h, w): what the network makes of every pixel and those around it."""
        coarse = self.conv_in(functional.pixel_unshuffle(pictures, 2))
        coarse = coarse + self.blocks(coarse)
        fine = functional.leaky_relu(functional.pixel_shuffle(self.widen(coarse), 2) + self.fine_in(pictures), SLOPE)
        return functional.leaky_relu(self.fine(fine), SLOPE)

    def _mix(self, fine: Tensor, around: Tensor) -> Tensor:
        """Features (P, fine_channels, h, w) of pixels and the pixels around them, `REACH` more on every side."""
        count, _, height, width = fine.shape
        # Planes one after the other: that way a softmax over them is quick.
        planes = self.conv_out(fine).float().contiguous().view(count, NEIGHBOURS + 3, self.factor**2, height, width)
        shares, mixed = planes.split((NEIGHBOURS, 3), dim=1)
        for number, share in enumerate(shares[:, :, None].softmax(dim=1).unbind(1)):
            top, left = divmod(number, 2 * REACH + 1)
            mixed = torch.addcmul(mixed, share, around[:, :, None, top : top + height, left : left + width])
        return functional.pixel_shuffle(mixed.reshape(count, 3 * self.factor**2, height, width), self.factor)


def _widened(pictures: Tensor) -> Tensor:
    """The pictures with their outermost pixels repeated `REACH` times on every side."""
    return functional.pad(pictures.float(), (REACH,) * 4, mode="replicate")


def _nearness(factor: int) -> Tensor:
    """(NEIGHBOURS, factor * factor): how near each neighbour is to each new pixel, 1 at the same place, never 0."""
    places = (torch.arange(factor) + 0.5) / factor - 0.5
    neighbours = torch.arange(-REACH, REACH + 1)
    near = (1 - (neighbours[:, None] - places).abs()).clamp_min(0.02)
    return torch.einsum("yi,xj->yxij", near, near).reshape(NEIGHBOURS, factor**2)


def open_enlarger(base: Path, *, device: str = "cpu") -> Enlarger | None:
    """The enlarger in the folder of a base; None where it has none. Raises BaseUnusable where it cannot be read."""
    folder = base / ENLARGER
    if not folder.is_dir():
        return None
    try:
        network = Enlarger(**json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
        network.load_state_dict({key: value.float() for key, value in load_file(folder / WEIGHTS).items()})
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise BaseUnusable(f"the enlarger of the base folder {base.name!r} cannot be opened: {error}") from error
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def save_enlarger(network: Enlarger, shape: Mapping[str, int], base: Path) -> Path:
    """Write the part `enlarger/` of a base's folder, in half precision; `shape` is what `network` was made with."""
    folder = base / ENLARGER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(dict(shape), indent=2, sort_keys=True) + "\n")
    weights = {key: value.half().cpu().contiguous() for key, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    return folder
