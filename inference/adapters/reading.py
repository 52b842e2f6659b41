"""From what a reference names to an adapter in memory: read, hashed and checked, from either kind of file."""

import hashlib
import io
import os
from dataclasses import replace

import torch
from torch import Tensor

from inference.adapters.files import places_by_stem, places_of, read_adapter
from inference.adapters.flat import FlatAdapter, flat_bytes, lay_flat, read_flat
from inference.adapters.manifest import AdapterManifest, manifest_from, manifest_of, read_header
from inference.adapters.stack import Adapter, StackedAdapters, changeable_layers
from inference.bases import Base
from inference.catalog import BaseSpec
from inference.errors import AdapterRefused, WrongBase
from inference.messages import AdapterRef


class AdapterReader:
    """Reads adapters for one open base. Any thread may; nothing here changes."""

    def __init__(self, base: Base, stack: StackedAdapters) -> None:
        """`stack` is laid over the denoiser of `base`."""
        self._base, self._stack = base, stack
        self._place_of = places_by_stem(
            base.names, changeable_layers(stack.model), changeable_layers(base.text_stack.model)
        )
        self._dtype = next(stack.model.parameters()).dtype

    def read(self, ref: AdapterRef) -> FlatAdapter:
        """The adapter of `ref`: on a CPU in the base's own numbers, else in the file's, where a GPU copies from.

        The bytes that are hashed are the bytes that are read, so what is kept under a hash is what the hash says. Both
        kinds of file give the same numbers, bit for bit. Raises AdapterRefused.
        """
        try:
            flat = self._read_own(ref) if ref.flat_sha256 is None else self._read_flat(ref, ref.flat_sha256)
        except FileNotFoundError as error:
            raise AdapterRefused(f"there is no adapter file {ref.path.name!r}; check the path") from error
        except OSError as error:
            raise AdapterRefused(f"the adapter file {ref.path.name!r} cannot be read ({error.strerror})") from error
        return flat.to(self._base.device, self._dtype) if self._base.device.type == "cpu" else flat

    def flat_file(self, content: bytes, file: str) -> bytes:
        """The flat file of an adapter file, called `file` in messages. Raises AdapterRefused as `read` does."""
        manifest = manifest_of(content, file)
        require_same_base(manifest, file, self._base.spec, self._base.sha256)
        named = replace(manifest, base=self._base.spec.id, base_sha256=self._base.sha256)
        flat = self._flattened(content, file, manifest, sha256=hashlib.sha256(content).hexdigest())
        return flat_bytes(flat, named, self._base.names)

    def _read_own(self, ref: AdapterRef) -> FlatAdapter:
        content, file = ref.path.read_bytes(), ref.path.name
        manifest = manifest_of(content, file)
        require_same_base(manifest, file, self._base.spec, self._base.sha256)
        require_sha256(hashlib.sha256(content).hexdigest(), ref.sha256, file)
        return self._flattened(content, file, manifest, sha256=ref.sha256)

    def _flattened(self, content: bytes, file: str, manifest: AdapterManifest, *, sha256: str) -> FlatAdapter:
        adapter = replace(read_adapter(content, file, self._place_of), style_guidance=manifest.style_guidance)
        self._check(adapter)
        flat = lay_flat(adapter, sha256=sha256)
        require_finite(flat, file)
        return flat

    def _read_flat(self, ref: AdapterRef, flat_sha256: str) -> FlatAdapter:
        content, file = self._content(ref), ref.path.name
        view = content.numpy().data
        start = 8 + int.from_bytes(view[:8], "little")
        header = read_header(io.BytesIO(view[:start]), file)
        manifest = manifest_from(header, file)
        require_same_base(manifest, file, self._base.spec, self._base.sha256)
        require_sha256(hashlib.sha256(view).hexdigest(), flat_sha256, file)
        flat = read_flat(content[start:], file, header, manifest, self._place_of, sha256=ref.sha256)
        self._check(flat.adapter)
        return flat

    def _check(self, adapter: Adapter) -> None:
        self._stack.check(adapter.layers)
        self._base.text_stack.check(adapter.text_layers)

    def _content(self, ref: AdapterRef) -> Tensor:
        """A whole file's bytes, where a GPU can copy them from by itself if there is one."""
        with ref.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = torch.empty(size, dtype=torch.uint8, pin_memory=self._base.device.type == "cuda")
            if file.readinto(content.numpy().data) != size:
                raise AdapterRefused(f"{ref.path.name} became shorter while it was read; get the file again")
        return content


def require_same_base(manifest: AdapterManifest, file: str, spec: BaseSpec, base_sha256: str) -> None:
    """Raise WrongBase if an adapter file says that it was trained for another base. A silent file passes."""
    if manifest.base and manifest.base != spec.id:
        raise WrongBase(f"{file} was trained for the base {manifest.base!r}, not {spec.id!r}; draw with that base")
    if manifest.base_sha256 and manifest.base_sha256 != base_sha256:
        raise WrongBase(
            f"{file} was trained for another version of the base {spec.id!r} "
            f"({manifest.base_sha256[:12]}..., here is {base_sha256[:12]}...); restore that version or train again"
        )


def require_sha256(found: str, expected: str, file: str) -> None:
    """Raise AdapterRefused if a file is not the one that was meant."""
    if found != expected:
        raise AdapterRefused(f"{file} has the SHA-256 {found[:12]}..., expected was {expected[:12]}...; get it again")


def require_finite(flat: FlatAdapter, file: str) -> None:
    """Raise AdapterRefused, naming the layer, if an adapter holds numbers that are not finite."""
    if flat.is_finite:
        return
    broken = (
        place[1]
        for place, change in places_of(flat.adapter).items()
        if not (torch.isfinite(change.down).all() and torch.isfinite(change.up).all())
    )
    raise AdapterRefused(f"{file} holds numbers that are not finite in the layer {next(broken)!r}; train it again")
