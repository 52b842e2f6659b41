"""Rows that nobody needs any more go; those of what is under way, and what was sold, stay."""

import asyncio
from datetime import timedelta

from service import retention
from service.workflows import states_of
from tests.service.market import Market, read_events


async def test_old_events_of_ended_orders_go_and_the_stream_still_says_how_they_ended(market: Market):
    client = await market.client()
    old, new = [(await market.order(client)).json() for _ in range(2)]
    market.curtain.wait_at(1)
    running = (await market.order(client, wait=0)).json()
    await age(market, old["id"], running["id"])

    await retention.prune_events(market.gateway)

    assert await count_events(market, old["id"]) == 0
    assert await count_events(market, running["id"]) > 0
    assert await count_events(market, new["id"]) > 0
    told = await client.http.get(f"/v1/generations/{old['id']}/events")
    assert read_events(told.text) == [("settled", {"amount": old["amount"]["amount"]})]
    market.curtain.wait_at(None)
    assert (await client.http.get(f"/v1/outputs/{old['outputs'][0]['id']}")).status_code == 200


async def test_a_reader_who_saw_the_end_is_not_kept_waiting(market: Market):
    client = await market.client()
    order = (await market.order(client)).json()
    path = f"/v1/generations/{order['id']}/events"
    ids = [line for line in (await client.http.get(path)).text.splitlines() if line.startswith("id: ")]

    again = await client.http.get(path, headers={"Last-Event-ID": ids[-1].removeprefix("id: ")}, timeout=5)

    assert [kind for kind, _ in read_events(again.text)] == ["settled"]


async def test_stories_that_ended_long_ago_are_forgotten_and_their_orders_stay(market: Market):
    client = await market.client()
    old, new = [(await market.order(client)).json() for _ in range(2)]
    market.curtain.wait_at(1)
    running = (await market.order(client, wait=0)).json()
    assert await asyncio.to_thread(market.curtain.reached, 1)
    async with market.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE dbos.workflow_status SET completed_at = completed_at - $2, created_at = created_at - $2"
            " WHERE workflow_uuid LIKE $1 OR workflow_uuid = $3",
            *(f"{old['id']}%", 8 * 24 * 3600 * 1000, running["id"]),
        )

    await retention.prune_stories(market.gateway)

    assert set(await states_of([old["id"], new["id"], running["id"]])) == {new["id"], running["id"]}
    assert await states_of([f"{old['id']}.1.render"]) == {}
    market.curtain.wait_at(None)
    shown = (await client.http.get(f"/v1/generations/{old['id']}")).json()
    assert (shown["state"], len(shown["outputs"])) == ("settled", 1)
    assert not await market.ledger_problems()


async def age(market: Market, *subjects: str) -> None:
    async with market.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.events SET created_at = created_at - $2::interval WHERE subject = ANY($1::text[])",
            *(list(subjects), timedelta(days=31)),
        )


async def count_events(market: Market, subject: str) -> int:
    async with market.gateway.pool.acquire() as conn:
        found: int = await conn.fetchval("SELECT count(*) FROM service.events WHERE subject = $1", subject)
    return found
