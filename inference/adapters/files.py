"""Adapter files: diffusers, older diffusers and kohya names in, diffusers or kohya names out."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from inference.adapters.stack import Adapter, LayerChange
from inference.errors import AdapterRefused, WrongBase

DIFFUSERS = "unet."
KOHYA = "lora_unet_"
PARTS = {
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
DTYPES = {torch.float16: "F16", torch.float32: "F32"}
TEXT_ENCODERS = ("text_encoder", "lora_te")


def read_adapter(
    content: bytes, file: str, layer_names: Iterable[str], *, device: torch.device, dtype: torch.dtype
) -> Adapter:
    """Read the content of an adapter file, called `file` in messages, for a model with the layers `layer_names`.

    Raises AdapterRefused if the file cannot be read or holds a kind of adapter that is not plain LoRA over the UNet,
    WrongBase if it names layers that this model lacks.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterRefused(f"{file} cannot be read as an adapter ({error}); get the file again") from error
    module_of = _names_in_files(layer_names)
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        stem, part = _split(key, file)
        if stem not in module_of:
            raise WrongBase(f"{file} changes the layer {stem!r}, which this base does not have: another base's?")
        parts.setdefault(module_of[stem], {})[part] = value.to(device, dtype)
    if not parts:
        raise AdapterRefused(f"{file} is empty; train or download the adapter again")
    return Adapter(layers={name: _change(found, name, file) for name, found in parts.items()})


def diffusers_names(layers: Mapping[str, LayerChange]) -> dict[str, Tensor]:
    """Tensors by the names that diffusers' `load_lora_weights` and peft read. The scale is 1."""
    return _named(layers, lambda name: DIFFUSERS + name, (".lora_A.weight", ".lora_B.weight"))


def kohya_names(layers: Mapping[str, LayerChange]) -> dict[str, Tensor]:
    """Tensors by the names of kohya's tools and the programs that follow them; alpha equals rank, so the scale is 1."""
    named = _named(layers, lambda name: KOHYA + name.replace(".", "_"), (".lora_down.weight", ".lora_up.weight"))
    alphas = {KOHYA + name.replace(".", "_") + ".alpha": _rank(change) for name, change in layers.items()}
    return named | alphas


def adapter_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file, the same bytes for the same content: the library's own writer shuffles metadata.

    Format: 8 bytes of header length, a JSON header padded to a multiple of 8, then the tensors in the header's order.
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
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + b"".join(parts)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensor bytes as `adapter_bytes` lays them out."""
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _named(
    layers: Mapping[str, LayerChange], stem: Callable[[str], str], endings: tuple[str, str]
) -> dict[str, Tensor]:
    tensors = {}
    for name, change in layers.items():
        # Tools expect the second factor of a convolution as a 1x1 convolution.
        up = change.up if change.down.ndim == 2 else change.up[:, :, None, None]
        tensors[stem(name) + endings[0]] = change.down
        tensors[stem(name) + endings[1]] = up
    return tensors


def _rank(change: LayerChange) -> Tensor:
    return torch.tensor(float(change.down.shape[0]))


def _names_in_files(layer_names: Iterable[str]) -> dict[str, str]:
    """Every stem under which files may name a layer -> the layer."""
    stems = {}
    for name in layer_names:
        stems[DIFFUSERS + name] = name
        stems[KOHYA + name.replace(".", "_")] = name
    return stems


def _split(key: str, file: str) -> tuple[str, str]:
    for mark, kind in UNKNOWN_KINDS.items():
        if mark in key:
            raise AdapterRefused(f"{file} holds a {kind} adapter; only plain LoRA can be used, train it as that")
    if key.startswith(TEXT_ENCODERS):
        raise AdapterRefused(f"{file} also changes the text encoder; train it for the UNet alone")
    for ending, part in PARTS.items():
        if key.endswith(ending):
            return key.removesuffix(ending), part
    raise AdapterRefused(f"{file} holds {key!r}, which is no part of a LoRA adapter; is it the right file?")


def _change(parts: Mapping[str, Tensor], name: str, file: str) -> LayerChange:
    if not {"down", "up"} <= set(parts):
        raise AdapterRefused(f"{file} has only half of the layer {name!r}; get the file again")
    down, up = parts["down"], parts["up"].flatten(1)
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise AdapterRefused(f"{file} holds numbers that are not finite in the layer {name!r}; train it again")
    if "alpha" in parts:
        up = up * (parts["alpha"].item() / down.shape[0])
    return LayerChange(down=down, up=up)
