"""The clock is moved on by a month, and everything that has a date has come to it."""

import asyncio
from datetime import timedelta

from licensing import keys
from licensing.verify import verify
from service import retention
from service.sweep import end_periods
from tests.service.conftest import Person, browser, connect, draw, sign_in, slug_of
from tests.service.market import PRICE, Market, MovableClock, prepaid


async def key_for(market: Market, client: Person, *, days: int) -> str:
    web = market.gateway
    async with web.pool.acquire() as conn:
        issued = await keys.issue(
            conn,
            account_id=client.account.id,
            kind="live",
            expires_at=web.clock() + timedelta(days=days),
            new_id=web.new_id,
            now=web.clock(),
            pepper=web.pepper,
        )
    return issued.token


async def state_of(client: Person, order_id: str) -> str:
    return str((await client.http.get(f"/v1/generations/{order_id}")).json()["state"])


async def test_a_hold_a_licence_a_key_a_session_and_words_come_to_their_end(market: Market, clock: MovableClock):
    client = await market.client()
    bought = await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"})
    assert bought.status_code == 201, bought.text
    short = connect(market.app, await key_for(market, client, days=20))
    desk = browser(market, await sign_in(market, client.account))
    brought = await client.http.post("/v1/images", content=draw(size=32), headers={"Content-Type": "image/png"})
    sold = (await market.order(client, tier="commercial", image=brought.json()["id"], strength=0.5)).json()
    assert sold["state"] == "settled"
    free, held = await prepaid(client)
    market.curtain.wait_at(1)
    waiting = (await market.order(client, tier="commercial", wait=0)).json()
    assert await asyncio.to_thread(market.curtain.reached, 1)
    assert sum(await prepaid(client)) == free + held
    assert (await prepaid(client))[1] > 0

    clock.ahead += timedelta(hours=7)

    async with asyncio.timeout(20):
        while await state_of(client, waiting["id"]) != "expired":
            await asyncio.sleep(0.1)
    market.curtain.wait_at(None)
    assert await prepaid(client) == (free, 0)
    assert (await short.get("/v1/usage")).status_code == 200

    clock.ahead += timedelta(days=31)
    for sweep in (end_periods, retention.prune_stories, retention.delete_words, retention.delete_images):
        await sweep(market.gateway)

    licences = (await client.http.get("/v1/licences")).json()["items"]
    assert [one["state"] for one in licences] == ["ended"]
    assert slug_of(await short.get("/v1/usage")) == "unauthenticated"
    assert (await desk.get("/desk")).status_code == 303
    forgotten = (await client.http.get(f"/v1/generations/{sold['id']}")).json()
    assert (forgotten["state"], forgotten["prompt"], forgotten["image"]) == ("settled", None, None)
    assert slug_of(await client.http.get(brought.headers["Location"])) == "not_found"
    picture = (await client.http.get(f"/v1/outputs/{sold['outputs'][0]['id']}")).content
    async with market.gateway.pool.acquire() as conn:
        assert (
            await verify(conn, market.gateway.authority, picture, now=market.gateway.clock(), watermark=None)
        ).verdict == "valid"
    anew = (await market.order(client)).json()
    assert (anew["state"], anew["amount"]["amount"], anew["created_at"][:10]) == (
        "settled",
        PRICE,
        str(clock().date()),
    )
    assert await market.ledger_problems() == []
