"""Adapters brought to the workers before their turn comes: when a price is asked for, and when an order is accepted.

The web process says which version by a notice and waits for nothing. A notice may be lost, or left out where many come;
then the adapter is brought at its turn, as it would be without all this.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from licensing import switch
from licensing.database import Connection
from service.beside import beside
from service.notices import listen
from service.resources import Gateway, Resources
from service.versions import Version, sold_version

log = logging.getLogger("ownhand.prefetch")

CHANNEL = "ownhand_wanted"
AGAIN_S = 5.0
"""A version is told of once in so long by one web process, however often it is asked for."""
MOST = 32
"""Versions that a worker remembers to bring; it hears of no more until it has brought some."""
REST_S = 0.05
"""Between two that it brings: no more than twenty a second, whoever asks."""
_REMEMBERED = 1000

# Of this process: when a version was told of last, and the notices on their way.
_told_s: dict[str, float] = {}
_telling: set[asyncio.Task[None]] = set()


def tell_wanted(web: Gateway, version_id: str) -> None:
    """Let the workers know that somebody will likely have this version drawn with. Returns at once, and never fails."""
    now_s = time.monotonic()
    if now_s - _told_s.get(version_id, -AGAIN_S) < AGAIN_S:
        return
    if len(_told_s) >= _REMEMBERED:
        _told_s.clear()
    _told_s[version_id] = now_s
    task = asyncio.create_task(_notify(web, version_id))
    _telling.add(task)
    task.add_done_callback(_telling.discard)


@asynccontextmanager
async def prefetching(opened: Resources, bring: Callable[[Version], Awaitable[None]]) -> AsyncIterator[None]:
    """Bring what is wanted, one version after the other, until the end of the block."""
    wanted: asyncio.Queue[str] = asyncio.Queue(MOST)

    def hear(version_id: str) -> None:
        if version_id and not wanted.full():
            wanted.put_nowait(version_id)

    async with beside(listen(opened.database_url, CHANNEL, hear), _bring_all(opened, wanted, bring)):
        yield


async def _notify(web: Gateway, version_id: str) -> None:
    try:
        async with web.pool.acquire() as conn:
            await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, version_id)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        log.warning("nobody could be told that %s is wanted (%r); it is brought at its turn", version_id, error)


async def _bring_all(
    opened: Resources, wanted: "asyncio.Queue[str]", bring: Callable[[Version], Awaitable[None]]
) -> None:
    while True:
        version_id = await wanted.get()
        try:
            async with opened.pool.acquire() as conn:
                version = await _find_sold(conn, opened, version_id)
            if version is not None:
                await bring(version)
        except Exception as error:  # noqa: BLE001 - whatever it is, the order that needs the adapter meets it too, and says so
            log.warning("%s could not be brought ahead of its turn (%r)", version_id, error)
        await asyncio.sleep(REST_S)


async def _find_sold(conn: Connection, opened: Resources, version_id: str) -> Version | None:
    """The version, if orders for it may be drawn: nothing is brought of a style that is off."""
    style_id: str | None = await conn.fetchval("SELECT style_id FROM service.versions WHERE id = $1", version_id)
    if style_id is None:
        return None
    held = await switch.state(conn, style_id=style_id, now=opened.clock())
    if held is None or held.level in ("off", "destroyed"):
        return None
    return await sold_version(conn, style_id=style_id, version_id=version_id)
