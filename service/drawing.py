"""What a worker draws with: engines that open when an order needs their base, the watch, room for pictures.

Thin: what opens an engine is handed in by the worker, so the web process can name its stories without the model stack.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from inference.catalog import BaseSpec
from inference.events import Draws
from inference.fairness import FairQueue, Turn
from inference.messages import Tier
from inference.pace import Speed
from service.adapter_files import AdapterFiles
from service.data_use import Use, open_files
from service.heartbeats import this_process
from service.prefetch import prefetching
from service.purging import forget_switched, purging
from service.resources import Resources
from service.settings import Settings
from service.versions import Version
from service.watch import Watch

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How engines of this place are opened (`service.opening`)."""

    max_rows: int
    host_bytes: int
    """For adapters; `device_bytes` beside those for a GPU's memory."""
    device_bytes: int
    content_checker: str
    """"" for none."""


def engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        max_rows=settings.max_rows,
        host_bytes=settings.adapter_host_mib * MIB,
        device_bytes=settings.adapter_device_mib * MIB,
        content_checker=settings.content_checker,
    )


class Place:
    """Room for one picture. Enter it to wait until it is given; it is given back at the end of the block."""

    def __init__(self, turn: Turn, work: float, leave: Callable[["Place"], None]) -> None:
        self.turn, self.work, self.given = turn, work, asyncio.Event()
        self._leave = leave

    async def __aenter__(self) -> None:
        await self.given.wait()

    async def __aexit__(self, *_: object) -> None:
        self._leave(self)


class Places:
    """Room for as many pictures at once as `count` says, by turns of clients and creators in work, and for one order at
    the door.

    Who stands at the door is taken from the queue and can no longer be overtaken by who comes later with a lower turn.
    So nobody else comes until it has its first place; and one stands there, so that a free place is not empty for long.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._given: set[Place] = set()
        self._queue: FairQueue[Place] = FairQueue()
        self._num_at_door = 0

    @property
    def has_room(self) -> bool:
        """Whether another order may come to the door. Any thread may ask."""
        return self._num_at_door == 0

    @property
    def taken(self) -> tuple[int, int]:
        """How many places are given, of how many."""
        return len(self._given), self._count()

    @contextmanager
    def at_door(self) -> Iterator[None]:
        """An order was taken from the queue; the block ends when it has a place, or wants none."""
        self._num_at_door += 1
        try:
            yield
        finally:
            self._num_at_door -= 1

    @asynccontextmanager
    async def take(self, pictures: int, turn: Turn, *, work: float = 1.0) -> AsyncIterator[list[Place]]:
        """Wait for the first of so many places; the others are given one by one. All are free at the end of the block.

        work: of one picture.
        """
        wanted = [Place(turn, work, self._leave) for _ in range(pictures)]
        for place in wanted:
            self._queue.put(place, turn)
        try:
            self._give()
            await wanted[0].given.wait()
            yield wanted
        finally:
            self._leave(*wanted)

    def _leave(self, *places: Place) -> None:
        for place in places:
            self._queue.leave(place)
            self._given.discard(place)
        self._give()

    def _give(self) -> None:
        while len(self._given) < self._count() and (place := self._queue.take()) is not None:
            self._given.add(place)
            self._queue.charge(place.turn, place.work)
            place.given.set()


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What a worker draws with. Engines open when the first order needs their base, and stay."""

    watch: Watch
    open_engine: Callable[[BaseSpec], Draws]
    engines: dict[str, Draws]
    opening: asyncio.Lock
    places: Places
    files: AdapterFiles
    device: str
    """Where it draws, as it was told: "" where nobody said."""

    async def engine(self, spec: BaseSpec) -> Draws:
        async with self.opening:
            if spec.id not in self.engines:
                self.engines[spec.id] = await asyncio.to_thread(self.open_engine, spec)
            return self.engines[spec.id]

    async def prefetch(self, version: Version) -> None:
        """Bring a version's file to this disk and, where its base is open, into memory."""
        async with self.files.lend(version, job=version.id) as lent:
            engine = self.engines.get(version.base)
            if engine is not None:
                engine.prefetch(lent.ref)

    def forget(self, adapter_sha256: str) -> dict[str, int]:
        """Keep an adapter that is no longer sold nowhere, and end what is drawn with it. Returns what lay on disk."""
        deleted = self.files.forget(adapter_sha256)
        for engine in self.engines.values():
            engine.forget(adapter_sha256)
        return deleted

    def tiers(self) -> dict[str, Tier]:
        """How each place where adapters lie did, by its name."""
        return {"disk": self.files.tier} | {
            f"{base} {place}": tier
            for base, engine in self.engines.items()
            for place, tier in engine.adapter_tiers().items()
        }

    def adapter_tiers(self) -> str:
        """The same in words."""
        return "; ".join(
            f"{name}: there {tier.hits} times, brought {tier.misses} times, {tier.num_bytes / MIB:.0f} MiB"
            for name, tier in self.tiers().items()
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


def has_room() -> bool:
    """Whether this process can take another order from the queue."""
    return _studio is not None and _studio.places.has_room


def speeds() -> dict[str, Speed]:
    """How fast this process draws, by the bases that it has opened."""
    return {} if _studio is None else {base: engine.speed() for base, engine in _studio.engines.items()}


def standing() -> dict[str, Any]:
    """What this process draws with and how far that is taken, as JSON: `device`, `bases` (by id, with the rows that
    fit and the questions at the knee), `adapters` (by place) and `places` (given, in all)."""
    if _studio is None:
        return {"device": "", "bases": {}, "adapters": {}, "places": [0, 0]}
    return {
        "device": _studio.device,
        "bases": {base: {"rows": one.rows, "knee": round(one.questions, 1)} for base, one in speeds().items()},
        "adapters": {name: asdict(tier) for name, tier in _studio.tiers().items()},
        "places": list(_studio.places.taken),
    }


@asynccontextmanager
async def drawing_with(
    opened: Resources,
    open_engine: Callable[[BaseSpec], Draws],
    *,
    device: str = "",
    count: Callable[[], int] | None = None,
) -> AsyncIterator[None]:
    """Let this process take renderings. Closes what it opened. device: where `open_engine` opens, to be told. count:
    pictures that all engines draw at once; without it, as many as the settings say of one."""
    global _studio
    loop = asyncio.get_running_loop()
    engines: dict[str, Draws] = {}

    def hear(name: str) -> None:
        asyncio.run_coroutine_threadsafe(forget_switched(opened, place, name), loop)

    async def fetch(key: str, sha256: str, job: str) -> bytes:
        files = await open_files(opened, Use(purpose="drawing", by=this_process(), job=job), {key: sha256})
        return await asyncio.to_thread(files.read, key)

    settings = opened.settings
    place = Studio(
        watch=Watch(opened.database_url, on_switch=hear),
        open_engine=open_engine,
        engines=engines,
        opening=asyncio.Lock(),
        places=Places(count or (lambda: settings.max_rows)),
        files=AdapterFiles(settings.home / "cache" / "adapters", fetch, budget_bytes=settings.adapter_disk_mib * MIB),
        device=device,
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
