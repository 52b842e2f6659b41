"""Which processes are alive, how fast workers draw, and what they say of their machines, as rows."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from inference.pace import Speed, mean_speed
from licensing.database import Connection
from service.beside import beside
from service.clocks import put_right
from service.db.connections import read
from service.resources import Resources
from service.who import Who

log = logging.getLogger("ownhand.heartbeats")

BEAT_EVERY_S = 2.0
_TAKES = "(NOT machine ? 'takes' OR machine->'takes' ? $1)"
"""Whether a process takes a kind of work (`settings.WORK`). One of a version that did not say so takes everything."""
_NEWEST_SHARE = 0.1
"""What a worker's newest speed counts beside those of before: a line is minutes long, and a step may be slow once."""


# Of this process, while it says that it lives.
_executor = ""


@dataclass(frozen=True, kw_only=True)
class Executor:
    """A process as it was heard of last. `machine`: what it says of its machine (`service.machines`)."""

    id: str
    role: str
    host: str
    pid: int
    content_check: str
    started_at: datetime
    seen_at: datetime
    machine: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The workers that live: how many, at least 1, and how fast one of them draws with each base, on average."""

    num_workers: int
    speeds: Mapping[str, Speed]


async def _nothing() -> Mapping[str, Any]:
    return {}


@asynccontextmanager
async def beating(
    opened: Resources,
    *,
    executor: str,
    role: str,
    speeds: Callable[[], Mapping[str, Speed]],
    machine: Callable[[], Awaitable[Mapping[str, Any]]] = _nothing,
) -> AsyncIterator[None]:
    """Say now, and every two seconds until the end of the block, that this process lives, how fast it draws, what is to
    be said of its machine, and by how much its clock is ahead of the database's (`ahead_s`)."""
    global _executor
    _executor = executor
    steady: dict[str, Speed] = {}

    async def beat() -> None:
        for base, speed in speeds().items():
            steady[base] = mean_speed([steady.get(base, speed), speed], weights=[1 - _NEWEST_SHARE, _NEWEST_SHARE])
        told = json.dumps({base: asdict(speed) for base, speed in steady.items()})
        about = await machine()
        async with opened.pool.acquire() as conn:
            about = {**about, "ahead_s": await put_right(conn, opened.clock)}
            # What a process drew at before it was restarted holds until it knows better.
            await conn.execute(
                "INSERT INTO service.executors AS known"
                "  (id, role, host, pid, started_at, seen_at, speeds, content_check, machine)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                " ON CONFLICT (id) DO UPDATE SET host = $3, pid = $4, started_at = $5, seen_at = $6,"
                "  speeds = known.speeds || $7::jsonb, content_check = $8, machine = $9",
                *(executor, role, socket.gethostname(), os.getpid(), started_at, opened.clock(), told),
                *(opened.settings.content_checker, json.dumps(about)),
            )

    async def go_on() -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            try:
                await beat()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                log.warning("the database does not hear that %s lives; it is told again", executor, exc_info=True)

    started_at = opened.clock()
    await beat()
    async with beside(go_on()):
        yield


def this_process() -> Who:
    """This process, as the one that works on a job: by the name under which it lives, else by host and number."""
    return Who(role="place", actor=_executor or f"{socket.gethostname()}:{os.getpid()}")


async def read_fleet(conn: Connection, *, now: datetime, silence_s: float) -> Fleet:
    """The workers that draw and were heard of within `silence_s`; where none was, the one that was heard of last."""
    rows = await conn.fetch(
        f"SELECT seen_at, speeds FROM service.executors WHERE role <> 'web' AND {_TAKES}"
        " ORDER BY seen_at DESC LIMIT 1000",
        "pictures",
    )
    living = [row for row in rows if row["seen_at"] >= now - timedelta(seconds=silence_s)] or rows[:1]
    told: dict[str, list[Speed]] = {}
    for row in living:
        for base, speed in json.loads(row["speeds"]).items():
            told.setdefault(base, []).append(Speed(**speed))
    return Fleet(num_workers=max(len(living), 1), speeds={base: mean_speed(speeds) for base, speeds in told.items()})


async def list_executors(conn: Connection) -> list[Executor]:
    """Every process that was heard of within the last day (`retention.prune_executors`), workers first."""
    rows = await conn.fetch(
        "SELECT id, role, host, pid, content_check, started_at, seen_at, machine FROM service.executors"
        " ORDER BY role = 'web', seen_at DESC LIMIT 200"
    )
    return [read(Executor, row) for row in rows]


async def num_workers(conn: Connection, *, now: datetime, silence_s: float, takes: str | None = None) -> int:
    """How many workers live; takes: of those that take a kind of work."""
    count: int = await conn.fetchval(
        f"SELECT count(*) FROM service.executors WHERE role <> 'web' AND ($1::text IS NULL OR {_TAKES})"
        " AND seen_at >= $2",
        *(takes, now - timedelta(seconds=silence_s)),
    )
    return count


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
