"""A worker whose engine sleeps in place of a GPU: 20 steps of 50 ms for each batch of up to eight pictures.

All else is real: the queue, the switch's watch, the adapter's file, the pictures' store. `python -m
tests.benchmarks.sleeping_worker`, with settings in the environment.
"""

import asyncio
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from inference.fairness import Turn
from inference.messages import ImageRequest, Result, Step, Stopped
from inference.pace import Speed
from service.drawing import drawing_with
from service.resources import open_worker_resources
from service.settings import read_settings
from service.worker import STORIES
from service.workflows import launch
from tests.service.instant_engine import InstantEngine

ROWS, STEPS, STEP_S = 8, 20, 0.05
EDGE = 256
SPEED = Speed(rows=ROWS, questions=ROWS, half_s=STEP_S, full_s=STEP_S, admission_s=0.0, finishing_s=0.0)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    request: ImageRequest
    stop: Callable[[], str | None]
    on_step: Callable[[Step], None] | None
    future: "Future[Result]"


class SleepingEngine(InstantEngine):
    """As a GPU that takes a batch whole: who comes while it works waits for the next one."""

    def __init__(self) -> None:
        super().__init__(speed=SPEED, steps=STEPS, edge=EDGE)
        self._asked: queue.Queue[_Asked | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        future: Future[Result] = Future()
        self._asked.put(_Asked(request=request, stop=stop, on_step=on_step, future=future))
        return future

    def close(self) -> None:
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._asked.get()) is not None:
            self._draw([first, *self._following(ROWS - 1)])

    def _following(self, most: int) -> list[_Asked]:
        """Who comes within a step of the first, as an engine lets them in at its next one: an order's pictures come one
        after the other, and a batch that took what is there already would draw the first of them alone for a second."""
        found, until = list[_Asked](), time.monotonic() + STEP_S
        while len(found) < most:
            try:
                following = self._asked.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if following is None:
                self._asked.put(None)
                break
            found.append(following)
        return found

    def _draw(self, batch: list[_Asked]) -> None:
        for index in range(1, STEPS + 1):
            time.sleep(STEP_S)
            for one in [one for one in batch if not one.future.done()]:
                reason = one.stop()
                if reason is not None:
                    one.future.set_result(Stopped(request_id=one.request.id, reason=reason, step=index))
                elif one.on_step is not None:
                    one.on_step(Step(index=index, total=STEPS, preview=None, halfway=bytes))
        for one in [one for one in batch if not one.future.done()]:
            one.future.set_result(self.picture(one.request))


async def run() -> None:
    """Work until SIGTERM."""
    settings = read_settings()
    assert settings.database_url is not None
    assert STORIES
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with (
        open_worker_resources(settings, settings.database_url) as opened,
        drawing_with(opened, lambda spec: SleepingEngine()),
        launch(opened, "worker"),
    ):
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(run())
