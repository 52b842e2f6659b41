"""What is asked at the same time is answered together; one that cannot be answered costs the others nothing."""

import asyncio
from collections.abc import Sequence

import pytest

from licensing.batches import Batches


class Office:
    """Answers with the square of what is asked, one batch at a time, when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()

    async def answer_all(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        await self.may_answer.wait()
        if 13 in asked:
            raise ZeroDivisionError(f"{len(asked)} and 13")
        return [ValueError(f"{number} is negative") if number < 0 else number**2 for number in asked]


async def ask(batches: Batches[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batches.ask(number)) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_finds_nobody_at_work_is_answered_at_once_and_who_comes_meanwhile_together():
    office = Office()
    batches = Batches(office.answer_all, most=3, at_once=1)

    tasks = await ask(batches, 1)
    tasks += await ask(batches, 2, 3, 4, 5)
    office.may_answer.set()

    assert await asyncio.gather(*tasks) == [1, 4, 9, 16, 25]
    assert office.batches == [[1], [2, 3, 4], [5]]


async def test_while_one_batch_waits_for_the_disk_the_next_is_answered():
    office = Office()
    batches = Batches(office.answer_all, at_once=2)

    tasks = await ask(batches, 1, 2)
    tasks += await ask(batches, 3, 4)
    tasks += await ask(batches, 5, 6)
    assert office.batches == [[1, 2], [3, 4]], "two are under way, none is answered"
    office.may_answer.set()

    assert await asyncio.gather(*tasks) == [1, 4, 9, 16, 25, 36]
    assert office.batches[2:] == [[5, 6]]


async def test_whoever_asks_again_as_soon_as_they_are_answered_is_answered_again():
    office = Office()
    office.may_answer.set()
    batches = Batches(office.answer_all, at_once=1)

    async with asyncio.timeout(5):
        # Nothing lies between an answer and the next question, so whoever worked has not been seen to end.
        assert [await batches.ask(number) for number in range(4)] == [0, 1, 4, 9]


async def test_each_hears_its_own_refusal():
    office = Office()
    office.may_answer.set()
    batches = Batches(office.answer_all)

    two, minus, three = await asyncio.gather(*(batches.ask(n) for n in (2, -1, 3)), return_exceptions=True)

    assert (two, three) == (4, 9)
    assert isinstance(minus, ValueError)


async def test_where_a_batch_breaks_each_is_answered_by_itself():
    office = Office()
    batches = Batches(office.answer_all, at_once=1)

    tasks = await ask(batches, 1)
    tasks += await ask(batches, 2, 13, 3)
    office.may_answer.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert answers[:2] + answers[3:] == [1, 4, 9]
    assert str(answers[2]) == "1 and 13"
    assert office.batches == [[1], [2, 13, 3], [2], [13], [3]]


async def test_who_no_longer_waits_is_left_out_and_the_others_are_answered():
    office = Office()
    batches = Batches(office.answer_all, at_once=1)

    first, *rest = await ask(batches, 1) + await ask(batches, 2, 3, 4)
    rest[1].cancel()
    await asyncio.sleep(0)
    office.may_answer.set()

    assert await first == 1
    assert await asyncio.gather(rest[0], rest[2]) == [4, 16]
    with pytest.raises(asyncio.CancelledError):
        await rest[1]
    assert office.batches == [[1], [2, 4]]


async def test_who_waits_too_long_is_told_so_and_the_others_are_answered():
    office = Office()
    batches = Batches(office.answer_all, at_once=1)

    hurried = asyncio.create_task(batches.ask(2, within_s=0.05))
    while not office.batches:
        await asyncio.sleep(0)
    more_hurried = asyncio.create_task(batches.ask(3, within_s=0.05))
    patient = asyncio.create_task(batches.ask(4, within_s=60))
    with pytest.raises(TimeoutError):
        await hurried
    with pytest.raises(TimeoutError):
        await more_hurried
    office.may_answer.set()

    assert await patient == 16
    assert office.batches == [[2], [4]], "who waits no more is not answered"


async def test_one_timer_serves_all_who_wait():
    office = Office()
    office.may_answer.set()
    batches = Batches(office.answer_all)
    loop = asyncio.get_running_loop()
    calls = []
    loop_call_at, loop.call_at = loop.call_at, lambda *args, **more: calls.append(args) or loop_call_at(*args, **more)  # type: ignore[method-assign]
    try:
        answers = [await batches.ask(number, within_s=60) for number in range(10)]
    finally:
        del loop.call_at

    assert answers == [number**2 for number in range(10)]
    assert len(calls) == 1
