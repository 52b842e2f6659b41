"""What pages ask of the database: how many statements, and how many rows are read for them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from service import app
from service.db import connections
from service.db.tenancy import LentConnection, take_back, tell_party
from service.resources import Gateway

_ROWS = (
    "SELECT schemaname || '.' || relname AS name, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS num"
    " FROM pg_stat_user_tables WHERE schemaname IN ('service', 'licensing')"
)


@dataclass(kw_only=True)
class Tally:
    """What connections of a pool are asked while `is_on`."""

    is_on: bool = False
    statements: list[str] = field(default_factory=list)
    _heard: set[int] = field(default_factory=set)

    async def lend(self, conn: LentConnection) -> None:
        """In place of `tell_party`."""
        if conn.get_server_pid() not in self._heard:
            self._heard.add(conn.get_server_pid())
            conn.add_query_logger(self._note)
        await tell_party(conn)

    async def take_back(self, conn: LentConnection) -> None:
        """In place of `take_back`: what was read is told at once, not within a second or so."""
        if self.is_on:
            self.is_on = False
            await conn.execute("SELECT pg_stat_force_next_flush()")
            self.is_on = True
        await take_back(conn)

    async def count(self, ask: Callable[[], Awaitable[Any]]) -> int:
        """How many statements something takes that was done before: the fewest of some tries, for a process says every
        other second that it lives."""
        self.is_on, found = True, list[int]()
        for _ in range(4):
            self.statements.clear()
            await ask()
            found.append(len(self.statements))
        self.is_on = False
        return min(found)

    def _note(self, record: Any) -> None:
        # For whom a connection acts is said where another was served by it before, which is chance.
        if self.is_on and "set_config" not in record.query:
            self.statements.append(record.query)


@contextmanager
def tallied() -> Iterator[Tally]:
    """A tally of all pools that are opened until the end of the block."""
    tally = Tally()
    before = connections.tell_party, connections.take_back
    connections.tell_party, connections.take_back = tally.lend, tally.take_back
    try:
        yield tally
    finally:
        connections.tell_party, connections.take_back = before


@contextmanager
def resting() -> Iterator[Callable[[], Awaitable[None]]]:
    """Applications that are opened until the end of the block do no work of their own any more once what is yielded was
    called: it would be counted with the pages'."""
    stacks = list[AsyncExitStack]()

    def stoppable(run: Callable[[Gateway], AbstractAsyncContextManager[None]]) -> Callable[..., Any]:
        @asynccontextmanager
        async def running(web: Gateway) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(run(web))
                stacks.append(stack)
                yield

        return running

    async def rest() -> None:
        for stack in stacks:
            await stack.aclose()

    before = app.sweeping, app.sending
    app.sweeping, app.sending = (stoppable(run) for run in before)
    try:
        yield rest
    finally:
        app.sweeping, app.sending = before


async def rows_read(conn: asyncpg.Connection) -> dict[str, int]:
    """By table, what was read of it so far."""
    return {row["name"]: row["num"] for row in await conn.fetch(_ROWS)}
