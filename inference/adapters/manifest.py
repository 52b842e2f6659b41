"""What an adapter file says about itself, read from its header alone. Thin: neither torch nor safetensors.

The words are those of the ModelSpec standard (Stability-AI/ModelSpec, 1.0.0); `ownhand.*` is added for the exact base.
A file never names its creator, its captions, or a path.
"""

import hashlib
import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from inference.errors import AdapterRefused

MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_STYLE_GUIDANCE = 20.0
NUMBER = re.compile(r"\d{1,4}(\.\d{1,9})?")


@dataclass(frozen=True, kw_only=True)
class AdapterManifest:
    """One adapter. Empty fields: the file does not say."""

    trigger: str = ""
    base: str = ""
    """Id of the base it was trained for."""
    base_sha256: str = ""
    """Fingerprint of that base."""
    rank: int = 0
    resolution: str = ""
    """`<width>x<height>` in pixels."""
    prediction_type: str = ""
    style_guidance: float = 0.0
    """What the style weighs, measured when it was trained (see `inference.guidance`)."""

    def as_metadata(self, *, tensors_sha256: str) -> dict[str, str]:
        """The header's metadata for these facts. `tensors_sha256`: of the file's tensor bytes."""
        return {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": f"{self.base}/lora",
            "modelspec.implementation": "diffusers",
            "modelspec.title": f"Style adapter {self.trigger}",
            "modelspec.resolution": self.resolution,
            "modelspec.prediction_type": self.prediction_type,
            "modelspec.trigger_phrase": self.trigger,
            "modelspec.usage_hint": f"prompt: <what>, {self.trigger} style",
            "modelspec.hash_sha256": f"0x{tensors_sha256}",
            "ownhand.base": self.base,
            "ownhand.base_sha256": self.base_sha256,
            "ownhand.rank": str(self.rank),
            "ownhand.style_guidance": f"{self.style_guidance:g}",
        }


def read_manifest(path: Path) -> AdapterManifest:
    """Read the manifest of a safetensors file, and nothing else of it. Raises AdapterRefused if it is not one."""
    try:
        with path.open("rb") as file:
            return _read(file, path.name)
    except FileNotFoundError as error:
        raise AdapterRefused(f"there is no adapter file {path.name!r}; check the path") from error
    except OSError as error:
        raise AdapterRefused(f"the adapter file {path.name!r} cannot be read ({error.strerror}); check it") from error


def manifest_of(content: bytes, name: str) -> AdapterManifest:
    """The manifest of a safetensors file's content, called `name` in messages. Raises AdapterRefused."""
    return _read(io.BytesIO(content), name)


def _read(file: BinaryIO, name: str) -> AdapterManifest:
    return manifest_from(read_header(file, name), name)


def manifest_from(header: Mapping[str, object], name: str) -> AdapterManifest:
    """The manifest in a header that `read_header` gave. Raises AdapterRefused."""
    metadata = metadata_in(header, name)
    rank = str(metadata.get("ownhand.rank", ""))
    return AdapterManifest(
        trigger=str(metadata.get("modelspec.trigger_phrase", "")),
        base=str(metadata.get("ownhand.base", "")),
        base_sha256=str(metadata.get("ownhand.base_sha256", "")),
        rank=int(rank) if rank.isdecimal() else 0,
        resolution=str(metadata.get("modelspec.resolution", "")),
        prediction_type=str(metadata.get("modelspec.prediction_type", "")),
        style_guidance=_guidance(str(metadata.get("ownhand.style_guidance", "0")), name),
    )


def metadata_in(header: Mapping[str, object], name: str) -> Mapping[str, object]:
    """The words beside the tensors; none where the file has none. Raises AdapterRefused."""
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, Mapping):
        raise AdapterRefused(f"{name} has a damaged header; get the file again from where it came")
    return metadata


def _guidance(text: str, name: str) -> float:
    guidance = float(text) if NUMBER.fullmatch(text) else -1.0
    if not 0 <= guidance <= MAX_STYLE_GUIDANCE:
        raise AdapterRefused(
            f"{name} says that its style weighs {text[:20]!r}; 0 to {MAX_STYLE_GUIDANCE:g} is possible: train it again"
        )
    return guidance


def read_header(file: BinaryIO, name: str) -> dict[str, object]:
    """The JSON header of a safetensors file: tensor names, shapes, metadata. Raises AdapterRefused."""
    prefix = file.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise AdapterRefused(f"{name} is not a safetensors file; give the .safetensors file of an adapter")
    try:
        content = json.loads(file.read(length))
    except ValueError as error:
        raise AdapterRefused(f"{name} cannot be read as an adapter ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise AdapterRefused(f"{name} is not a safetensors file; give the .safetensors file of an adapter")
    return content


def file_sha256(path: Path) -> str:
    """SHA-256 of a whole file, the name that `AdapterRef.sha256` asks for. Raises AdapterRefused if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AdapterRefused(f"the adapter file {path.name!r} cannot be read ({error.strerror}); check it") from error
