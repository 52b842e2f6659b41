"""How what was written to be sent is brought: a loop beside the sweeps of every web process, and pauses that grow.

Messages to clients' endpoints (`service.sending`) and letters to people (`service.mailing`) both lie in rows that a
process claims for a while, tries, and writes the answer to. Nothing is open in the database meanwhile. Whoever dies
between the two leaves the claim to run out, and another process tries the same again.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from service.bells import Bells

Claimed = TypeVar("Claimed")

log = logging.getLogger("ownhand.carrying")

_JITTER = 0.2
_IDLE_S = 1.0
# Whoever rings has not committed yet.
_COMMIT_S = 0.05


def back_off_s(pauses_s: Sequence[float], tries: int, *, seed: str) -> float:
    """Seconds after the try before which there were `tries` others, up to a fifth longer than the pauses say, the last
    of which repeats: what failed together is not tried again together."""
    pause_s = pauses_s[min(tries, len(pauses_s) - 1)]
    return pause_s * random.Random(f"{seed} {tries}").uniform(1.0, 1.0 + _JITTER)


async def carry(
    bells: Bells,
    take: Callable[[], Awaitable[Claimed | None]],
    bring: Callable[[Claimed], Awaitable[None]],
    *,
    at_once: int,
) -> None:
    """Bring whatever can be taken, so many at once, until this is cancelled. What goes wrong is logged, and lies in
    the database to be taken again."""
    bell, under_way = asyncio.Event(), set[asyncio.Task[Any]]()
    with bells.hung(bell):
        try:
            while True:
                try:
                    while len(under_way) < at_once and (claimed := await take()) is not None:
                        under_way.add(asyncio.ensure_future(bring(claimed)))
                except Exception:
                    # Whatever it was, what is to be sent lies in the database and is looked for again.
                    log.exception("nothing could be taken to be sent")
                under_way = await _rest(bell, under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _rest(bell: asyncio.Event, under_way: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Wait until there may be something to take. Returns what is still under way."""
    ring = asyncio.create_task(bell.wait())
    try:
        done, _ = await asyncio.wait({ring, *under_way}, timeout=_IDLE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ring.cancel()
    if bell.is_set():
        bell.clear()
        await asyncio.sleep(_COMMIT_S)
    for task in done - {ring}:
        error = task.exception()
        if error is not None:
            log.error("a try could not be noted; it is made again in a while", exc_info=error)
    return under_way - done
