"""Two processes may believe that an order is theirs: only the newest attempt decides how it ends, and says why."""

import asyncio

import pytest

from licensing.gateway import begin, request_cancel
from service import generation
from service.orders import find_order
from tests.service.conftest import Person
from tests.service.market import PRICE, Market, hold_sealing, prepaid, state_of


async def running(market: Market, client: Person, **body: object) -> str:
    """An order that is held after its first step; its id."""
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0, **body)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    return str(order_id)


async def row_state(market: Market, order_id: str) -> str:
    async with market.gateway.pool.acquire() as conn:
        order = await find_order(conn, order_id)
    assert order is not None
    return order.state


async def test_an_attempt_that_was_followed_by_another_ends_nothing(market: Market):
    client = await market.client(cents=500)
    order_id = await running(market, client)
    stale = 0

    ended = await generation.end_unpaid(order_id, stale, "withdrawn", None, [])
    sealed = await generation.seal_pictures(order_id, stale, [])
    put_back = await generation.put_back(order_id, stale)

    assert (ended, put_back) == ("superseded", False)
    assert sealed["end"] != "sealed"
    assert await row_state(market, order_id) == "running"
    assert await prepaid(client) == (500 - PRICE, PRICE)
    market.curtain.wait_at(None)
    await state_of(client, order_id, wanted="settled")
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_a_new_attempt_draws_again_what_an_older_one_was_sealing(market: Market):
    client = await market.client(cents=500)
    order_id = await running(market, client)
    web = market.gateway
    async with web.pool.acquire() as conn:
        await conn.execute("UPDATE service.generations SET state = 'sealing' WHERE id = $1", order_id)

    attempt = await generation.begin_attempt(order_id)

    assert (attempt["fence"], attempt["test"]) == (2, False)
    assert await row_state(market, order_id) == "queued"
    async with web.pool.acquire() as conn:
        assert (await begin(conn, order_id=order_id, now=web.clock())).fence == 3
    market.curtain.wait_at(None)


async def test_an_order_canceled_while_it_is_sealed_says_so(market: Market, monkeypatch: pytest.MonkeyPatch):
    client = await market.client(cents=500)
    sealing, go_on = hold_sealing(monkeypatch)
    order_id = (await market.order(client, wait=0, count=2)).json()["id"]
    await asyncio.wait_for(sealing.wait(), 30)

    async with market.gateway.pool.acquire() as conn:
        await request_cancel(conn, order_id=order_id, client_id=client.account.id)
    go_on.set()

    found = await state_of(client, order_id, wanted="canceled")
    assert found["message"] == "Canceled as you asked; nothing was charged."
    assert await prepaid(client) == (500, 0)
