"""Adapters of random numbers: strong enough that wearing the wrong one shows."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from inference.adapters.files import diffusers_names
from inference.adapters.manifest import file_sha256
from inference.adapters.names import AdapterNames
from inference.adapters.stack import Adapter, LayerChange, target_layers
from inference.bases.sd import StableDiffusion
from inference.messages import AdapterRef


def random_adapter(model: nn.Module, endings: tuple[str, ...], *, seed: int, rank: int) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for name, layer in target_layers(model, endings).items():
        out, *rest = layer.weight.shape
        down = torch.randn(rank, *rest, generator=generator) / rank
        layers[name] = LayerChange(down=down, up=torch.randn(out, rank, generator=generator) * 0.2)
    return Adapter(layers=layers)


def write_adapter(
    path: Path,
    adapter: Adapter,
    *,
    names: AdapterNames = StableDiffusion.names,
    metadata: dict[str, str] | None = None,
) -> AdapterRef:
    save_file(diffusers_names(adapter, names), path, metadata={"format": "pt", **(metadata or {})})
    return AdapterRef(path=path, sha256=file_sha256(path))
