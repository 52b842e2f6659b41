"""Adapters kept open between pictures, by the hash of their file, within a budget of memory."""

import hashlib
from collections import OrderedDict
from dataclasses import replace

from inference.adapters.files import read_adapter
from inference.adapters.manifest import AdapterManifest, manifest_of
from inference.adapters.stack import Adapter, StackedAdapters, changeable_layers
from inference.bases import Base
from inference.catalog import BaseSpec
from inference.errors import AdapterRefused, WrongBase
from inference.messages import AdapterRef

BUDGET_BYTES = 512 * 1024 * 1024


class AdapterCache:
    """The adapters of one open base. Not for several threads at once: the engine's thread owns it."""

    def __init__(
        self,
        base: Base,
        stack: StackedAdapters,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        """`stack` is laid over the denoiser of `base`."""
        self._base, self._stack = base, stack
        self._budget_bytes = budget_bytes
        self._layers, self._text_layers = (list(changeable_layers(one.model)) for one in (stack, base.text_stack))
        self._dtype = next(stack.model.parameters()).dtype
        self._kept: OrderedDict[str, Adapter] = OrderedDict()

    def open(self, ref: AdapterRef) -> Adapter:
        """The adapter of `ref`, from memory or from its file.

        The bytes that are hashed are the bytes that are read, so what is kept under a hash is what the hash says.
        Raises AdapterRefused.
        """
        if ref.sha256 in self._kept:
            self._kept.move_to_end(ref.sha256)
            return self._kept[ref.sha256]
        try:
            content = ref.path.read_bytes()
        except FileNotFoundError as error:
            raise AdapterRefused(f"there is no adapter file {ref.path.name!r}; check the path") from error
        except OSError as error:
            raise AdapterRefused(f"the adapter file {ref.path.name!r} cannot be read ({error.strerror})") from error
        manifest = manifest_of(content, ref.path.name)
        require_same_base(manifest, ref.path.name, self._base.spec, self._base.sha256)
        found = hashlib.sha256(content).hexdigest()
        if found != ref.sha256:
            raise AdapterRefused(
                f"{ref.path.name} has the SHA-256 {found[:12]}..., expected was {ref.sha256[:12]}...; get it again"
            )
        adapter = read_adapter(
            content,
            ref.path.name,
            self._base.names,
            layers=self._layers,
            text_layers=self._text_layers,
            device=self._base.device,
            dtype=self._dtype,
        )
        self._stack.check(adapter.layers)
        self._base.text_stack.check(adapter.text_layers)
        adapter = replace(adapter, style_guidance=manifest.style_guidance)
        self._kept[ref.sha256] = adapter
        self._make_room()
        return adapter

    def forget(self, sha256: str) -> None:
        """Drop an adapter that may no longer be used."""
        self._kept.pop(sha256, None)

    @property
    def num_bytes(self) -> int:
        """Memory that the kept adapters take."""
        return sum(adapter.num_bytes for adapter in self._kept.values())

    def _make_room(self) -> None:
        while len(self._kept) > 1 and self.num_bytes > self._budget_bytes:
            self._kept.popitem(last=False)


def require_same_base(manifest: AdapterManifest, file: str, spec: BaseSpec, base_sha256: str) -> None:
    """Raise WrongBase if an adapter file says that it was trained for another base. A silent file passes."""
    if manifest.base and manifest.base != spec.id:
        raise WrongBase(f"{file} was trained for the base {manifest.base!r}, not {spec.id!r}; draw with that base")
    if manifest.base_sha256 and manifest.base_sha256 != base_sha256:
        raise WrongBase(
            f"{file} was trained for another version of the base {spec.id!r} "
            f"({manifest.base_sha256[:12]}..., here is {base_sha256[:12]}...); restore that version or train again"
        )
