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

UNET, TEXT = "unet", "text_encoder"
DIFFUSERS = f"{UNET}."
DIFFUSERS_TEXT = f"{TEXT}.text_model."
KOHYA = "lora_unet_"
KOHYA_TEXT = "lora_te_text_model_"
TEXT_MODEL = "text_model."
"""Newer transformers leave this out of a CLIP text model's layer names; files keep it, and older tools need it."""
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


def read_adapter(
    content: bytes,
    file: str,
    layer_names: Iterable[str],
    text_layer_names: Iterable[str],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Adapter:
    """Read the content of an adapter file, called `file` in messages, for a base with the layers of these names.

    Raises AdapterRefused if the file cannot be read or holds a kind of adapter that is not plain LoRA over UNet and
    text encoder, WrongBase if it names layers that this base lacks.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterRefused(f"{file} cannot be read as an adapter ({error}); get the file again") from error
    module_of = _names_in_files(layer_names) | _text_names_in_files(text_layer_names)
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, value in tensors.items():
        stem, part = _split(key, file)
        if stem not in module_of:
            raise WrongBase(f"{file} changes the layer {stem!r}, which this base does not have: another base's?")
        parts.setdefault(module_of[stem], {})[part] = value.to(device, dtype)
    if not parts:
        raise AdapterRefused(f"{file} is empty; train or download the adapter again")
    changes = {place: _change(found, place[1], file) for place, found in parts.items()}
    layers, text_layers = (
        {name: change for (model, name), change in changes.items() if model == wanted} for wanted in (UNET, TEXT)
    )
    return Adapter(layers=layers, text_layers=text_layers)


def diffusers_names(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors by the names that diffusers' `load_lora_weights` and peft read. The scale is 1."""
    stems = _stems(adapter, lambda name: DIFFUSERS + name, lambda name: DIFFUSERS_TEXT + name)
    return _named(stems, (".lora_A.weight", ".lora_B.weight"))


def kohya_names(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors by the names of kohya's tools and the programs that follow them; alpha equals rank, so the scale is 1."""
    stems = _stems(adapter, lambda name: KOHYA + _flat(name), lambda name: KOHYA_TEXT + _flat(name))
    return _named(stems, (".lora_down.weight", ".lora_up.weight")) | {
        f"{stem}.alpha": _rank(change) for stem, change in stems.items()
    }


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


def _stems(adapter: Adapter, unet: Callable[[str], str], text: Callable[[str], str]) -> dict[str, LayerChange]:
    """Every change by the name of its layer in files, without the ending of its part."""
    stems = {unet(name): change for name, change in adapter.layers.items()}
    return stems | {text(name.removeprefix(TEXT_MODEL)): change for name, change in adapter.text_layers.items()}


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


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _names_in_files(layer_names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Every stem under which files may name a layer of the UNet -> the layer."""
    stems = {}
    for name in layer_names:
        stems[DIFFUSERS + name] = stems[KOHYA + _flat(name)] = (UNET, name)
    return stems


def _text_names_in_files(layer_names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The same for the text encoder."""
    stems = {}
    for name in layer_names:
        short = name.removeprefix(TEXT_MODEL)
        for stem in (DIFFUSERS_TEXT + short, f"{TEXT}.{short}", KOHYA_TEXT + _flat(short)):
            stems[stem] = (TEXT, name)
    return stems


def _split(key: str, file: str) -> tuple[str, str]:
    for mark, kind in UNKNOWN_KINDS.items():
        if mark in key:
            raise AdapterRefused(f"{file} holds a {kind} adapter; only plain LoRA can be used, train it as that")
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
