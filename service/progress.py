"""How far an order's pictures are: heard from the engine step by step, noted for the client a few times a second."""

import asyncio
import base64
import time

from inference.messages import Step
from service.orders import note_progress
from service.resources import Resources

NOTE_EVERY_S = 0.25


class Progress:
    """The steps of an order's `count` pictures. `hear` is called by the engine's thread, the rest by the loop."""

    def __init__(self, *, count: int) -> None:
        self._steps = [0] * count
        self._total = 0
        self._preview: bytes | None = None
        self._began_s = time.monotonic()
        self._noted = 0

    def hear(self, number: int, step: Step) -> None:
        """Picture `number` (from 1) has made a step."""
        self._steps[number - 1] = step.index
        self._total = step.total
        if step.preview is not None:
            self._preview = step.preview

    async def note_often(self, opened: Resources, order_id: str) -> None:
        """Note what is new, until cancelled."""
        while True:
            await asyncio.sleep(NOTE_EVERY_S)
            await self.note(opened, order_id)

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
                eta_s=elapsed_s / done * (total - done),
                preview=None if preview is None else "data:image/jpeg;base64," + base64.b64encode(preview).decode(),
                now=opened.clock(),
            )
        # Only what is written counts: whoever notes often may be cancelled in the middle, and is noted once more.
        self._noted = done
        if self._preview is preview:
            self._preview = None
