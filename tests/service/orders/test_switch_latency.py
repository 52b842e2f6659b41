"""What the switch took is noted as it happens, and published: to anybody, as a page and for programs."""

import asyncio
from datetime import timedelta

from service import stops
from service.heartbeats import this_process
from tests.service.conftest import slug_of
from tests.service.market import Market, MovableClock


async def test_before_anything_was_switched_off_there_is_no_data(market: Market):
    assert (await market.stranger.get("/v1/switch/latency")).json() == {"days": 30, "fence": None, "workers": None}
    assert (await market.stranger.get("/switch")).text.count("No data yet") == 2


async def test_a_stop_in_the_middle_of_a_picture_is_measured_and_shown_for_thirty_days(
    market: Market, clock: MovableClock
):
    client = await market.client()
    market.curtain.wait_at(1)
    order = (await market.order(client, wait=0)).json()
    assert await asyncio.to_thread(market.curtain.reached, 1)

    await market.switch("off")
    market.curtain.wait_at(None)

    async with asyncio.timeout(20):
        while (found := (await market.stranger.get("/v1/switch/latency")).json())["workers"] is None:
            await asyncio.sleep(0.05)
    assert (await client.http.get(f"/v1/generations/{order['id']}")).json()["state"] == "withdrawn"
    assert (found["fence"]["count"], found["workers"]["count"]) == (1, 1)
    for one in (found["fence"], found["workers"]):
        assert 0 < one["p50_ms"] == one["p99_ms"] == one["worst_ms"] < 20_000
    async with market.gateway.pool.acquire() as conn:
        rows = await conn.fetch("SELECT place, num_orders FROM service.switch_stops ORDER BY num_orders")
    assert [tuple(row) for row in rows] == [("fence", 0), (this_process().actor, 1)]
    shown = (await market.stranger.get("/switch")).text
    assert "No data yet" not in shown
    assert "99 of 100 within" in shown
    await market.switch("live")
    assert (await market.stranger.get("/v1/switch/latency")).json() == found
    clock.ahead += timedelta(days=31)
    assert (await market.stranger.get("/v1/switch/latency")).json()["workers"] is None


async def test_percentiles_are_of_all_that_was_measured(market: Market):
    now = market.gateway.clock()
    async with market.gateway.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.switch_stops")
        await conn.execute(
            "INSERT INTO service.switch_stops (event_no, place, asked_at, stopped_at)"
            " SELECT n, 'a worker', $1, $1::timestamptz + n * interval '1 millisecond' FROM generate_series(1, 101) n",
            now,
        )
        found = (await stops.measured(conn, now=now))["workers"]

    assert (found.count, round(found.p50_ms), round(found.p99_ms), round(found.worst_ms)) == (101, 51, 100, 101)


async def test_the_history_comes_in_pages(market: Market):
    for level in ("off", "live", "off", "live"):
        await market.switch(level)
    http = market.creator.http
    whole = (await http.get("/v1/switch/history")).json()["items"]

    first = (await http.get("/v1/switch/history?limit=3")).json()
    second = (await http.get(f"/v1/switch/history?limit=200&cursor={first['next_cursor']}")).json()

    assert [one["level"] for one in first["items"]] == ["live", "off", "live"]
    assert first["items"] + second["items"] == whole
    assert second["next_cursor"] is None
    assert slug_of(await http.get("/v1/switch/history?cursor=else")) == "invalid_request"
    assert slug_of(await http.get(f"/v1/switch/history?cursor={'9' * 30}")) == "invalid_request"
