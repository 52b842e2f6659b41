"""Asking for pages, and what that costs: time, processor time of both sides, statements, rows that were read."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import httpx
import psutil

from licensing.tenancy import APPLICATION
from tests.service.tally import Tally, rows_read

GOAL_MS = 50
Ask = Callable[[], Awaitable[httpx.Response]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One page, asked for several times. Times in milliseconds: of the answer, and of the processor by side."""

    name: str
    status: int
    kilobytes: float
    middle_ms: float
    slow_ms: float
    python_ms: float
    postgres_ms: float
    statements: int
    rows: dict[str, int]

    @property
    def rows_read(self) -> int:
        return sum(self.rows.values())

    @property
    def processor_ms(self) -> float:
        """What it takes on a machine that does nothing else."""
        return self.python_ms + self.postgres_ms

    @property
    def is_reached(self) -> bool:
        return self.status < 400 or self.status == httpx.codes.CONFLICT


async def ask_for(name: str, ask: Ask, *, tally: Tally, conn: asyncpg.Connection, requests: int) -> Asked:
    """Ask twice to warm up, once to count, and then for the time that it takes. `conn` is of the tables' owner."""
    tally.is_on = True
    answer = await ask()
    await ask()
    tally.statements.clear()
    before = await rows_read(conn)
    await ask()
    tally.is_on = False
    after = await rows_read(conn)
    theirs, took, own = await backends_s(conn), list[float](), time.process_time()
    for _ in range(requests):
        begun = time.perf_counter()
        await ask()
        took.append(1000 * (time.perf_counter() - begun))
    python_s, since = time.process_time() - own, await backends_s(conn)
    took.sort()
    return Asked(
        name=name,
        status=answer.status_code,
        kilobytes=len(answer.content) / 1024,
        middle_ms=took[len(took) // 2],
        slow_ms=took[int(len(took) * 0.95)],
        python_ms=1000 * python_s / requests,
        postgres_ms=1000 * sum(spent - theirs.get(pid, 0.0) for pid, spent in since.items()) / requests,
        statements=len(tally.statements),
        rows={table: num - before[table] for table, num in after.items() if num > before[table]},
    )


async def backends_s(conn: asyncpg.Connection) -> dict[int, float]:
    """Processor seconds of the application's connections to this database, by process."""
    rows = await conn.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = $1", APPLICATION
    )
    found = {}
    for row in rows:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(row["pid"]).cpu_times()
            found[row["pid"]] = times.user + times.system
    return found
