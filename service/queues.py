"""The threads that take stories from the engine's queues: at once when somebody says that there is work, else seldom.

The engine by itself looks at a queue in even intervals, and an interval that is short enough for people who wait costs
a tenth of a processor core in every idle process. So its own thread function runs here on a clock that can be rung.

A queue may have a door: its stories are taken one by one, the next when this process has room for it. What is taken
early cannot be overtaken any more by what comes later and goes before it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
# How long a story that was taken has to come to the door, before the next look might take another in its place.
_COMING_S = 0.1

# Of this process, by the name of the queue; there while `taking` is open.
_bells: dict[str, "Doorbell"] = {}


class Doorbell:
    """What a queue's thread sleeps on: a `threading.Event` whose wait also ends at a ring.

    `before_look` is called by the thread whenever it goes to look at the queue, and says if that look may fill the room
    there is: then the next one waits a moment, or until `ring_for_room`.
    """

    def __init__(self, *, attentive_poll_s: float, before_look: Callable[[], bool] = lambda: False) -> None:
        self._attentive_poll_s = attentive_poll_s
        self._before_look = before_look
        self._somebody_comes = False
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

    def ring_for_room(self) -> None:
        """Who was taken last has come, and there is room for another."""
        with self._changed:
            self._somebody_comes = False
        self.ring()

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
            self._changed.wait_for(lambda: self._is_over or not self._somebody_comes, _COMING_S)
            if time.monotonic() < self._attentive_until:
                timeout = min(timeout, self._attentive_poll_s)
            self._changed.wait_for(lambda: self._has_rung or self._is_over, timeout)
            self._has_rung = False
            is_over = self._is_over
        if not is_over:
            self._somebody_comes = self._before_look()
        return is_over


async def ring(opened: Resources, name: str) -> None:
    """Tell every process of a queue that something lies in it, or of a story that it has ended.

    Where that fails, they find it a little later.
    """
    try:
        async with opened.pool.acquire() as conn:
            await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        log.warning("nobody could be told of %s (%r); it is found a little later", name, error)


def look_again(queue: str) -> None:
    """Have this process look at a queue at once: it has room for more."""
    if queue in _bells:
        _bells[queue].ring_for_room()


@asynccontextmanager
async def taking(
    opened: Resources,
    engine: DBOS,
    queues: Sequence[Queue],
    *,
    doors: Mapping[str, Callable[[], bool]],
    hear_end: Callable[[str], None],
) -> AsyncIterator[None]:
    """Take stories from these queues until the end of the block.

    doors: whether there is room for another story, by the name of the queue. hear_end: is told the ids of stories that
    ended, whoever told them.
    """
    bells = {
        queue.name: Doorbell(
            attentive_poll_s=opened.settings.poll_interval_s,
            before_look=_door(engine, queue, doors[queue.name]) if queue.name in doors else lambda: False,
        )
        for queue in queues
    }

    def hear(name: str) -> None:
        for bell in [bells[name]] if name in bells else [] if name else bells.values():
            bell.ring()
        hear_end(name)

    with ThreadPoolExecutor(len(queues) + 1, thread_name_prefix="queue") as threads:
        loop = asyncio.get_running_loop()
        ended = [
            loop.run_in_executor(threads, queue_worker_thread, cast(threading.Event, bells[queue.name]), engine, queue)
            for queue in queues
        ]
        listening = asyncio.create_task(listen(opened.database_url, CHANNEL, hear))
        _bells.update(bells)
        try:
            yield
        finally:
            _bells.clear()
            listening.cancel()
            for bell in bells.values():
                bell.set()
            await asyncio.gather(listening, *ended, return_exceptions=True)


def _door(engine: DBOS, queue: Queue, has_room: Callable[[], bool]) -> Callable[[], bool]:
    """Let the engine take one story more than run, or none, as there is room at the moment of a look."""
    # Else its limit is read anew from the database at each look, where it is one for all processes.
    queue.database_backed_queue = False

    def before_look() -> bool:
        is_room = has_room()
        queue._worker_concurrency = engine._active_workflows_set.count_for_queue(queue.name) + is_room
        return is_room

    return before_look
