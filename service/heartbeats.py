"""Which processes are alive, as rows."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg

from licensing.database import Connection
from service.resources import Resources

log = logging.getLogger("ownhand.heartbeats")

BEAT_EVERY_S = 2.0


@asynccontextmanager
async def beating(opened: Resources, *, executor: str, role: str) -> AsyncIterator[None]:
    """Say now, and every two seconds until the end of the block, that this process lives."""
    started_at = opened.clock()
    await _beat(opened, executor, role, started_at)
    task = asyncio.create_task(_go_on(opened, executor, role, started_at))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _go_on(opened: Resources, executor: str, role: str, started_at: datetime) -> None:
    while True:
        await asyncio.sleep(BEAT_EVERY_S)
        try:
            await _beat(opened, executor, role, started_at)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            log.warning("the database does not hear that %s lives; it is told again", executor, exc_info=True)


async def _beat(opened: Resources, executor: str, role: str, started_at: datetime) -> None:
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.executors (id, role, host, pid, started_at, seen_at, content_check)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (id) DO UPDATE SET host = $3, pid = $4, started_at = $5, seen_at = $6, content_check = $7",
            *(executor, role, socket.gethostname(), os.getpid(), started_at, opened.clock()),
            opened.settings.content_checker,
        )


async def silent_executors(conn: Connection, *, now: datetime, silence_s: float) -> list[str]:
    """Executors that have not been heard of for `silence_s`: their work may be given to others (`workflows.adopt`)."""
    rows = await conn.fetch(
        "SELECT id FROM service.executors WHERE seen_at < $1 ORDER BY id", now - timedelta(seconds=silence_s)
    )
    return [row["id"] for row in rows]


async def content_checks(conn: Connection, *, now: datetime, silence_s: float) -> dict[str, int]:
    """How many living workers judge what their pictures show by which check; empty is the name of none."""
    rows = await conn.fetch(
        "SELECT content_check, count(*) AS workers FROM service.executors WHERE role <> 'web' AND seen_at >= $1"
        " GROUP BY content_check ORDER BY content_check",
        now - timedelta(seconds=silence_s),
    )
    return {row["content_check"]: row["workers"] for row in rows}
