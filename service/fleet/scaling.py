"""How many replicas a worker wants: as many as draw what waits within a while, and no fewer again before it has rested.

The signal is queued row-steps over measured row-steps a second. Ray does not know it (the line is in the database, and
a request of few steps counts as one of many to it), so its autoscaling of replicas is not used. Its autoscaler of nodes
is: a replica that finds no GPU free waits as an actor, for which it adds a node; a node on which nothing is left goes.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from service.beside import beside
from service.fleet.fleet import Fleet
from service.heartbeats import num_workers
from service.resources import Resources
from service.turns import InLine, read_line

log = logging.getLogger("ownhand.fleet")

LOOK_EVERY_S = 5.0
REST_S = 300.0
"""For so long replicas stay that were needed: opening a base anew takes minutes."""


class Scaler:
    """Replicas from `least` to `most`, so that what waits is drawn within `within_s`."""

    def __init__(self, *, least: int, most: int, within_s: float, rest_s: float = REST_S) -> None:
        self._least, self._most, self._within_s, self._rest_s = least, most, within_s, rest_s
        self._wanted: deque[tuple[float, int]] = deque()

    def wanted(self, row_steps: float, row_steps_per_s: float, *, now_s: float) -> int:
        """How many are wanted now. row_steps: that this worker still has to draw; row_steps_per_s: that one replica
        draws, 0 where nobody knows yet."""
        needed = math.ceil(row_steps / (row_steps_per_s * self._within_s)) if row_steps_per_s else self._least
        self._wanted.append((now_s, min(max(needed, self._least), self._most)))
        while self._wanted[0][0] < now_s - self._rest_s:
            self._wanted.popleft()
        return max(count for _, count in self._wanted)


def row_steps_left(orders: Sequence[InLine]) -> float:
    """What is not drawn yet of the orders that wait or are being drawn."""
    left = 0.0
    for order in orders:
        if order.waits:
            left += order.work
        elif order.state == "running":
            left += order.work * (1 - order.step / max(order.steps or 1, 1))
    return left


@asynccontextmanager
async def scaling(opened: Resources, fleet: Fleet) -> AsyncIterator[None]:
    """Have as many replicas as are wanted, until the end of the block."""
    settings = opened.settings
    scaler = Scaler(
        least=settings.ray_replicas,
        most=max(settings.ray_replicas, settings.ray_replicas_max),
        within_s=settings.ray_within_s,
    )

    async def go_on() -> None:
        size, clock = settings.ray_replicas, asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                async with opened.pool.acquire() as conn:
                    line = await read_line(conn)
                    workers = await num_workers(conn, now=opened.clock(), silence_s=settings.executor_silence_s)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                log.warning("the line cannot be read; there are as many replicas as before", exc_info=True)
                continue
            # Every worker takes its part of the line.
            mine = row_steps_left(line.orders) / max(workers, 1)
            wanted = scaler.wanted(mine, fleet.row_steps_per_s(), now_s=clock())
            if wanted != size:
                log.info("%.0f row-steps wait: %s replicas are wanted in place of %s", mine, wanted, size)
                fleet.resize(wanted)
                size = wanted

    async with beside(go_on()):
        yield
