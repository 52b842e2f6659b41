"""The watch: a worker goes on only while the gateway says so, and stops by itself when it cannot ask."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from service.drawing import studio
from service.watch import LEASE_LOST, Watch
from tests.postgres import Server
from tests.service.market import CurtainedEngine, Market, prepaid


async def held(market: Market) -> str:
    """An order that is being drawn and held at its first step; its id."""
    client = await market.client()
    market.curtain.wait_at(1)
    order_id: str = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    return order_id


async def in_thread(watch: Watch, order_id: str) -> str | None:
    return await asyncio.to_thread(watch.reason_to_stop, order_id)


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def watch(market: Market, notices: list[str]) -> Iterator[Watch]:
    with Watch(market.database_url, on_switch=notices.append, poll_s=0.05, lease_s=0.3, patience_s=0.5) as running:
        yield running
    market.curtain.wait_at(None)


async def test_a_cancel_is_seen_without_any_notice(market: Market, watch: Watch, notices: list[str]):
    order_id = await held(market)
    watch.follow(order_id)
    assert await in_thread(watch, order_id) is None

    async with market.owner() as conn:
        await conn.execute("UPDATE licensing.hold SET cancel_requested = true WHERE order_id = $1", order_id)

    began = time.monotonic()
    while await in_thread(watch, order_id) is None:
        await asyncio.sleep(0.01)
    assert await in_thread(watch, order_id) == "canceled"
    assert time.monotonic() - began < 1
    assert notices == []


async def test_a_switch_notice_is_passed_on_with_the_styles_id(market: Market, watch: Watch, notices: list[str]):
    order_id = await held(market)
    watch.follow(order_id)
    assert await in_thread(watch, order_id) is None

    await market.switch("off")

    while await in_thread(watch, order_id) is None:
        await asyncio.sleep(0.01)
    assert await in_thread(watch, order_id) == "withdrawn"
    assert market.style_id in notices
    await market.switch("live")


async def test_a_pause_is_no_reason_to_stop(market: Market, watch: Watch):
    order_id = await held(market)
    watch.follow(order_id)

    await market.switch("paused")
    await asyncio.sleep(0.2)

    assert await in_thread(watch, order_id) is None
    await market.switch("live")


async def test_an_order_nobody_knows_is_stopped(watch: Watch):
    watch.follow("gen_nobody")

    assert await in_thread(watch, "gen_nobody") == "unknown"
    assert await in_thread(watch, "gen_never_followed") == LEASE_LOST


async def test_without_an_answer_it_holds_still_and_then_gives_up(postgres: Server, migrated: str):
    """The database cannot be reached: no step is made on an old answer, and after a while the lease is lost."""
    name = postgres.create_database(template=migrated)
    url = postgres.url(name)
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO licensing.hold (order_id, client_id, creator_id, style_id, tier, terms_version, fee_bps,"
            " count, test, pay, unit_price, amount, currency, units_each, units, capped, creator_epoch, style_epoch,"
            " client_epoch, hold_s, lease_until, created_at)"
            " VALUES ('gen_1', 'c', 'o', 's', 't', 1, 0, 1, true, 'test', 0, 0, 'EUR', 0, 0, false, 0, 0, 0, 900,"
            " now() + interval '1 hour', now())"
        )
    with Watch(url, on_switch=lambda _: None, poll_s=0.05, lease_s=0.3, patience_s=1.0) as watch:
        watch.follow("gen_1")
        assert await in_thread(watch, "gen_1") is None
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
            conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

        async with asyncio.timeout(30):
            while await in_thread(watch, "gen_1") != LEASE_LOST:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        assert await in_thread(watch, "gen_1") == LEASE_LOST
        assert time.monotonic() - began < 0.2

        with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
            conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        while await in_thread(watch, "gen_1") is not None:
            await asyncio.sleep(0.05)
    postgres.drop_database(name)


async def test_an_order_whose_lease_is_lost_is_drawn_again_with_its_hold_kept(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    client = await market.client(cents=60)
    watch = studio().watch
    truly, lost = watch.reason_to_stop, threading.Event()

    def once(order_id: str) -> str | None:
        # The first attempt loses its lease after the second step.
        if not lost.is_set() and 2 in market.curtain.seen:
            lost.set()
            return LEASE_LOST
        return truly(order_id)

    market.curtain.wait_at(None)
    monkeypatch.setattr(watch, "reason_to_stop", once)

    generation = (await market.order(client)).json()

    assert lost.is_set()
    assert generation["state"] == "settled"
    assert await prepaid(client) == (0, 0)
    async with market.gateway.pool.acquire() as conn:
        kinds = await conn.fetch(
            "SELECT kind FROM service.events WHERE subject = $1 AND kind <> 'progress' ORDER BY id", generation["id"]
        )
        fence = await conn.fetchval("SELECT fence FROM licensing.hold WHERE order_id = $1", generation["id"])
    assert [row["kind"] for row in kinds] == ["queued", "started", "queued", "started", "output", "settled"]
    assert fence == 2


async def test_an_engine_that_broke_is_replaced_and_the_order_drawn(market: Market):
    client = await market.client(cents=60)
    assert (await market.order(client, wait=30, tier="draft")).json()["state"] == "settled"
    broken = studio().engines["tiny"]
    await asyncio.to_thread(broken.close)

    generation = (await market.order(client, tier="draft")).json()

    assert generation["state"] == "settled"
    assert studio().engines["tiny"] is not broken


async def test_a_withdrawn_orders_adapter_is_forgotten_though_the_notice_was_lost(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    forgotten: list[str] = []
    monkeypatch.setattr(CurtainedEngine, "forget", lambda _, sha256: forgotten.append(sha256))
    monkeypatch.setattr(studio().watch, "_on_switch", lambda _: None)
    await held(market)

    await market.switch("off")
    market.curtain.wait_at(None)

    deadline = time.monotonic() + 10
    while not forgotten and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert forgotten == [hashlib.sha256(market.adapter).hexdigest()]
    await market.switch("live")
