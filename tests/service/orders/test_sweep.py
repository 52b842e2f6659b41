"""The sweeps: what a crash, a full disk or a forgotten order leaves behind is put right."""

import asyncio
from datetime import timedelta

import pytest
from dbos import DBOS

from service import acceptance, generation, sweep
from service.workflows import GENERATION, start, story
from tests.service.market import Market, prepaid, publish_style, state_of


@story("broken")
async def broken(order_id: str) -> None:
    raise ValueError(f"{order_id} hits a fault of ours")


async def test_an_accepted_order_that_was_never_started_is_started(market: Market, monkeypatch: pytest.MonkeyPatch):
    client = await market.client()

    async def forget(order_id: str, turn: int | None) -> None:
        return None

    monkeypatch.setattr(acceptance, "start_generation", forget)
    order_id = (await market.order(client, wait=0)).json()["id"]

    await state_of(client, order_id, wanted="settled")


async def test_an_order_whose_story_broke_ends_without_a_charge(market: Market, monkeypatch: pytest.MonkeyPatch):
    client = await market.client(cents=500)

    async def start_broken(order_id: str, turn: int | None) -> None:
        await start(GENERATION, order_id, broken, order_id)

    monkeypatch.setattr(acceptance, "start_generation", start_broken)
    order_id = (await market.order(client, wait=0)).json()["id"]
    market.gateway.storage.put(f"pending/{order_id}/1.png", b"drawn")

    found = await state_of(client, order_id, wanted="failed")

    assert "nothing was charged" in found["message"]
    assert await prepaid(client) == (500, 0)
    assert await market.nothing_pending()


async def test_an_order_nobody_works_on_expires_and_its_money_is_free(market: Market):
    client = await market.client(cents=500)
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    web = market.gateway
    async with market.owner() as conn:
        await conn.execute(
            "UPDATE licensing.hold SET lease_until = $2 WHERE order_id = $1",
            order_id,
            web.clock() - timedelta(seconds=1),
        )

    found = await state_of(client, order_id, wanted="expired")
    market.curtain.wait_at(None)

    assert found["amount"]["amount"] == 0
    assert await prepaid(client) == (500, 0)


async def test_leases_of_living_orders_are_renewed_but_not_for_ever(market: Market):
    client = await market.client()
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    web = market.gateway

    async def lease_left() -> float:
        async with web.pool.acquire() as conn:
            until = await conn.fetchval("SELECT lease_until FROM licensing.hold WHERE order_id = $1", order_id)
        return float((until - web.clock()).total_seconds())

    async with market.owner() as conn:
        await conn.execute(
            "UPDATE licensing.hold SET lease_until = $2 WHERE order_id = $1",
            order_id,
            web.clock() + timedelta(seconds=60),
        )
    await sweep.keep_leases(web)
    renewed = await lease_left()
    async with market.owner() as conn:
        await conn.execute(
            "UPDATE service.generations SET created_at = created_at - interval '1 day' WHERE id = $1", order_id
        )
        await conn.execute(
            "UPDATE licensing.hold SET lease_until = $2 WHERE order_id = $1",
            order_id,
            web.clock() + timedelta(seconds=60),
        )
    await sweep.keep_leases(web)
    left_alone = await lease_left()
    market.curtain.wait_at(None)

    assert renewed > 800
    assert left_alone < 61
    await state_of(client, order_id, wanted="settled")


async def test_objects_that_belong_to_nobody_are_collected(market: Market):
    client = await market.client()
    settled = (await market.order(client)).json()
    market.curtain.wait_at(1)
    drawing = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    storage = market.gateway.storage
    for order_id in ("gen_nobody", settled["id"], drawing):
        storage.put(f"pending/{order_id}/1.png", b"left behind")

    await sweep.collect(market.gateway)
    left = market.pending()
    market.curtain.wait_at(None)

    assert left == [f"pending/{drawing}/1.png"]
    await state_of(client, drawing, wanted="settled")
    assert (await client.http.get(f"/v1/outputs/{settled['outputs'][0]['id']}")).status_code == 200


async def test_a_wind_down_whose_date_has_come_becomes_off(market: Market):
    client = await market.client(cents=500)
    style_id = await publish_style(market.gateway, market.creator, market.adapter, notice_days=0)
    assert (await market.order(client, style=style_id)).json()["state"] == "settled"
    answer = await market.creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "wind_down"})
    assert answer.status_code == 200, answer.text

    await sweep.end_periods(market.gateway)

    shown = (await market.stranger.get(f"/v1/styles/{style_id}")).json()
    assert shown["switch"]["level"] == "off"


async def test_a_story_that_its_living_process_tells_no_more_is_taken_up_again(market: Market):
    client = await market.client(cents=500)
    order_id = (await market.order(client)).json()["id"]
    async with market.gateway.pool.acquire() as conn:
        # As a database leaves it that went away while the story was told: begun by this process, and never ended.
        await conn.execute(
            "UPDATE dbos.workflow_status SET status = 'PENDING', output = NULL WHERE workflow_uuid = $1", order_id
        )

    async with asyncio.timeout(60):
        while [one.status for one in await DBOS.list_workflows_async(workflow_ids=[order_id])] != ["SUCCESS"]:
            await asyncio.sleep(0.1)

    assert await prepaid(client) == (440, 0)


async def test_a_story_started_twice_is_told_once(market: Market):
    client = await market.client(cents=500)
    order_id = (await market.order(client)).json()["id"]

    await generation.start_generation(order_id, None)
    await asyncio.sleep(0.3)

    status = await DBOS.list_workflows_async(workflow_ids=[order_id])
    assert [(story.status, story.output) for story in status] == [("SUCCESS", "settled")]
    assert await prepaid(client) == (440, 0)
