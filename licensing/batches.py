"""Group commit, told once for everything: what is asked at the same time is answered together.

A question that finds nobody at work is answered at once. Those that come meanwhile wait for each other and go together,
so a commit that the disk takes a millisecond for pays for as many as came in that millisecond, and nobody waits for a
clock. Owner of an answer is who asked; the connection, the transaction and the order of locks are the answering
function's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

MOST = 64
"""Questions that are answered together, at most: more hold their locks for longer than they save."""
AT_ONCE = 2
"""Batches under way: while one waits for the disk, the next one computes."""


class Waiting:
    """Ends the waiting of those that were not answered in time: with one timer for all, since one for each would cost
    more than most answers. Who waits for less than somebody before is ended no sooner than that one."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], within_s: float) -> None:
        """Have `future` raise TimeoutError unless it is done, or taken out, by then."""
        until = self._until[future] = future.get_loop().time() + within_s
        if self._timer is None:
            self._timer = future.get_loop().call_at(until, self._end_overdue)

    def take_out(self, future: asyncio.Future[Any]) -> None:
        self._until.pop(future, None)

    def _end_overdue(self) -> None:
        self._timer = None
        while self._until:
            future, until = next(iter(self._until.items()))
            if until > future.get_loop().time():
                self._timer = future.get_loop().call_at(until, self._end_overdue)
                return
            del self._until[future]
            if not future.done():
                future.set_exception(TimeoutError())


class Batches(Generic[Asked, Answered]):
    """Answers for one event loop.

    `answer_all` gets questions in the order in which they came and returns as many answers, in that order; an exception
    among them is raised to the one who asked. Where it raises, nothing of the batch may have been kept: each question
    is then answered by itself, so that one that cannot be answered costs the others nothing but time.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered | Exception]]],
        *,
        most: int = MOST,
        at_once: int = AT_ONCE,
    ) -> None:
        self._answer_all, self._most, self._at_once = answer_all, most, at_once
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._num_working = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_time = Waiting()

    async def ask(self, asked: Asked, *, within_s: float | None = None) -> Answered:
        """The answer to one question. Who is cancelled meanwhile does not hear it, but it may have been answered.

        within_s: how long to wait; then it raises TimeoutError, and may be answered all the same. None: for ever.
        """
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._num_working < self._at_once:
            self._num_working += 1
            # In a context of its own: it answers for many, and belongs to the story of none of them.
            task = asyncio.create_task(self._work(), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if within_s is None:
            return await future
        self._in_time.add(future, within_s)
        try:
            return await future
        finally:
            self._in_time.take_out(future)

    async def _work(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._most)
                await self._answer([self._waiting.popleft() for _ in range(count)])
        finally:
            # Here, and not when the loop comes to call the task done: whoever was answered last may ask again before
            # that, and would wait for somebody who has gone.
            self._num_working -= 1

    async def _answer(self, batch: "list[tuple[Asked, asyncio.Future[Answered]]]") -> None:
        wanted = [(asked, future) for asked, future in batch if not future.done()]
        if not wanted:
            return
        answers: Sequence[Answered | Exception]
        try:
            answers = await self._answer_all([asked for asked, _ in wanted])
        except Exception as error:  # noqa: BLE001 - it is raised to whoever asked, or found to be another's
            if len(wanted) > 1:
                for one in wanted:
                    await self._answer([one])
                return
            answers = [error]
        for (_, future), answer in zip(wanted, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
