"""A frozen layer and what the rows of a batch add to it: `up @ down @ x` of each row's own adapters.

Rows that wear the same adapters stand side by side as a run, and neighbouring runs of one length and nearly one rank
are a part: two batched products for all of its rows. Rows that wear nothing are in no part and cost nothing.

Shapes: B rows, N of them in a part, in G runs of M; R rank; x is (B, ..., in) for Linear and (B, in, H, W) for Conv2d.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL_MAP = 2048
"""Up to this many places times ranks a convolution is one product a row, whose answers are then added where kernels
overlap: a grouped convolution spends more on arranging so little than on computing it."""


@dataclass(frozen=True)
class Part:
    """What neighbouring rows add to one layer."""

    rows: slice
    down: Tensor
    """(G, in, R) for Linear; for Conv2d (N, R, in, k, k), a row each, or (1, R, in, k, k) for all of them."""
    up: Tensor
    """(G, R, out) for Linear; for Conv2d (N, out, R), or (1, out, R)."""

    @cached_property
    def taps(self) -> Tensor:
        """`down` of a convolution as one product, (N, R * k * k, in): what an input adds to the places around it."""
        return self.down.flip(3, 4).permute(0, 1, 3, 4, 2).flatten(1, 3)


class AdaptedLayer(nn.Module):
    """A frozen layer plus what the current rows add to it. Without parts it is the frozen layer."""

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        self.parts: Sequence[Part] = ()

    @property
    def weight(self) -> Tensor:
        """The frozen weight; attention code asks its layers for their type by it."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if not self.parts:
            return y
        # Contiguous, so that the parts of y below are views into it; a layer's answer is nobody else's yet.
        x, y = x.contiguous(), y.contiguous()
        for part in self.parts:
            if isinstance(self.base, nn.Conv2d):
                _add_convolved(self.base, x[part.rows], y[part.rows], part)
            else:
                _add_multiplied(x[part.rows], y[part.rows], part)
        return y


def _add_multiplied(x: Tensor, y: Tensor, part: Part) -> None:
    """Add to y in place; the rows of a run are only more places of one."""
    runs = len(part.down)
    inner_GTR = torch.bmm(x.reshape(runs, -1, x.shape[-1]), part.down)
    # Autocast, under which trainings may run, leaves sums in place alone.
    y.view(runs, -1, y.shape[-1]).baddbmm_(inner_GTR.to(y.dtype), part.up.to(y.dtype))


def _add_convolved(layer: nn.Conv2d, x_NIHW: Tensor, y_NOHW: Tensor, part: Part) -> None:
    """The same for a convolution."""
    down, up = part.down, part.up
    if len(down) == 1:
        inner = F.conv2d(x_NIHW, down[0], None, layer.stride, layer.padding, layer.dilation)
        y_NOHW += F.conv2d(inner, up[0, :, :, None, None])
        return
    y_NOP = y_NOHW.view(len(up), up.shape[1], -1)
    y_NOP.baddbmm_(up.to(y_NOP.dtype), _convolve_each(layer, x_NIHW, part).to(y_NOP.dtype))


def _convolve_each(layer: nn.Conv2d, x_NIHW: Tensor, part: Part) -> Tensor:
    """Each row through its own `down`, (N, R, P) of P places."""
    rows, rank, *_ = part.down.shape
    size = x_NIHW.shape[2:]
    margin = _margin(layer)
    if margin is not None and (layer.kernel_size == (1, 1) or size.numel() * rank <= SMALL_MAP):
        inner = torch.bmm(part.taps, x_NIHW.flatten(2))
        if layer.kernel_size == (1, 1):
            return inner
        return F.fold(inner, size, layer.kernel_size, layer.dilation, margin).flatten(2)
    # One grouped convolution in which every row is its own group.
    x_1CHW, down = x_NIHW.reshape(1, -1, *size), part.down.flatten(0, 1)
    inner = F.conv2d(x_1CHW, down, None, layer.stride, layer.padding, layer.dilation, groups=rows)
    return inner.view(rows, rank, -1)


def _margin(layer: nn.Conv2d) -> tuple[int, ...] | None:
    """The padding of a layer that answers at every place of its input, each in the middle of its kernel; else None."""
    padding = layer.padding
    if isinstance(padding, str) or set(layer.stride) != {1}:
        return None
    sizes = zip(padding, layer.dilation, layer.kernel_size, strict=True)
    return padding if all(2 * pad == dilation * (kernel - 1) for pad, dilation, kernel in sizes) else None
