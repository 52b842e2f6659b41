"""Adapters' files that were sent to this process: in its memory alone, so nothing of them outlives it. Linux only."""

import os
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock


@dataclass(frozen=True, kw_only=True)
class _File:
    adapter_sha256: str
    handle: int
    num_bytes: int


class MemoryFiles:
    """Files by name within a budget of bytes; what is being read stays whatever the budget. Any thread may call it."""

    def __init__(self, *, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._files: OrderedDict[str, _File] = OrderedDict()
        """The one used longest ago first."""
        self._used: Counter[_File] = Counter()
        self._forgotten: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def adapters(self) -> frozenset[str]:
        """Those of which a file is here, by hash."""
        with self._lock:
            return frozenset(file.adapter_sha256 for file in self._files.values())

    def times_forgotten(self, adapter_sha256: str) -> int:
        """How often an adapter was forgotten; what is brought of it from now on is `keep`'s as long as that holds."""
        with self._lock:
            return self._forgotten[adapter_sha256]

    def keep(self, name: str, content: bytes, *, adapter_sha256: str, times_forgotten: int | None = None) -> bool:
        """Have a file here; one that is here already stays. False where its adapter was forgotten meanwhile: it comes
        too late."""
        handle = os.memfd_create(name)
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
        with self._lock:
            is_late = times_forgotten not in (None, self._forgotten[adapter_sha256])
            if is_late or name in self._files:
                os.close(handle)
                return not is_late
            self._files[name] = _File(adapter_sha256=adapter_sha256, handle=handle, num_bytes=len(content))
            self._make_room()
        return True

    @contextmanager
    def use(self, name: str) -> Iterator[Path]:
        """Where a file can be read until the end of the block. Raises KeyError where it is not here."""
        with self._lock:
            file = self._files[name]
            self._files.move_to_end(name)
            self._used[file] += 1
        try:
            yield Path(f"/proc/self/fd/{file.handle}")
        finally:
            with self._lock:
                self._used[file] -= 1
                if self._files.get(name) is not file:
                    self._close_if_free(file)
                self._make_room()

    def forget(self, adapter_sha256: str) -> None:
        """Delete the files of an adapter: whoever reads on reads nothing."""
        with self._lock:
            self._forgotten[adapter_sha256] += 1
            for name in [name for name, file in self._files.items() if file.adapter_sha256 == adapter_sha256]:
                file = self._files.pop(name)
                os.ftruncate(file.handle, 0)
                self._close_if_free(file)

    def _make_room(self) -> None:
        total = sum(file.num_bytes for file in self._files.values())
        # The newest stays: whoever brought it is about to use it.
        for name, file in list(self._files.items())[:-1]:
            if total <= self._budget_bytes:
                return
            if not self._used[file]:
                total -= file.num_bytes
                del self._files[name]
                self._close_if_free(file)

    def _close_if_free(self, file: _File) -> None:
        # A number that is closed may become another file's, so it stays while somebody reads.
        if not self._used[file]:
            del self._used[file]
            os.close(file.handle)
