"""A key that is revoked ends what it is being told at that moment, too: within a second."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from licensing import keys
from service.accounts import Account
from service.sessions import end_session
from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.market import Market

SOON = 3.0
"""A second is promised, and measured by a story with processes of their own; here other tests run beside."""


@pytest.fixture(scope="module")
async def origin(market: Market) -> AsyncIterator[str]:
    """The market's application on a socket: an ASGI transport hands an answer over when it is whole."""
    server = uvicorn.Server(uvicorn.Config(market.app, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def revoke_all(market: Market, account: Account) -> None:
    web = market.gateway
    async with web.pool.acquire() as conn:
        for key in await keys.listing(conn, account_id=account.id):
            await keys.revoke(conn, key_id=key.id, account_id=account.id, now=web.clock())


async def running_order(market: Market, client: Person) -> str:
    market.curtain.wait_at(1)
    order_id: str = (await market.order(client, wait=0)).json()["id"]
    return order_id


async def follow(url: str, heard: asyncio.Event, **options: object) -> list[str]:
    """The kinds of events until the stream ends; `heard` is set at the first."""
    kinds = []
    async with httpx.AsyncClient(timeout=30) as http, http.stream("GET", url, **options) as answer:  # type: ignore[arg-type]
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
                heard.set()
    return kinds


async def test_a_stream_ends(market: Market, origin: str):
    client, heard = await market.client(), asyncio.Event()
    order_id = await running_order(market, client)
    reading = asyncio.create_task(
        follow(f"{origin}/v1/generations/{order_id}/events", heard, headers={"Authorization": f"Bearer {client.token}"})
    )
    await asyncio.wait_for(heard.wait(), 10)
    await asyncio.sleep(0.5)
    assert not reading.done()

    await revoke_all(market, client.account)
    began = time.monotonic()
    kinds = await asyncio.wait_for(reading, 10)

    assert time.monotonic() - began < SOON
    assert kinds[0] == "queued"
    assert kinds[-1] == "unauthenticated"
    market.curtain.wait_at(None)


async def test_a_browsers_stream_ends_with_its_session(market: Market, origin: str):
    client, heard = await market.client(), asyncio.Event()
    session = await sign_in(market, client.account)
    order_id = await running_order(market, client)
    url = f"{origin}/v1/generations/{order_id}/events"
    reading = asyncio.create_task(follow(url, heard, cookies={"ownhand": session.word}))
    await asyncio.wait_for(heard.wait(), 10)

    async with market.gateway.pool.acquire() as conn:
        await end_session(conn, session, now=market.gateway.clock())
    began = time.monotonic()
    kinds = await asyncio.wait_for(reading, 10)

    assert time.monotonic() - began < SOON
    assert kinds[-1] == "unauthenticated"
    market.curtain.wait_at(None)


async def test_a_browsers_stream_ends_when_its_session_is_ended_in_another_browser(market: Market, origin: str):
    client, heard = await market.client(), asyncio.Event()
    lost, here = await sign_in(market, client.account), await sign_in(market, client.account)
    order_id = await running_order(market, client)
    url = f"{origin}/v1/generations/{order_id}/events"
    reading = asyncio.create_task(follow(url, heard, cookies={"ownhand": lost.word}))
    await asyncio.wait_for(heard.wait(), 10)

    ended = await browser(market, here).post(f"/account/sessions/{lost.mark}/end", data={"csrf": here.csrf})
    began = time.monotonic()
    kinds = await asyncio.wait_for(reading, 10)

    assert ended.status_code == 303
    assert time.monotonic() - began < SOON
    assert kinds[-1] == "unauthenticated"
    market.curtain.wait_at(None)


async def test_a_call_that_waits_ends_and_its_order_goes_on(market: Market):
    client = await market.client()
    market.curtain.wait_at(1)
    waiting = asyncio.create_task(market.order(client, wait=30))
    await asyncio.sleep(1.0)
    assert not waiting.done()

    await revoke_all(market, client.account)
    began = time.monotonic()
    answer = await asyncio.wait_for(waiting, 10)

    assert time.monotonic() - began < SOON
    assert slug_of(answer) == "unauthenticated"
    assert "the order goes on" in answer.json()["detail"]
    market.curtain.wait_at(None)
    desk = browser(market, await sign_in(market, client.account))
    async with asyncio.timeout(20):
        while (await desk.get("/v1/generations")).json()["items"][0]["state"] != "settled":
            await asyncio.sleep(0.1)
