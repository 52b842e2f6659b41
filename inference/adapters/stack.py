"""Low-rank changes laid over a frozen model, another one for every row of a batch.

Each changed layer computes its usual answer once for all rows and adds, row by row, `up @ down @ x` of that row's own
adapters in two batched products. What a row adds is gathered once when the batch changes, not in every step.
Nothing here knows what the model draws; any module of Linear and Conv2d layers will do. Gradients go through, and each
adapter's come from its own rows alone.

Shapes: B rows in G runs of equal length with the same adapters, R rank, down (R, in[, k, k]), up (out, R), both as in
torch's own weights.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.errors import WrongBase


@dataclass(frozen=True, kw_only=True)
class LayerChange:
    """What one adapter does to one layer. Any scale (alpha / rank) is already inside `up`."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One adapter, ready for use: its changes by layer name."""

    layers: Mapping[str, LayerChange]
    """Of the denoiser."""
    text_layers: Mapping[str, LayerChange] = field(default_factory=dict)
    """Of the text encoders; a name begins with the folder of its encoder."""
    style_guidance: float = 0.0
    """What its style weighs (see `inference.guidance`); 0: what the base says."""

    @property
    def num_bytes(self) -> int:
        changes = (*self.layers.values(), *self.text_layers.values())
        return sum(t.numel() * t.element_size() for change in changes for t in (change.down, change.up))


RowAdapters = Sequence[tuple[Adapter, float]]
"""A row's adapters, each with its strength; empty: the row is drawn by the base alone."""


Gathered = Mapping[str, tuple[Tensor, Tensor]]
"""By layer (down, up) of all rows of a batch."""


def text_part(adapters: RowAdapters) -> RowAdapters:
    """The adapters over the text encoders alone, to be laid over them as their `layers`."""
    return tuple(
        (Adapter(layers=adapter.text_layers), strength) for adapter, strength in adapters if adapter.text_layers
    )


class AdaptedLayer(nn.Module):
    """A frozen layer plus what the current rows add to it. With `rows` None it is the frozen layer."""

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        self.rows: tuple[Tensor, Tensor] | None = None
        """(down, up): both with a leading G where rows differ, without where all rows share them."""

    @property
    def weight(self) -> Tensor:
        """The frozen weight; attention code asks its layers for their type by it."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if self.rows is None:
            return y
        down, up = self.rows
        if isinstance(self.base, nn.Conv2d):
            return _add_convolved(self.base, x, y, down, up)
        return _add_multiplied(x, y, down, up)


class StackedAdapters:
    """Lays adapters' `layers` over `model`. Layers are wrapped when an adapter first names them."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._wrapped: dict[str, AdaptedLayer] = {}

    def bind(self, rows: Sequence[RowAdapters]) -> None:
        """Make the model compute `rows`, in this order, from the next forward on.

        The batch of later forwards must be len(rows), unless all rows are alike: then any size fits.
        """
        self.lay(self.gather(rows))

    def gather(self, rows: Sequence[RowAdapters]) -> Gathered:
        """What `rows` add to each layer, side by side: copies, to be made once and laid over the model many times."""
        is_shared = all(_same(row, rows[0]) for row in rows)
        runs = rows[:: _run_length(rows)] if rows else rows
        gathered = {}
        for name in dict.fromkeys(name for row in rows for adapter, _ in row for name in adapter.layers):
            dtype = self._layer(name).weight.dtype
            down, up = _concatenated(rows[0], name) if is_shared else _gathered(runs, name)
            # What is trained stays in float32 over a base in bfloat16; sums are made in the base's own numbers.
            gathered[name] = down.to(dtype), up.to(dtype)
        return gathered

    def lay(self, gathered: Gathered) -> None:
        """Make the model compute what was gathered, from the next forward on."""
        self.clear()
        for name, rows in gathered.items():
            self._layer(name).rows = rows

    def clear(self) -> None:
        """Make the model compute as if no adapter existed."""
        for layer in self._wrapped.values():
            layer.rows = None

    def check(self, changes: Mapping[str, LayerChange]) -> None:
        """Raise WrongBase if an adapter's changes do not fit the model, naming the first layer that does not."""
        for name, change in changes.items():
            frozen = _frozen(self.model, name)
            if frozen is None:
                raise WrongBase(f"the adapter changes the layer {name!r}, which this base does not have")
            expected = tuple(frozen.weight.shape)
            found = (change.up.shape[0], *change.down.shape[1:])
            if found != expected or change.up.shape[1] != change.down.shape[0]:
                raise WrongBase(f"the adapter's layer {name!r} has the shape {found}, this base's has {expected}")

    def _layer(self, name: str) -> AdaptedLayer:
        if name not in self._wrapped:
            frozen = _frozen(self.model, name)
            assert frozen is not None, f"{name} was not checked before it was bound"
            parent, _, own = name.rpartition(".")
            self._wrapped[name] = AdaptedLayer(frozen)
            setattr(self.model.get_submodule(parent), own, self._wrapped[name])
        return self._wrapped[name]


def changeable_layers(model: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Every layer that an adapter may change, by its name in the model without adapters, in the model's order."""
    layers: dict[str, nn.Linear | nn.Conv2d] = {}
    for name, module in model.named_modules():
        if isinstance(module, AdaptedLayer):
            layers[name] = module.base
        elif isinstance(module, nn.Linear | nn.Conv2d) and name.removesuffix(".base") not in layers:
            layers[name] = module
    return layers


def target_layers(model: nn.Module, endings: Iterable[str]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers of a model whose names end with one of `endings` at a dot."""
    wanted = tuple(f".{ending}" for ending in endings)
    return {name: layer for name, layer in changeable_layers(model).items() if f".{name}".endswith(wanted)}


def plain_forward(layer: nn.Linear | nn.Conv2d, name: str, x: Tensor, rows: Sequence[RowAdapters]) -> Tensor:
    """What an AdaptedLayer computes, written down plainly: one row, one merged weight at a time. For comparison."""
    answers = []
    for row, x_row in zip(rows, x, strict=True):
        weight = layer.weight.clone()
        for adapter, strength in row:
            if name in adapter.layers:
                change = adapter.layers[name]
                weight += strength * (change.up @ change.down.flatten(1)).reshape(weight.shape)
        if isinstance(layer, nn.Conv2d):
            answers.append(F.conv2d(x_row[None], weight, layer.bias, layer.stride, layer.padding, layer.dilation)[0])
        else:
            answers.append(F.linear(x_row, weight, layer.bias))
    return torch.stack(answers)


def _add_multiplied(x: Tensor, y: Tensor, down: Tensor, up: Tensor) -> Tensor:
    if down.ndim == 2:
        return y + F.linear(F.linear(x, down), up)
    # The rows of a run are only more places of one.
    x_GTI = x.reshape(len(down), -1, x.shape[-1])
    y_GTO = y.reshape(len(down), -1, y.shape[-1])
    inner_GTR = torch.bmm(x_GTI, down.transpose(1, 2))
    return torch.baddbmm(y_GTO, inner_GTR, up.transpose(1, 2)).reshape(y.shape)


def _add_convolved(layer: nn.Conv2d, x: Tensor, y: Tensor, down: Tensor, up: Tensor) -> Tensor:
    if down.ndim == 4:
        inner = F.conv2d(x, down, None, layer.stride, layer.padding, layer.dilation)
        return y + F.conv2d(inner, up[:, :, None, None])
    runs, rank = down.shape[:2]
    # One grouped convolution in which every run is its own group, with as many pictures as a run has rows.
    x_GMIHW = x.reshape(runs, -1, *x.shape[1:])
    x_MCHW = x_GMIHW.transpose(0, 1).flatten(1, 2)
    inner = F.conv2d(x_MCHW, down.flatten(0, 1), None, layer.stride, layer.padding, layer.dilation, groups=runs)
    inner_GMRP = inner.reshape(len(inner), runs, rank, -1).transpose(0, 1)
    return y + torch.matmul(up[:, None], inner_GMRP).reshape(y.shape)


def _same(left: RowAdapters, right: RowAdapters) -> bool:
    return len(left) == len(right) and all(a is c and b == d for (a, b), (c, d) in zip(left, right, strict=True))


def _concatenated(row: RowAdapters, name: str) -> tuple[Tensor, Tensor]:
    changes = [(adapter.layers[name], strength) for adapter, strength in row if name in adapter.layers]
    if len(changes) == 1 and changes[0][1] == 1.0:
        return changes[0][0].down, changes[0][0].up
    down = torch.cat([change.down for change, _ in changes])
    return down, torch.cat([change.up * strength for change, strength in changes], dim=1)


def _run_length(rows: Sequence[RowAdapters]) -> int:
    """The largest number of rows such that the batch falls into runs of so many alike; 1 where neighbours differ."""
    starts = [number for number, row in enumerate(rows) if number == 0 or not _same(row, rows[number - 1])]
    return math.gcd(len(rows), *starts)


def _gathered(runs: Sequence[RowAdapters], name: str) -> tuple[Tensor, Tensor]:
    """One (down, up) a run, padded with zero rank up to the largest; a run without adapters adds zero."""
    per_run = [_concatenated(row, name) if any(name in a.layers for a, _ in row) else None for row in runs]
    like = next(pair for pair in per_run if pair is not None)
    rank = max(pair[0].shape[0] for pair in per_run if pair is not None)
    if all(pair is not None and pair[0].shape[0] == rank for pair in per_run):
        every = [pair for pair in per_run if pair is not None]
        return torch.stack([down for down, _ in every]), torch.stack([up for _, up in every])
    down = like[0].new_zeros(len(runs), rank, *like[0].shape[1:])
    up = like[1].new_zeros(len(runs), like[1].shape[0], rank)
    for number, pair in enumerate(per_run):
        if pair is not None:
            down[number, : len(pair[0])] = pair[0]
            up[number, :, : len(pair[0])] = pair[1]
    return down, up


def _frozen(model: nn.Module, name: str) -> nn.Linear | nn.Conv2d | None:
    try:
        module = model.get_submodule(name)
    except AttributeError:
        return None
    if isinstance(module, AdaptedLayer):
        module = module.base
    if isinstance(module, nn.Conv2d):
        return module if module.groups == 1 and module.padding_mode == "zeros" else None
    return module if isinstance(module, nn.Linear) else None
