"""How far an order's pictures are: heard from the engine step by step, noted for the client a few times a second, and
kept every few seconds, so that another worker can go on from there."""

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from inference.messages import Step
from service import pending
from service.orders import note_progress
from service.resources import Resources

log = logging.getLogger("ownhand.progress")

NOTE_EVERY_S = 0.25


class Progress:
    """The steps of an order's `count` pictures."""

    def __init__(self, *, count: int) -> None:
        self._steps = [0] * count
        self._given = 0
        """Steps that were made elsewhere."""
        self._total = 0
        self._preview: bytes | None = None
        self._began_s = time.monotonic()
        self._noted = 0
        self._halfway: dict[int, Callable[[], bytes]] = {}
        """By picture, where it stands; `_kept` is what was stored of that."""
        self._kept: dict[int, Callable[[], bytes]] = {}

    def hear(self, number: int, step: Step) -> None:
        """Picture `number` (from 1) has made a step."""
        if not self._steps[number - 1]:
            self._given += step.index - 1
        self._steps[number - 1] = step.index
        self._total = step.total
        if step.preview is not None:
            self._preview = step.preview
        self._halfway[number] = step.halfway

    @asynccontextmanager
    async def told(self, opened: Resources, order_id: str) -> AsyncIterator[None]:
        """Note and keep what is new until the end of the block. Afterwards nothing is stored any more."""
        over = asyncio.Event()
        noting = asyncio.create_task(self._note_often(opened, order_id))
        keeping = asyncio.create_task(self._keep_often(opened, order_id, over))
        try:
            yield
        except asyncio.CancelledError:
            # This process ends; the next one goes on from here.
            await self.keep(opened, order_id)
            raise
        finally:
            noting.cancel()
            over.set()
            await asyncio.gather(noting, keeping, return_exceptions=True)
        await self.note(opened, order_id)

    async def _note_often(self, opened: Resources, order_id: str) -> None:
        is_noted = True
        while True:
            await asyncio.sleep(NOTE_EVERY_S)
            try:
                await self.note(opened, order_id)
                is_noted = True
            except Exception as error:  # noqa: BLE001 - whatever it is, the pictures go on, and the next note says more
                if is_noted:
                    log.warning("how far %s is cannot be noted (%r); it is tried again and again", order_id, error)
                is_noted = False

    async def _keep_often(self, opened: Resources, order_id: str, over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                async with asyncio.timeout(opened.settings.keep_every_s):
                    await over.wait()
            except TimeoutError:
                await self.keep(opened, order_id)

    async def note(self, opened: Resources, order_id: str) -> None:
        """Note how far the pictures are on average, if that changed. An order that no longer runs is left alone."""
        done, total = sum(self._steps), self._total * len(self._steps)
        if done == self._noted:
            return
        preview = self._preview
        elapsed_s = time.monotonic() - self._began_s
        async with opened.pool.acquire() as conn:
            await note_progress(
                conn,
                order_id,
                step=done // len(self._steps),
                steps=self._total,
                eta_s=elapsed_s / (done - self._given) * (total - done),
                preview=None if preview is None else "data:image/jpeg;base64," + base64.b64encode(preview).decode(),
                now=opened.clock(),
            )
        # Only what is written counts: whoever notes often may be cancelled in the middle, and is noted once more.
        self._noted = done
        if self._preview is preview:
            self._preview = None

    async def keep(self, opened: Resources, order_id: str) -> None:
        """Store where each picture stands that made a step since it was kept."""
        stands = {number: halfway for number, halfway in self._halfway.items() if self._kept.get(number) is not halfway}
        self._kept |= stands

        def store() -> None:
            for number, halfway in stands.items():
                opened.storage.put(pending.halfway_key(order_id, number), halfway())

        try:
            await asyncio.to_thread(store)
        except Exception:
            # It would only spare another worker some steps; the pictures themselves are stored when they are finished.
            log.exception("where the pictures of %s stand could not be kept", order_id)
