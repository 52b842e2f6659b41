"""Adapters' files on this machine's disk, between the object store and memory: `home/cache/adapters`.

A file lies there under the hash of its adapter, for this user alone; it appears whole, by renaming. Files that were
used longest ago make room. What lies there outlives a restart, but not its style: whoever hears that something is no
longer sold says `forget` (`service.purging`). Several workers may share a home: the kernel's locks say which files are
in use, also where their user was killed.
"""

import asyncio
import fcntl
import logging
import os
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inference.messages import AdapterRef, Tier
from service.errors import AdapterWithdrawn, ObjectMissing
from service.versions import Version

log = logging.getLogger("ownhand.adapter_files")

Fetch = Callable[[str, str, str], Awaitable[bytes]]
"""What brings a file: its key, its SHA-256 and the job that it is for. Raises ObjectMissing; ValueError for other bytes
than those; FileRefused where it is not this job's."""

_UNFINISHED = "."
"""What the names of files begin with that are not whole yet."""


@dataclass(frozen=True, kw_only=True)
class Lent:
    """A file that stays where it is until it is given back."""

    ref: AdapterRef
    was_there: bool
    """It was not brought for this."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    path: Path
    key: str
    sha256: str
    adapter_sha256: str

    @property
    def is_flat(self) -> bool:
        return self.sha256 != self.adapter_sha256


class AdapterFiles:
    """The files of one worker. Its methods belong to the event loop; what blocks is done beside it."""

    def __init__(self, folder: Path, fetch: Fetch, *, budget_bytes: int) -> None:
        self._folder, self._fetch, self._budget_bytes = folder, fetch, budget_bytes
        self._lent: Counter[str] = Counter()
        self._coming: dict[Path, tuple[_Wanted, asyncio.Task[None]]] = {}
        """What is on its way. What was forgotten meanwhile is no longer here: whenever it comes then, it comes late."""
        self._known: set[str] = set()
        self._unfit: set[str] = set()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @asynccontextmanager
    async def lend(self, version: Version, *, job: str) -> AsyncIterator[Lent]:
        """A version's file until the end of the block, brought where it is not here: its flat file if it has one, else
        its own.

        job: what it is brought for, an order or, ahead of orders, the version.
        Raises AdapterWithdrawn where it was forgotten while it was brought, ObjectMissing where nobody has it.
        """
        self._known.add(version.adapter_sha256)
        self._lent[version.adapter_sha256] += 1
        try:
            handle, wanted, was_there = await self._hold(version, job)
            try:
                yield Lent(ref=_ref(version, wanted), was_there=was_there)
            finally:
                os.close(handle)
        finally:
            self._lent[version.adapter_sha256] -= 1

    def forget(self, adapter_sha256: str) -> dict[str, int]:
        """Delete an adapter's files, lent or not; one that is on its way is thrown away when it comes.

        Returns the bytes of each file that lay here, by its name.
        """
        deleted = {}
        with self._lock:
            for path in _paths(self._folder, adapter_sha256):
                self._coming.pop(path, None)
                with suppress(FileNotFoundError):
                    deleted[path.name] = path.stat().st_size
                    path.unlink()
        self._known.discard(adapter_sha256)
        return deleted

    def turn_down(self, lent: Lent) -> bool:
        """A file that could not be used: it is deleted. True where another one can be had: the adapter's own file
        instead of a flat one, a fresh one instead of one that lay here."""
        lent.ref.path.unlink(missing_ok=True)
        if lent.ref.flat_sha256 is not None:
            self._unfit.add(lent.ref.flat_sha256)
        return lent.was_there or lent.ref.flat_sha256 is not None

    def idle(self) -> set[str]:
        """Adapters that lie here, or were here since this process began, and that nobody has on loan now."""
        here = {path.stem for path in self._folder.glob("*") if not path.name.startswith(_UNFINISHED)}
        return {adapter for adapter in here | self._known if not self._lent[adapter]}

    def sweep(self) -> None:
        """Delete what processes left unfinished when they were killed."""
        for path in self._folder.glob(f"{_UNFINISHED}*"):
            _unlink_if_free(path)

    @property
    def tier(self) -> Tier:
        return Tier(hits=self._hits, misses=self._misses, num_bytes=sum(size for _, size, _ in self._by_use()))

    async def _hold(self, version: Version, job: str) -> tuple[int, _Wanted, bool]:
        was_there = True
        while True:
            wanted = self._choose(version)
            handle = _hold(wanted.path)
            if handle is not None:
                self._hits += was_there
                os.utime(handle)
                return handle, wanted, was_there
            was_there = False
            try:
                await self._bring(wanted, job)
            except (ObjectMissing, ValueError) as error:
                if not wanted.is_flat:
                    raise
                log.warning("%s cannot be used (%s); the adapter's own file is read instead", wanted.key, error)
                self._unfit.add(wanted.sha256)

    def _choose(self, version: Version) -> _Wanted:
        own, flat = _paths(self._folder, version.adapter_sha256)
        sha256 = version.adapter_sha256
        if version.flat_key is None or version.flat_sha256 is None or version.flat_sha256 in self._unfit:
            return _Wanted(path=own, key=version.adapter_key, sha256=sha256, adapter_sha256=sha256)
        return _Wanted(path=flat, key=version.flat_key, sha256=version.flat_sha256, adapter_sha256=sha256)

    async def _bring(self, wanted: _Wanted, job: str) -> None:
        """Have the file come, once for all who want it."""
        if wanted.path not in self._coming:
            self._misses += 1
            task = asyncio.create_task(self._fetch_and_keep(wanted, job))
            self._coming[wanted.path] = (wanted, task)
            task.add_done_callback(lambda task: self._came(wanted, task))
        await asyncio.shield(self._coming[wanted.path][1])

    def _came(self, wanted: _Wanted, task: asyncio.Task[None]) -> None:
        if self._is_coming(wanted):
            del self._coming[wanted.path]
        if not task.cancelled():
            # Looked at, also where all who wanted it have gone.
            task.exception()

    def _is_coming(self, wanted: _Wanted) -> bool:
        return wanted.path in self._coming and self._coming[wanted.path][0] is wanted

    async def _fetch_and_keep(self, wanted: _Wanted, job: str) -> None:
        content = await self._fetch(wanted.key, wanted.sha256, job)
        await asyncio.to_thread(self._keep, wanted, content)

    def _keep(self, wanted: _Wanted, content: bytes) -> None:
        # Here and not at the start: a cache may be deleted at any time.
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.parent.chmod(0o700)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=_UNFINISHED)
        unfinished = Path(name)
        with os.fdopen(handle, "wb") as file:
            # Held, so that nobody takes it for what a killed process left, or for the one used longest ago.
            fcntl.flock(file, fcntl.LOCK_SH)
            try:
                file.write(content)
                file.flush()
                self._place(unfinished, wanted)
            finally:
                unfinished.unlink(missing_ok=True)
            self._make_room()

    def _place(self, unfinished: Path, wanted: _Wanted) -> None:
        with self._lock:
            if not self._is_coming(wanted):
                raise AdapterWithdrawn(
                    f"the adapter {wanted.adapter_sha256[:12]}... was switched off while it was fetched"
                )
            unfinished.replace(wanted.path)

    def _make_room(self) -> None:
        files = self._by_use()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._budget_bytes:
                return
            total -= size if _unlink_if_free(path) else 0

    def _by_use(self) -> list[tuple[int, int, Path]]:
        """(moment of the last use, bytes, path) of every whole file, the one used longest ago first."""
        found = []
        for path in self._folder.glob("*"):
            # Another process may delete it meanwhile.
            with suppress(FileNotFoundError):
                if not path.name.startswith(_UNFINISHED):
                    stat = path.stat()
                    found.append((stat.st_mtime_ns, stat.st_size, path))
        return sorted(found)


def _paths(folder: Path, adapter_sha256: str) -> tuple[Path, Path]:
    """Where an adapter's own file lies, and its flat one."""
    return folder / f"{adapter_sha256}.safetensors", folder / f"{adapter_sha256}.flat"


def _ref(version: Version, wanted: _Wanted) -> AdapterRef:
    return AdapterRef(
        path=wanted.path,
        sha256=wanted.adapter_sha256,
        flat_sha256=wanted.sha256 if wanted.is_flat else None,
        trigger=version.trigger or None,
    )


def _hold(path: Path) -> int | None:
    """Open a file so that it is not deleted for room; None where it is not there."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        fcntl.flock(handle, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        # Another process deleted or replaced it at this very moment.
        os.close(handle)


def _unlink_if_free(path: Path) -> bool:
    with _free(path) as is_free:
        if is_free:
            path.unlink(missing_ok=True)
    return is_free


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Whether nobody holds the file; nobody can while this is open."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
