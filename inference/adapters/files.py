"""Adapter files: diffusers, older diffusers and kohya names in, diffusers or kohya names out.

Which names those are, a base says (`names.AdapterNames`); nothing here knows a family. A stem is what files call a
layer: the key of a tensor without the ending that says which half of the layer it is.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from inference.adapters.names import AdapterNames, Naming, Part
from inference.adapters.stack import Adapter, LayerChange
from inference.errors import AdapterRefused, WrongBase

HALVES = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".alpha": "alpha",
}
UNKNOWN_KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "Tucker LoCon",
}
Place = tuple[str, str]
"""The folder of a text encoder, or nothing for the denoiser; and the name of a layer in it."""
DTYPES = {torch.float16: "F16", torch.float32: "F32"}


def read_adapter(content: bytes, file: str, place_of: Mapping[str, Place]) -> Adapter:
    """Read the content of an adapter file, called `file` in messages, for a base whose stems are `places_by_stem`.

    Its tensors are on the CPU, in the file's own precision or, where a scale was multiplied in, in float32. Raises
    AdapterRefused if the file cannot be read or holds a kind of adapter that is not plain LoRA over denoiser and text
    encoders, WrongBase if it names layers that this base lacks.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterRefused(f"{file} cannot be read as an adapter ({error}); get the file again") from error
    halves: dict[Place, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        stem, half = _split(key, file)
        halves.setdefault(place_named(stem, file, place_of), {})[half] = value
    if not halves:
        raise AdapterRefused(f"{file} is empty; train or download the adapter again")
    return adapter_of({place: _change(found, place[1], file) for place, found in halves.items()})


def places_by_stem(names: AdapterNames, layers: Iterable[str], text_layers: Iterable[str]) -> dict[str, Place]:
    """Every stem under which files may name a layer of a base that has layers of these names -> the layer."""
    places = [*map(_place, layers), *map(_text_place, text_layers)]
    return {naming(place[1]): place for place in places for naming in _part(names, place).namings}


def place_named(stem: str, file: str, place_of: Mapping[str, Place]) -> Place:
    """The layer that a file, called `file` in messages, names. Raises WrongBase where the base has none."""
    if stem not in place_of:
        raise WrongBase(f"{file} changes the layer {stem!r}, which this base does not have: another base's?")
    return place_of[stem]


def diffusers_stem(names: AdapterNames, place: Place) -> str:
    """What diffusers' files call a layer: the same whatever version of a library names it in its network."""
    return _part(names, place).diffusers(place[1])


def places_of(adapter: Adapter) -> dict[Place, LayerChange]:
    """What an adapter changes, over the denoiser and over text encoders alike."""
    return {_place(name): change for name, change in adapter.layers.items()} | {
        _text_place(name): change for name, change in adapter.text_layers.items()
    }


def adapter_of(changes: Mapping[Place, LayerChange]) -> Adapter:
    """The adapter that changes so much."""
    return Adapter(
        layers={name: change for (folder, name), change in changes.items() if not folder},
        text_layers={f"{folder}.{name}": change for (folder, name), change in changes.items() if folder},
    )


def diffusers_names(adapter: Adapter, names: AdapterNames) -> dict[str, Tensor]:
    """Tensors by the names that diffusers' `load_lora_weights` and peft read. The scale is 1."""
    stems = {diffusers_stem(names, place): change for place, change in places_of(adapter).items()}
    return _named(stems, (".lora_A.weight", ".lora_B.weight"))


def kohya_names(adapter: Adapter, names: AdapterNames) -> dict[str, Tensor]:
    """Tensors by the names of kohya's tools and the programs that follow them; alpha equals rank, so the scale is 1.

    Raises ValueError for a base that kohya's tools have no names for.
    """
    stems = {_kohya(_part(names, place))(place[1]): change for place, change in places_of(adapter).items()}
    return _named(stems, (".lora_down.weight", ".lora_up.weight")) | {
        f"{stem}.alpha": _rank(change) for stem, change in stems.items()
    }


def adapter_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, start: int = 8) -> bytes:
    """A safetensors file, the same bytes for the same content: the library's own writer shuffles metadata.

    Format: 8 bytes of header length, a JSON header, then, from a multiple of `start` bytes on, the tensors in the
    header's order.
    """
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    parts, offset = [], 0
    for name, tensor in sorted(tensors.items()):
        content = tensor.detach().cpu().contiguous().numpy().tobytes()
        span = [offset, offset + len(content)]
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": span}
        parts.append(content)
        offset += len(content)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % start)
    return struct.pack("<Q", len(encoded)) + encoded + b"".join(parts)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensor bytes as `adapter_bytes` lays them out."""
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _place(name: str) -> Place:
    return "", name


def _text_place(full: str) -> Place:
    folder, _, name = full.partition(".")
    return folder, name


def _part(names: AdapterNames, place: Place) -> Part:
    folder, _ = place
    return next(part for part in names.text if part.folder == folder) if folder else names.denoiser


def _kohya(part: Part) -> Naming:
    if part.kohya is None:
        raise ValueError(f"kohya's tools have no names for the layers of {part.folder!r}; write diffusers' names")
    return part.kohya


def _named(stems: Mapping[str, LayerChange], endings: tuple[str, str]) -> dict[str, Tensor]:
    tensors = {}
    for stem, change in stems.items():
        # Tools expect the second factor of a convolution as a 1x1 convolution.
        up = change.up if change.down.ndim == 2 else change.up[:, :, None, None]
        tensors[stem + endings[0]] = change.down
        tensors[stem + endings[1]] = up
    return tensors


def _rank(change: LayerChange) -> Tensor:
    return torch.tensor(float(change.down.shape[0]))


def _split(key: str, file: str) -> tuple[str, str]:
    for mark, kind in UNKNOWN_KINDS.items():
        if mark in key:
            raise AdapterRefused(f"{file} holds a {kind} adapter; only plain LoRA can be used, train it as that")
    for ending, half in HALVES.items():
        if key.endswith(ending):
            return key.removesuffix(ending), half
    raise AdapterRefused(f"{file} holds {key!r}, which is no part of a LoRA adapter; is it the right file?")


def _change(halves: Mapping[str, Tensor], name: str, file: str) -> LayerChange:
    if not {"down", "up"} <= set(halves):
        raise AdapterRefused(f"{file} has only half of the layer {name!r}; get the file again")
    down, up = halves["down"], halves["up"].flatten(1)
    if "alpha" in halves:
        up = up.to(torch.float32) * (halves["alpha"].item() / down.shape[0])
    return LayerChange(down=down, up=up)
