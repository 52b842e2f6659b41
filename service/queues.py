"""The threads that take stories from the engine's queues: at once when somebody says that there is work, else seldom.

The engine by itself looks at a queue in even intervals, and an interval that is short enough for people who wait costs
a tenth of a processor core in every idle process. So its own thread function runs here on a clock that can be rung.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
from dbos import DBOS, Queue
from dbos._queue import queue_worker_thread

from service.notices import listen
from service.resources import Resources

log = logging.getLogger("ownhand.queues")

IDLE_POLL_S = 1.0
"""How often a queue is looked at of which nothing was heard: notices can be missed."""
CHANNEL = "ownhand_queue"
# Another process may hold the queue at the very moment of the ring, so it is looked at closely for a while.
_ATTENTIVE_S = 1.0


class Doorbell:
    """What a queue's thread sleeps on: a `threading.Event` whose wait also ends at a ring."""

    def __init__(self, *, attentive_poll_s: float) -> None:
        self._attentive_poll_s = attentive_poll_s
        self._changed = threading.Condition()
        self._is_over = False
        self._has_rung = False
        self._attentive_until = 0.0

    def ring(self) -> None:
        """Something lies in the queue."""
        with self._changed:
            self._has_rung = True
            self._attentive_until = time.monotonic() + _ATTENTIVE_S
            self._changed.notify_all()

    def set(self) -> None:
        """The thread is to end."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def is_set(self) -> bool:
        return self._is_over

    def wait(self, timeout: float) -> bool:
        """Sleep until a ring, the end, or for `timeout` seconds; True where it is the end."""
        with self._changed:
            if time.monotonic() < self._attentive_until:
                timeout = min(timeout, self._attentive_poll_s)
            self._changed.wait_for(lambda: self._has_rung or self._is_over, timeout)
            self._has_rung = False
            return self._is_over


async def ring(opened: Resources, queue: str) -> None:
    """Tell every process that something lies in a queue. Where that fails, they find it a second later."""
    try:
        async with opened.pool.acquire() as conn:
            await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, queue)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        log.warning("nobody could be told of work in the queue %s (%r); it is found within a second", queue, error)


@asynccontextmanager
async def taking(opened: Resources, engine: DBOS, queues: Sequence[Queue]) -> AsyncIterator[None]:
    """Take stories from these queues until the end of the block."""
    bells = {queue.name: Doorbell(attentive_poll_s=opened.settings.poll_interval_s) for queue in queues}

    def hear(name: str) -> None:
        for bell in [bells[name]] if name in bells else [] if name else bells.values():
            bell.ring()

    with ThreadPoolExecutor(len(queues) + 1, thread_name_prefix="queue") as threads:
        loop = asyncio.get_running_loop()
        ended = [
            loop.run_in_executor(threads, queue_worker_thread, cast(threading.Event, bells[queue.name]), engine, queue)
            for queue in queues
        ]
        listening = asyncio.create_task(listen(opened.database_url, CHANNEL, hear))
        try:
            yield
        finally:
            listening.cancel()
            for bell in bells.values():
                bell.set()
            await asyncio.gather(listening, *ended, return_exceptions=True)
