"""What the operator takes: written down when it changes, and shown to anybody with what it was."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from licensing.money import Money
from service.fees import list_fees, note_fees
from tests.service.conftest import Place
from tests.service.pages.conftest import words_of


async def test_a_fee_is_written_down_once_and_again_when_it_differs(place: Place):
    web, now = place.gateway, place.gateway.clock()
    higher = replace(web.prices, fee_bps=2000, dues=Money(500, "EUR"))
    async with web.house() as conn:
        shipped = await list_fees(conn)
    later = now + timedelta(days=1)

    async def start() -> None:
        async with web.house() as conn:
            await note_fees(conn, higher, now=later)

    await asyncio.gather(start(), start(), start())
    async with web.house() as conn:
        await note_fees(conn, higher, now=now + timedelta(days=2))
        await note_fees(conn, web.prices, now=now + timedelta(days=3))
        found = await list_fees(conn)

    assert [(one.fee_bps, one.dues.amount) for one in shipped] == [(1500, 0)]
    assert [one.fee_bps for one in found] == [1500, 2000, 1500]
    assert [one.since for one in found] == [now + timedelta(days=3), later, shipped[0].since]


async def test_anybody_reads_what_is_taken_on_an_example_and_what_it_was(place: Place):
    async with place.gateway.house() as conn:
        await note_fees(conn, replace(place.gateway.prices, fee_bps=725), now=place.gateway.clock() + timedelta(days=9))

    text = words_of((await place.stranger.get("/fees", headers={"Accept": "text/html"})).text)

    assert "15 % of every price goes to Ownhand" in text
    assert "Of a picture that costs EUR 29.00, the creator gets EUR 24.65 and Ownhand EUR 4.35" in text
    assert "7.25 % EUR 0.00" in text
