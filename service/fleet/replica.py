"""One GPU of a fleet: engines in a process of Ray's, which draw what the worker sends and ask for themselves whether
they may go on.

Whether an order may go on is asked of the database by the replica's own watch, by the same lease as in a worker. A word
from the worker that something is to stop only makes it sooner: it may be lost, and so may the worker.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from inference.catalog import BaseSpec
from inference.devices import choose_device, name_of
from inference.engine import Engine
from inference.errors import AdapterRefused, InferenceError
from inference.events import submit
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Step
from service.fleet.memory_files import MemoryFiles
from service.fleet.messages import HALFWAY_EVERY_S, Event, Failed, Heard, ReplicaOptions, Report
from service.opening import opener
from service.watch import Watch

FileRefs = Mapping[str, Any]
"""Name of a file -> a list of Ray's one object that holds its bytes. In a list, Ray does not fetch it by itself."""
_NEWEST = 16


class Replica:
    """An actor of Ray's, with one event loop. Engines draw in threads of their own."""

    def __init__(self, options: ReplicaOptions) -> None:
        if options.num_threads:
            torch.set_num_threads(options.num_threads)
        self._device = choose_device(options.device)
        self._open = opener(options.engines, device=self._device)
        self._engines: dict[str, Engine] = {}
        self._opening = asyncio.Lock()
        self._files = MemoryFiles(budget_bytes=options.engines.host_bytes)
        self._brought_s: deque[float] = deque(maxlen=_NEWEST)
        self._told: dict[str, str | None] = {}
        """Of the pictures that are here, by their keys, why they are to stop, as the worker said."""
        self._watch = Watch(options.database_url, on_switch=lambda name: None)
        # Until this process is killed, as Ray ends its actors.
        self._watch.__enter__()

    async def open(self, spec: BaseSpec) -> Report:
        """Open a base, unless it is open; how the replica stands then. Raises BaseUnusable."""
        async with self._opening:
            if spec.id not in self._engines:
                self._engines[spec.id] = await asyncio.to_thread(self._open, spec)
        return await self.report()

    async def draw(
        self, key: str, request: ImageRequest, files: FileRefs, *, turn: Turn | None, halfway: bytes | None
    ) -> AsyncGenerator[Event, None]:
        """Draw one picture: its steps, then its one end. key: its name in `stop`. files: of its adapters."""
        watched = request.watched_as
        self._told[key] = None
        if watched is not None:
            self._watch.follow(watched)
        try:
            with ExitStack() as used:
                refs = [await self._bring(ref, files, used) for ref in request.adapters]
                events = submit(
                    self._engines[request.base],
                    replace(request, adapters=tuple(refs)),
                    stop=self._stop_of(key, watched),
                    turn=turn,
                    halfway=halfway,
                )
                wrote_s = -HALFWAY_EVERY_S
                async with aclosing(events):
                    async for event in events:
                        if not isinstance(event, Step):
                            yield event
                            continue
                        is_due = time.monotonic() - wrote_s >= HALFWAY_EVERY_S
                        wrote_s = time.monotonic() if is_due else wrote_s
                        yield Heard(
                            index=event.index,
                            total=event.total,
                            preview=event.preview,
                            halfway=await asyncio.to_thread(event.halfway) if is_due else None,
                        )
        except InferenceError as error:
            yield Failed(error=error)
        finally:
            del self._told[key]
            if watched is not None:
                self._watch.forget(watched)

    async def stop(self, key: str, reason: str) -> None:
        """Let a picture end that is being drawn; one that has ended needs no word."""
        if key in self._told:
            self._told[key] = reason

    async def prefetch(self, base: str, ref: AdapterRef, files: FileRefs) -> None:
        """Begin to read an adapter that a picture of an open base will likely need."""
        with ExitStack() as used:
            self._engines[base].prefetch(await self._bring(ref, files, used))
            # It is read aside, and nobody says when: it lies here long enough for that.
            await asyncio.sleep(HALFWAY_EVERY_S)

    async def forget(self, sha256: str) -> None:
        """Keep an adapter that may no longer be used nowhere, and end the pictures that name it."""
        self._files.forget(sha256)
        for engine in self._engines.values():
            engine.forget(sha256)

    async def report(self) -> Report:
        return Report(
            device=name_of(torch.device(self._device)),
            speeds={base: engine.speed() for base, engine in self._engines.items()},
            tiers={base: engine.adapter_tiers() for base, engine in self._engines.items()},
            bringing_s=median(self._brought_s) if self._brought_s else 0.0,
            adapters=self._files.adapters,
        )

    def _stop_of(self, key: str, watched: str | None) -> Callable[[], str | None]:
        def stop() -> str | None:
            return self._told.get(key) or (None if watched is None else self._watch.reason_to_stop(watched))

        return stop

    async def _bring(self, ref: AdapterRef, files: FileRefs, used: ExitStack) -> AdapterRef:
        """The reference as it can be read here, until `used` is closed. Raises AdapterRefused."""
        name = ref.file_sha256
        while True:
            try:
                return replace(ref, path=used.enter_context(self._files.use(name)))
            except KeyError:
                began_s, times = time.monotonic(), self._files.times_forgotten(ref.sha256)
                content = await files[name][0]
                if not await asyncio.to_thread(
                    self._files.keep, name, content, adapter_sha256=ref.sha256, times_forgotten=times
                ):
                    raise AdapterRefused(
                        f"the adapter {ref.sha256[:12]}... was put away while it was brought; order again if it is back"
                    ) from None
                self._brought_s.append(time.monotonic() - began_s)
