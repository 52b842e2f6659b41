"""An adapter in one buffer of numbers with a table of what lies where: read, copied and wiped as a whole.

A flat file is made once, where an adapter is trained, from the file that was made there, and says what that file says:
a safetensors file of one tensor, whose words name the adapter it was made from and what lies where in it. Any scale is
multiplied in and all numbers are finite, so whoever trusts its hash has nothing left to compute. Layers go by
diffusers' names for them, which stay when a library renames its networks.

Shapes: N numbers, with zeros between layers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from inference.adapters.files import (
    DTYPES,
    Place,
    adapter_bytes,
    adapter_of,
    diffusers_stem,
    place_named,
    places_of,
    tensors_sha256,
)
from inference.adapters.manifest import AdapterManifest, metadata_in
from inference.adapters.names import AdapterNames
from inference.adapters.stack import Adapter, LayerChange
from inference.errors import AdapterRefused

FORM = "1"
"""Of flat files; raised when what lies where is said otherwise."""
NUMBERS, FLAT, MADE_FROM, LAYERS = "numbers", "ownhand.flat", "ownhand.adapter_sha256", "ownhand.layers"
ALIGNED = 32
"""Numbers: every factor, and the buffer in its file, starts at a multiple of what a processor reads at once (64 bytes
in float16, 128 in float32)."""
START = 128
PIECE = 16384
"""Numbers that torch computes with at once in one thread alone. Adapters are read piece by piece, so that who draws
meanwhile keeps the other cores."""


@dataclass(frozen=True, kw_only=True)
class Laid:
    """Where the two factors of one layer lie in the buffer, in numbers."""

    place: Place
    down_at: int
    down_shape: tuple[int, ...]
    up_at: int
    up_shape: tuple[int, ...]

    @property
    def begin(self) -> int:
        return min(self.down_at, self.up_at)

    @property
    def end(self) -> int:
        return max(self.down_at + prod(self.down_shape), self.up_at + prod(self.up_shape))


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatAdapter:
    """One adapter, held in one buffer wherever that lies."""

    sha256: str
    """Of the adapter's own file, whatever it was read from: the name under which it is kept."""
    numbers_N: Tensor
    laid: tuple[Laid, ...]
    style_guidance: float

    @cached_property
    def adapter(self) -> Adapter:
        """The adapter as rows wear it, in views of the buffer; always the same one."""
        changes = {
            one.place: LayerChange(
                down=self._factor(one.down_at, one.down_shape), up=self._factor(one.up_at, one.up_shape)
            )
            for one in self.laid
        }
        return replace(adapter_of(changes), style_guidance=self.style_guidance)

    @property
    def num_bytes(self) -> int:
        return self.numbers_N.nbytes

    def to(self, device: torch.device, dtype: torch.dtype) -> "FlatAdapter":
        """The same elsewhere or in other numbers, by one copy; itself where nothing changes."""
        if (self.numbers_N.device, self.numbers_N.dtype) == (device, dtype):
            return self
        if device.type != "cpu":
            return replace(self, numbers_N=self.numbers_N.to(device, non_blocking=True).to(dtype))
        numbers_N = torch.empty(len(self.numbers_N), dtype=dtype)
        _copy(self.numbers_N, numbers_N)
        return replace(self, numbers_N=numbers_N)

    @property
    def is_finite(self) -> bool:
        return all(bool(torch.isfinite(piece).all()) for piece in torch.split(self.numbers_N, PIECE))

    def wipe(self) -> None:
        """Overwrite the numbers: nothing is left of them where they lay, whoever still holds the buffer."""
        self.numbers_N.zero_()

    def _factor(self, at: int, shape: tuple[int, ...]) -> Tensor:
        return self.numbers_N[at : at + prod(shape)].view(shape)


def lay_flat(adapter: Adapter, *, sha256: str) -> FlatAdapter:
    """Lay an adapter's factors side by side, in float32 on the CPU. sha256: of its file."""
    laid, at = [], 0
    # Sorted: the library that reads safetensors gives them in another order every time.
    changes = dict(sorted(places_of(adapter).items()))
    for place, change in changes.items():
        up_at = _aligned(at + change.down.numel())
        shapes = {"down_shape": tuple(change.down.shape), "up_shape": tuple(change.up.shape)}
        laid.append(Laid(place=place, down_at=at, up_at=up_at, **shapes))
        at = _aligned(up_at + change.up.numel())
    flat = FlatAdapter(
        sha256=sha256, numbers_N=torch.zeros(at), laid=tuple(laid), style_guidance=adapter.style_guidance
    )
    for place, held in places_of(flat.adapter).items():
        _copy(changes[place].down, held.down)
        _copy(changes[place].up, held.up)
    return flat


def flat_bytes(flat: FlatAdapter, manifest: AdapterManifest, names: AdapterNames) -> bytes:
    """A flat file, the same bytes for the same adapter. manifest: of the adapter's file, with the base it was read for.

    In float16 where that holds every number exactly, as it does for what trainings write; else in float32.
    """
    half_N = flat.numbers_N.to(torch.float16)
    numbers_N = half_N if torch.equal(half_N.to(torch.float32), flat.numbers_N) else flat.numbers_N
    table = [
        [diffusers_stem(names, one.place), one.down_at, one.down_shape, one.up_at, one.up_shape] for one in flat.laid
    ]
    tensors = {NUMBERS: numbers_N}
    words = {FLAT: FORM, MADE_FROM: flat.sha256, LAYERS: json.dumps(table, separators=(",", ":"))}
    metadata = manifest.as_metadata(tensors_sha256=tensors_sha256(tensors))
    return adapter_bytes(tensors, {**metadata, **words}, start=START)


def read_flat(
    body: Tensor,
    file: str,
    header: Mapping[str, object],
    manifest: AdapterManifest,
    place_of: Mapping[str, Place],
    *,
    sha256: str,
) -> FlatAdapter:
    """Read a flat file, called `file` in messages, without a copy: its numbers stay where they are.

    body: what comes after the header, as uint8. sha256: of the adapter that it should have been made from. Raises
    AdapterRefused if it is none, of another form, made from another adapter, or names places outside of itself;
    WrongBase if it names layers that this base lacks.
    """
    metadata = metadata_in(header, file)
    if metadata.get(FLAT) != FORM:
        form = metadata.get(FLAT)
        what = "is no flat adapter file" if form is None else f"is a flat adapter file of the form {str(form)[:20]!r}"
        raise AdapterRefused(f"{file} {what}, form {FORM!r} is read here; use the adapter's own file")
    if metadata.get(MADE_FROM) != sha256:
        raise AdapterRefused(
            f"{file} was made from the adapter {str(metadata.get(MADE_FROM))[:12]}..., not from {sha256[:12]}...; use"
            " the adapter's own file"
        )
    try:
        numbers_N = _numbers_in(body, header)
        laid = tuple(_laid(entry, file, place_of) for entry in json.loads(str(metadata[LAYERS])))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AdapterRefused(f"{file} has a damaged table ({error!r}); use the adapter's own file") from error
    if not laid or min(one.begin for one in laid) < 0 or max(one.end for one in laid) > len(numbers_N):
        raise AdapterRefused(f"{file} names numbers that it does not hold; use the adapter's own file")
    return FlatAdapter(sha256=sha256, numbers_N=numbers_N, laid=laid, style_guidance=manifest.style_guidance)


def _numbers_in(body: Tensor, header: Mapping[str, object]) -> Tensor:
    entry = header[NUMBERS]
    if not isinstance(entry, Mapping) or entry["data_offsets"] != [0, len(body)]:
        raise ValueError(f"{len(body)} bytes, told are {entry!r}")
    return body.view({word: dtype for dtype, word in DTYPES.items()}[entry["dtype"]])


def _laid(entry: Sequence[object], file: str, place_of: Mapping[str, Place]) -> Laid:
    stem, down_at, down_shape, up_at, up_shape = entry
    return Laid(
        place=place_named(str(stem), file, place_of),
        down_at=_number(down_at),
        down_shape=_shape(down_shape, (2, 4)),
        up_at=_number(up_at),
        up_shape=_shape(up_shape, (2,)),
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def _shape(value: object, num_edges: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) not in num_edges or min(map(_number, value)) <= 0:
        raise TypeError(f"{value!r} is no shape")
    return tuple(value)


def _copy(source: Tensor, target: Tensor) -> None:
    """Into contiguous memory, in its numbers."""
    pieces = zip(torch.split(target.view(-1), PIECE), torch.split(source.reshape(-1), PIECE), strict=True)
    for into, piece in pieces:
        into.copy_(piece)


def _aligned(at: int) -> int:
    return -(-at // ALIGNED) * ALIGNED
