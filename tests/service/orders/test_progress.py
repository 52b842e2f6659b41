"""How far pictures are is noted also where the last note was given up in the middle."""

import asyncio

import pytest

from inference.messages import Step
from service import progress
from service.progress import Progress
from tests.service.market import Market


async def test_a_note_that_was_given_up_in_the_middle_is_made_again(market: Market, monkeypatch: pytest.MonkeyPatch):
    noted: list[tuple[int, str | None]] = []
    may_write = asyncio.Event()

    async def write_slowly(_: object, order_id: str, *, step: int, preview: str | None, **__: object) -> bool:
        await may_write.wait()
        noted.append((step, preview and preview[:23]))
        return True

    monkeypatch.setattr(progress, "note_progress", write_slowly)
    pictures = Progress(count=1)
    pictures.hear(1, Step(index=6, total=6, preview=b"seen", halfway=bytes))
    given_up = asyncio.create_task(pictures.note(market.gateway, "gen_1"))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)

    may_write.set()
    await pictures.note(market.gateway, "gen_1")
    await pictures.note(market.gateway, "gen_1")

    assert noted == [(6, "data:image/jpeg;base64,")]


async def test_a_database_that_was_away_is_told_when_it_is_back(
    market: Market, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    noted: list[int] = []
    fails = [ConnectionResetError("gone"), ConnectionResetError("still gone")]

    async def write(_: object, order_id: str, *, step: int, **__: object) -> bool:
        if fails:
            raise fails.pop()
        noted.append(step)
        return True

    monkeypatch.setattr(progress, "note_progress", write)
    monkeypatch.setattr(progress, "NOTE_EVERY_S", 0.01)
    pictures = Progress(count=1)

    async with asyncio.timeout(5), pictures.told(market.gateway, "gen_1"):
        pictures.hear(1, Step(index=3, total=6, preview=None, halfway=bytes))
        while not noted:
            await asyncio.sleep(0.01)

    assert noted == [3]
    assert caplog.text.count("how far gen_1 is cannot be noted") == 1, "it is said once"
