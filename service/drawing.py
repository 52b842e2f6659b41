"""What a worker draws with: engines that open when an order needs their base, the watch, room for pictures.

Thin: what opens an engine is handed in by the worker, so the web process can name its stories without the model stack.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from inference.catalog import BaseSpec
from inference.fairness import FairQueue, Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Step, Stopped, Tier
from service.adapter_files import AdapterFiles
from service.prefetch import prefetching
from service.purging import forget_switched, purging
from service.resources import Resources
from service.versions import Version
from service.watch import Watch

MIB = 1024 * 1024


class Draws(Protocol):
    """An open base (`inference.engine.Engine`)."""

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
    ) -> "Future[Picture | Stopped]": ...

    def prefetch(self, ref: AdapterRef) -> None: ...

    def forget(self, sha256: str) -> None: ...

    def adapter_tiers(self) -> dict[str, Tier]: ...

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
    files: AdapterFiles

    async def engine(self, spec: BaseSpec) -> Draws:
        async with self.opening:
            if spec.id not in self.engines:
                self.engines[spec.id] = await asyncio.to_thread(self.open_engine, spec)
            return self.engines[spec.id]

    async def prefetch(self, version: Version) -> None:
        """Bring a version's file to this disk and, where its base is open, into memory."""
        async with self.files.lend(version) as lent:
            engine = self.engines.get(version.base)
            if engine is not None:
                engine.prefetch(lent.ref)

    def forget(self, adapter_sha256: str) -> None:
        """Keep an adapter that is no longer sold nowhere, and end what is drawn with it."""
        self.files.forget(adapter_sha256)
        for engine in self.engines.values():
            engine.forget(adapter_sha256)

    def adapter_tiers(self) -> str:
        """How each place where adapters lie did, in words."""
        tiers = {"disk": self.files.tier} | {
            f"{base} {place}": tier
            for base, engine in self.engines.items()
            for place, tier in engine.adapter_tiers().items()
        }
        return "; ".join(
            f"{name}: there {tier.hits} times, brought {tier.misses} times, {tier.num_bytes / MIB:.0f} MiB"
            for name, tier in tiers.items()
        )

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
        asyncio.run_coroutine_threadsafe(forget_switched(opened, place, name), loop)

    settings = opened.settings
    place = Studio(
        watch=Watch(opened.database_url, on_switch=hear),
        open_engine=open_engine,
        engines=engines,
        opening=asyncio.Lock(),
        places=Places(settings.max_rows),
        files=AdapterFiles(
            settings.home / "cache" / "adapters", opened.storage, budget_bytes=settings.adapter_disk_mib * MIB
        ),
    )
    async with purging(opened, place), prefetching(opened, place.prefetch):
        with place.watch:
            _studio = place
            try:
                yield
            finally:
                _studio = None
                for engine in engines.values():
                    await asyncio.to_thread(engine.close)
