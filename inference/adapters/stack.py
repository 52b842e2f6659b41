"""Low-rank changes laid over a frozen model, another one for every row of a batch.

Each changed layer computes its usual answer once for all rows and adds what each row's own adapters change
(`inference.adapters.layer`). What a row adds is gathered once when the batch changes, not in every step.
Nothing here knows what the model draws; any module of Linear and Conv2d layers will do. Gradients go through, and each
adapter's come from its own rows alone.

Shapes: R rank, down (R, in[, k, k]), up (out, R), both as in torch's own weights.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.adapters.layer import AdaptedLayer, Part
from inference.errors import WrongBase

RANK_BUCKETS = (8, 32, 128)
"""Neighbours whose ranks fall into one bucket are computed together, padded to the largest among them."""


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


Gathered = Mapping[str, Sequence[Part]]
"""By layer what the rows of a batch add to it."""


def text_part(adapters: RowAdapters) -> RowAdapters:
    """The adapters over the text encoders alone, to be laid over them as their `layers`."""
    return tuple(
        (Adapter(layers=adapter.text_layers), strength) for adapter, strength in adapters if adapter.text_layers
    )


def side_by_side(rows: Sequence[RowAdapters]) -> list[int]:
    """The numbers of the rows in an order in which those that wear the same, and nearly as much, are neighbours.

    Rows that wear nothing come last. Between equals the given order stays.
    """
    worn = [_worn(row) for row in rows]
    counts = Counter(worn)

    def place(number: int) -> tuple[bool, int, int, int]:
        wears = worn[number]
        return not wears, _bucket(_rank(rows[number])), counts[wears], worn.index(wears)

    return sorted(range(len(rows)), key=place)


class StackedAdapters:
    """Lays adapters' `layers` over `model`. Layers are wrapped when an adapter first names them."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._wrapped: dict[str, AdaptedLayer] = {}
        frozen = {name: _frozen(model, name) for name in changeable_layers(model)}
        self._shapes = {name: tuple(layer.weight.shape) for name, layer in frozen.items() if layer is not None}

    def bind(self, rows: Sequence[RowAdapters]) -> None:
        """Make the model compute `rows`, in this order, from the next forward on.

        The batch of later forwards must be len(rows), unless all rows are alike: then any size fits.
        """
        self.lay(self.gather(rows))

    def gather(self, rows: Sequence[RowAdapters]) -> Gathered:
        """What `rows` add to each layer, side by side: copies, to be made once and laid over the model many times."""
        runs = _runs(rows)
        names = dict.fromkeys(name for run in runs for adapter, _ in run.wears for name in adapter.layers)
        return {name: _parts(runs, name, self._layer(name).base) for name in names}

    def lay(self, gathered: Gathered) -> None:
        """Make the model compute what was gathered, from the next forward on."""
        self.clear()
        for name, parts in gathered.items():
            self._layer(name).parts = parts

    def clear(self) -> None:
        """Make the model compute as if no adapter existed."""
        for layer in self._wrapped.values():
            layer.parts = ()

    def check(self, changes: Mapping[str, LayerChange]) -> None:
        """Raise WrongBase if an adapter's changes do not fit the model, naming the first layer that does not.

        Any thread may ask, also while the model is at work.
        """
        for name, change in changes.items():
            expected = self._shapes.get(name)
            if expected is None:
                raise WrongBase(f"the adapter changes the layer {name!r}, which this base does not have")
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


@dataclass(frozen=True)
class _Run:
    """Neighbouring rows that wear the same."""

    rows: slice
    length: int
    wears: RowAdapters


def _runs(rows: Sequence[RowAdapters]) -> list[_Run]:
    runs, start = [], 0
    for _, alike in groupby(rows, key=_worn):
        wears, *more = alike
        runs.append(_Run(slice(start, start + 1 + len(more)), 1 + len(more), wears))
        start += 1 + len(more)
    # One run is a batch of any size.
    return [_Run(slice(None), 1, runs[0].wears)] if len(runs) == 1 else runs


def _parts(runs: Sequence[_Run], name: str, layer: nn.Linear | nn.Conv2d) -> list[Part]:
    """What neighbours add to a layer, together where they are of one length and one bucket of ranks."""
    changes = {number: _concatenated(run.wears, name) for number, run in enumerate(runs) if _changes(run.wears, name)}

    def kind(number: int) -> tuple[int, int] | None:
        return (runs[number].length, _bucket(len(changes[number].down))) if number in changes else None

    parts = []
    for alike, numbers in groupby(range(len(runs)), key=kind):
        if alike is not None:
            own = list(numbers)
            rows = slice(runs[own[0]].rows.start, runs[own[-1]].rows.stop)
            parts.append(_part(rows, [changes[number] for number in own], runs[own[0]].length, layer))
    return parts


def _part(rows: slice, changes: Sequence[LayerChange], length: int, layer: nn.Linear | nn.Conv2d) -> Part:
    rank = max(len(change.down) for change in changes)
    # What is trained stays in float32 over a base in bfloat16; sums are made in the base's own numbers.
    down = torch.stack([_padded(change.down, 0, rank) for change in changes]).to(layer.weight.dtype)
    up = torch.stack([_padded(change.up, 1, rank) for change in changes]).to(layer.weight.dtype)
    if isinstance(layer, nn.Linear):
        return Part(rows, down.transpose(1, 2).contiguous(), up.transpose(1, 2).contiguous())
    if len(changes) > 1:
        down, up = down.repeat_interleave(length, dim=0), up.repeat_interleave(length, dim=0)
    return Part(rows, down, up)


def _padded(matrix: Tensor, dim: int, rank: int) -> Tensor:
    missing = rank - matrix.shape[dim]
    if not missing:
        return matrix
    shape = [missing if number == dim else size for number, size in enumerate(matrix.shape)]
    return torch.cat([matrix, matrix.new_zeros(shape)], dim=dim)


def _bucket(rank: int) -> int:
    return next((bucket for bucket in RANK_BUCKETS if rank <= bucket), rank)


def _rank(row: RowAdapters) -> int:
    """Of all that a row wears, by the layers that are changed most."""
    return sum(max((len(change.down) for change in adapter.layers.values()), default=0) for adapter, _ in row)


def _worn(row: RowAdapters) -> tuple[tuple[int, float], ...]:
    return tuple((id(adapter), strength) for adapter, strength in row)


def _changes(row: RowAdapters, name: str) -> bool:
    return any(name in adapter.layers for adapter, _ in row)


def _concatenated(row: RowAdapters, name: str) -> LayerChange:
    """What several adapters add to a layer, as one of as many ranks as they have together."""
    changes = [(adapter.layers[name], strength) for adapter, strength in row if name in adapter.layers]
    if len(changes) == 1 and changes[0][1] == 1.0:
        return changes[0][0]
    return LayerChange(
        down=torch.cat([change.down for change, _ in changes]),
        up=torch.cat([change.up * strength for change, strength in changes], dim=1),
    )


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
