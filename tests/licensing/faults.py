"""A connection that breaks: before or after a statement, before or after a commit, where a seed says so."""

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import asyncpg

Moment = Literal["before", "after"]


class Dropped(asyncpg.ConnectionDoesNotExistError):
    """The connection is gone; whoever asked cannot know whether it was done."""


@dataclass(kw_only=True)
class Faults:
    """`breaks` says for every statement and every commit, counted from 0, whether and when the connection breaks."""

    breaks: Callable[[int], Moment | None]
    points: int = 0
    broken: int = 0

    def next(self) -> Moment | None:
        self.points += 1
        moment = self.breaks(self.points - 1)
        self.broken += moment is not None
        return moment


def no_faults() -> Faults:
    return Faults(breaks=lambda point: None)


def one_fault(at: int, moment: Moment) -> Faults:
    return Faults(breaks=lambda point: moment if point == at else None)


def seeded_faults(seed: int, *, rate: float) -> Faults:
    """One point in `1 / rate` breaks; the same seed breaks the same ones."""
    dice = random.Random(seed)
    return Faults(breaks=lambda point: dice.choice(("before", "after")) if dice.random() < rate else None)


class BreakingConnection:
    """As much of an asyncpg connection as the verbs use."""

    def __init__(self, conn: asyncpg.Connection, faults: Faults) -> None:
        self._conn, self._faults = conn, faults

    async def fetch(self, *asked: Any) -> Any:
        return await self._ask(self._conn.fetch, asked)

    async def fetchrow(self, *asked: Any) -> Any:
        return await self._ask(self._conn.fetchrow, asked)

    async def fetchval(self, *asked: Any) -> Any:
        return await self._ask(self._conn.fetchval, asked)

    async def execute(self, *asked: Any) -> Any:
        return await self._ask(self._conn.execute, asked)

    async def executemany(self, *asked: Any) -> Any:
        return await self._ask(self._conn.executemany, asked)

    def transaction(self) -> "BreakingTransaction":
        return BreakingTransaction(self, self._conn.transaction())

    async def _ask(self, method: Callable[..., Awaitable[Any]], asked: tuple[Any, ...]) -> Any:
        moment = self._faults.next()
        if moment == "before":
            self.drop()
        answer = await method(*asked)
        if moment == "after":
            self.drop()
        return answer

    async def commit(self, transaction: asyncpg.transaction.Transaction) -> None:
        moment = self._faults.next()
        if moment == "before":
            self.drop()
        await transaction.commit()
        if moment == "after":
            self.drop()

    def drop(self) -> None:
        self._conn.terminate()
        raise Dropped("the connection broke")


class BreakingTransaction:
    """A transaction whose commit may be lost, or its answer."""

    def __init__(self, conn: BreakingConnection, transaction: asyncpg.transaction.Transaction) -> None:
        self._conn, self._transaction = conn, transaction

    async def __aenter__(self) -> None:
        await self._transaction.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._conn.commit(self._transaction)
        elif not isinstance(error, Dropped):
            await self._transaction.rollback()


def every_fault(points: int) -> Iterator[tuple[int, Moment]]:
    """All ways in which exactly one connection breaks."""
    for point in range(points):
        yield point, "before"
        yield point, "after"
