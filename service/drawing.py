"""What a worker draws with: engines that open when an order needs their base, the watch, room for pictures.

Thin: what opens an engine is handed in by the worker, so the web process can name its stories without the model stack.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from inference.catalog import BaseSpec
from inference.fairness import FairQueue, Turn
from inference.messages import ImageRequest, Result, Step
from service.resources import Resources
from service.watch import Watch

log = logging.getLogger("ownhand.drawing")


class Draws(Protocol):
    """An open base (`inference.engine.Engine`)."""

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
    ) -> "Future[Result]": ...

    def forget(self, sha256: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entry:
    pictures: int
    turn: Turn
    entered: asyncio.Event


class Places:
    """Room for `count` pictures at once. Orders enter by turns of clients and creators, one as soon as a single place
    is free: an engine with a picture too many has work at hand, an order that waits outside is still queued."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._queue: FairQueue[_Entry] = FairQueue()

    @asynccontextmanager
    async def take(self, pictures: int, turn: Turn) -> AsyncIterator[None]:
        """Wait for one's turn, and have the places until the end of the block."""
        entry = _Entry(pictures=pictures, turn=turn, entered=asyncio.Event())
        self._queue.put(entry, turn)
        try:
            self._let_in()
            await entry.entered.wait()
            yield
        finally:
            if entry.entered.is_set():
                self._free += pictures
            self._queue.leave(entry)
            self._let_in()

    def _let_in(self) -> None:
        while self._free > 0 and (entry := self._queue.take()) is not None:
            self._free -= entry.pictures
            self._queue.charge(entry.turn, entry.pictures)
            entry.entered.set()


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What a worker draws with. Engines open when the first order needs their base, and stay."""

    watch: Watch
    open_engine: Callable[[BaseSpec], Draws]
    engines: dict[str, Draws]
    opening: asyncio.Lock
    places: Places
    folder: Path
    """For adapters while they are read: this worker's own, emptied when it ends and by the next if it was killed."""

    async def engine(self, spec: BaseSpec) -> Draws:
        async with self.opening:
            if spec.id not in self.engines:
                self.engines[spec.id] = await asyncio.to_thread(self.open_engine, spec)
            return self.engines[spec.id]

    def forget(self, adapter_sha256: str) -> None:
        """Let no engine keep an adapter that was switched off."""
        for engine in self.engines.values():
            engine.forget(adapter_sha256)

    def drop(self, engine: Draws) -> None:
        """Forget an engine that takes no more requests; the next order opens another."""
        for base in [base for base, known in self.engines.items() if known is engine]:
            del self.engines[base]


# One worker per process; set while `drawing_with` is open.
_studio: Studio | None = None


def studio() -> Studio:
    """This worker's studio."""
    assert _studio is not None, "this process takes no renderings"
    return _studio


@asynccontextmanager
async def drawing_with(opened: Resources, open_engine: Callable[[BaseSpec], Draws]) -> AsyncIterator[None]:
    """Let this process take renderings. Closes what it opened."""
    global _studio
    loop = asyncio.get_running_loop()
    engines: dict[str, Draws] = {}

    def hear(name: str) -> None:
        asyncio.run_coroutine_threadsafe(_forget_adapters(opened, engines, name), loop)

    with _own_folder(opened.settings.home) as folder, Watch(opened.database_url, on_switch=hear) as watch:
        _studio = Studio(
            watch=watch,
            open_engine=open_engine,
            engines=engines,
            opening=asyncio.Lock(),
            places=Places(opened.settings.max_rows),
            folder=folder,
        )
        try:
            yield
        finally:
            _studio = None
            for engine in engines.values():
                await asyncio.to_thread(engine.close)


async def _forget_adapters(opened: Resources, engines: dict[str, Draws], name: str) -> None:
    """A switch of this style or creator changed: no engine keeps its adapters longer than need be."""
    try:
        async with opened.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT adapter_sha256 FROM service.versions WHERE style_id = $1 OR creator_id = $1", name
            )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        log.exception("the adapters of %s could not be looked up; they stay in memory until others need the room", name)
        return
    for row in rows:
        for engine in engines.values():
            engine.forget(row["adapter_sha256"])


@contextmanager
def _own_folder(home: Path) -> Iterator[Path]:
    """A folder of this process under `home/scratch/drawing`; those of workers that were killed are removed."""
    root = home / "scratch" / "drawing"
    root.mkdir(parents=True, exist_ok=True)
    root.parent.chmod(0o700)
    for left in list(root.iterdir()):
        with _held(left) as is_free:
            if is_free:
                shutil.rmtree(left)
    folder = root / f"{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir()
    with _held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds the folder; it is ours while this is open. The kernel lets go for who dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
