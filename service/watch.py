"""Whether the orders being drawn may go on: asked of the gateway several times a second, trusted for half of one.

Three things stop a picture: the gateway says no (switched off, canceled, expired); the answer is older than the lease
(the database cannot be reached, so nobody knows); the process ends. With a stale answer the engine holds still, because
a moment of load is no reason to throw work away; if the silence goes on, the order is given back to the queue.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import asyncpg

from licensing.gateway import standing
from licensing.switch import CHANNEL
from service.db.connections import connect

log = logging.getLogger("ownhand.watch")

POLL_S = 0.15
LEASE_S = 0.5
PATIENCE_S = 15.0
LEASE_LOST = "lease_lost"
PAUSED = "paused"
_CONNECT_S = 5.0
_HOLD_STILL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class _Seen:
    asked_s: float
    """When the question was asked, not when the answer came: the answer is at least as old."""
    reason: str | None


class Watch:
    """The standing of this worker's orders. Its own thread asks; every thread may read.

    Use as a context manager. `on_switch` hears the id in every switch notice (a style's or a creator's), in the
    watch's thread.
    """

    def __init__(
        self,
        database_url: str,
        *,
        on_switch: Callable[[str], None],
        poll_s: float = POLL_S,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database_url, self._on_switch = database_url, on_switch
        self._poll_s, self._lease_s, self._patience_s = poll_s, lease_s, patience_s
        self._followed: Counter[str] = Counter()
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()
        self._is_closing = False
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._is_closing = True
        self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join()

    def follow(self, order_id: str) -> None:
        """Ask after this order from now on."""
        with self._lock:
            self._followed[order_id] += 1
            # Until the first answer, the lease runs from here.
            self._seen.setdefault(order_id, _Seen(asked_s=time.monotonic() - self._lease_s, reason=None))
        self._loop.call_soon_threadsafe(self._wake.set)

    def forget(self, order_id: str) -> None:
        """The end of what one `follow` began."""
        with self._lock:
            self._followed[order_id] -= 1
            if not self._followed[order_id]:
                del self._followed[order_id], self._seen[order_id]

    def reason_to_stop(self, order_id: str) -> str | None:
        """None if the next step may be made; for the engine's thread. Holds still while nobody knows.

        Else the gateway's word (`withdrawn`, `canceled`, `expired`, `failed`, ...) or `lease_lost`. A pause is no
        reason here: what runs when a style is paused is finished and delivered.
        """
        while True:
            seen = self._seen.get(order_id)
            if seen is None:
                return LEASE_LOST
            age_s = time.monotonic() - seen.asked_s
            if seen.reason not in (None, PAUSED):
                return seen.reason
            if age_s <= self._lease_s:
                return None
            if age_s > self._lease_s + self._patience_s or self._is_closing:
                return LEASE_LOST
            time.sleep(_HOLD_STILL_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._watch())
        finally:
            self._loop.close()

    async def _watch(self) -> None:
        while not self._is_closing:
            try:
                conn = await connect(self._database_url, timeout=_CONNECT_S)
                try:
                    await conn.add_listener(CHANNEL, self._hear)
                    await self._confirm_often(conn)
                finally:
                    conn.terminate()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody draws on an old answer, and it asks again
                log.warning("the standing of orders cannot be read (%r); drawing holds still until it can", error)
                await asyncio.sleep(self._poll_s)

    async def _confirm_often(self, conn: asyncpg.Connection) -> None:
        while not self._is_closing:
            self._wake.clear()
            with self._lock:
                order_ids = list(self._followed)
            if order_ids:
                asked_s = time.monotonic()
                async with asyncio.timeout(self._lease_s + self._patience_s):
                    found = await standing(conn, order_ids)
                with self._lock:
                    for order_id in self._followed.keys() & found.keys():
                        self._seen[order_id] = _Seen(asked_s=asked_s, reason=found[order_id].reason)
            try:
                async with asyncio.timeout(self._poll_s if order_ids else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _hear(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        self._wake.set()
        self._on_switch(str(payload))
