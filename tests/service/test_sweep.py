"""Sweeps are repeated until they are told to end, whatever happens at that moment."""

import asyncio
from typing import Any, cast

import pytest

from service.sweep import _repeat


@pytest.mark.parametrize("turns", range(5))
async def test_who_calls_at_the_moment_of_the_end_keeps_nothing_alive(turns: int):
    noticed, rounds = asyncio.Event(), list[None]()

    async def sweep(_: object) -> None:
        rounds.append(None)

    repeating = asyncio.create_task(_repeat(cast(Any, None), (sweep,), 3600.0, noticed))
    while not rounds:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    noticed.set()
    # As many turns of the loop as the call takes to arrive.
    for _ in range(turns):
        await asyncio.sleep(0)
    repeating.cancel()
    done, _ = await asyncio.wait({repeating}, timeout=1)

    assert done == {repeating}
    assert repeating.cancelled()
