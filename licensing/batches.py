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
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

MOST = 64
"""Questions that are answered together, at most: more hold their locks for longer than they save."""
AT_ONCE = 2
"""Batches under way: while one waits for the disk, the next one computes."""


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
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Answered:
        """The answer to one question. Who is cancelled meanwhile does not hear it, but it may have been answered."""
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if len(self._tasks) < self._at_once:
            # In a context of its own: it answers for many, and belongs to the story of none of them.
            task = asyncio.create_task(self._work(), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), self._most)
            await self._answer([self._waiting.popleft() for _ in range(count)])

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
