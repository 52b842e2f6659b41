"""Connections break at any statement and any commit of the gateway's verbs, and callers ask again: the result is that
of a world in which nothing breaks. A failing seed is in the test's name: `pytest tests/licensing/test_faults.py -k
seed-7` plays it again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from licensing import gateway, keys, plans, switch, terms
from licensing.errors import Refusal
from licensing.ledger import check
from licensing.orders import Hold, Replay, Settled, Voided
from licensing.payments import manual
from licensing.prices import Prices, load_prices
from licensing.refunds import refund_output
from tests.licensing.faults import BreakingConnection, Dropped, Faults, every_fault, no_faults, one_fault, seeded_faults
from tests.licensing.world import NOW, PEPPER, PRICES, eur, new_id, pictures

RATE = 0.15
TRIES = 50


@dataclass(kw_only=True)
class Caller:
    """Somebody who repeats a call until it is answered, each time on another connection."""

    pool: asyncpg.Pool
    faults: Faults
    prices: Prices = field(default_factory=lambda: load_prices(PRICES))
    now: datetime = NOW

    async def ask(self, verb: Callable[[Any], Awaitable[Any]]) -> Any:
        for _ in range(TRIES):
            async with self.pool.acquire() as conn:
                try:
                    answer = await verb(BreakingConnection(conn, self.faults))
                except Dropped:
                    continue
            # The session before may be dying still, with the request in its hands.
            if not (isinstance(answer, Refusal) and answer.slug == "idempotency_conflict"):
                return answer
        raise AssertionError(f"not answered in {TRIES} tries")


@dataclass(kw_only=True)
class Story:
    """Everything that happens to one client of one style, in order; what it leaves is compared."""

    by: Caller
    client: str
    key_id: str
    style: terms.StyleTerms
    orders: list[str] = field(default_factory=list)

    async def hold(self, count: int = 2) -> str:
        order = gateway.Reserve(
            order_id=new_id("gen"),
            client_id=self.client,
            key_id=self.key_id,
            idempotency_key=new_id("idem"),
            request_hash="body",
            style_id=self.style.style_id,
            creator_id=self.style.creator_id,
            tier="personal",
            count=count,
            hold_s=900,
        )
        self.orders.append(order.order_id)
        answer = await self.by.ask(lambda conn: gateway.reserve(conn, order, now=self.by.now))
        assert isinstance(answer, Hold | Replay), answer
        return order.order_id

    async def begin(self, order_id: str) -> int:
        held = await self.by.ask(lambda conn: gateway.begin(conn, order_id=order_id, now=self.by.now))
        return int(held.fence)

    async def sell(self, order_id: str) -> Settled:
        fence, made = await self.begin(order_id), pictures(f"out_{order_id}_0", f"out_{order_id}_1")
        for one in made:
            signing = {"order_id": order_id, "fence": fence, "digest": one.sha256, "now": self.by.now}
            await self.by.ask(lambda conn, signing=signing: gateway.may_sign(conn, **signing))
        sold = await self.by.ask(
            lambda conn: gateway.settle(conn, order_id=order_id, fence=fence, made=made, now=self.by.now)
        )
        assert isinstance(sold, Settled), sold
        return sold

    async def void(self, order_id: str, reason: Any) -> None:
        ended = await self.by.ask(lambda conn: gateway.void(conn, order_id=order_id, reason=reason, now=self.by.now))
        assert isinstance(ended, Voided | gateway.AlreadyEnded), ended

    async def switch(self, level: Any) -> None:
        where = {"creator_id": self.style.creator_id, "style_id": self.style.style_id, "client_id": None}
        await self.by.ask(lambda conn: switch.set_level(conn, **where, level=level, by="test", now=self.by.now))


async def begin_story(pool: asyncpg.Pool, faults: Faults) -> Story:
    """A style and a client with a key: made without faults, for new ids are made with them."""
    by, client = Caller(pool=pool, faults=faults), new_id("acc")
    wanted = by.prices.default_terms(style_id=new_id("sty"), creator_id=new_id("acc"))
    async with pool.acquire() as conn:
        style = await terms.put_terms(conn, wanted, by="test", now=NOW)
        assert isinstance(style, terms.StyleTerms)
        key = await keys.issue(conn, account_id=client, kind="live", cap=10_000, new_id=new_id, now=NOW, pepper=PEPPER)
    return Story(by=by, client=client, key_id=key.id, style=style)


async def tell(story: Story) -> None:
    """All verbs there are that may be repeated."""
    by, ask = story.by, story.by.ask
    reference = new_id("ref")
    await ask(lambda conn: manual.credit(conn, story.client, eur(50_000), reference, by.now))
    sold = await story.hold()
    assert (await story.sell(sold)).amount == eur(120)
    await ask(lambda conn: refund_output(conn, output_id=f"out_{sold}_0", reason="torn", by="test", now=by.now))
    given_back = await story.hold()
    fence = await story.begin(given_back)
    await ask(lambda conn: gateway.requeue(conn, order_id=given_back, fence=fence, now=by.now))
    await ask(lambda conn: gateway.renew(conn, [given_back], by.now))
    await story.void(given_back, "failed")
    canceled = await story.hold()
    await ask(lambda conn: gateway.request_cancel(conn, order_id=canceled, client_id=story.client))
    await story.void(canceled, "canceled")
    plan = by.prices.plans["studio"]
    await ask(lambda conn: plans.subscribe(conn, client_id=story.client, plan=plan, now=by.now, new_id=new_id))
    licence = {"client_id": story.client, "style_id": story.style.style_id, "tier": "commercial"}
    await ask(lambda conn: plans.buy_licence(conn, **licence, now=by.now, new_id=new_id))
    await story.sell(await story.hold())
    withdrawn = await story.hold(1)
    await story.begin(withdrawn)
    await story.switch("off")
    await story.switch("live")
    await story.hold(1)
    by.now += timedelta(hours=25)
    await ask(lambda conn: gateway.expire_due(conn, now=by.now, limit=1000))
    by.now += timedelta(days=40)
    for period in await ask(lambda conn: plans.due_periods(conn, now=by.now, limit=1000)):
        await ask(lambda conn, period=period: plans.roll_over(conn, period, now=by.now, new_id=new_id))
    await ask(lambda conn: keys.revoke(conn, key_id=story.key_id, account_id=story.client, now=by.now))


async def what_is_left(pool: asyncpg.Pool, story: Story, after_group: int) -> dict[str, Any]:
    """What a story left behind, without names and times."""
    client, creator, orders = story.client, story.style.creator_id, story.orders
    wishes: dict[str, tuple[str, tuple[Any, ...]]] = {
        "entries": (
            "SELECT g.kind, count(DISTINCT g.group_no), sum(abs(e.amount)) FROM licensing.entry_group g"
            " JOIN licensing.entry e USING (group_no) WHERE g.group_no > $1 GROUP BY 1 ORDER BY 1",
            (after_group,),
        ),
        "holds": (
            "SELECT state, reason, pay, made, charged, charged_units FROM licensing.hold"
            " WHERE client_id = $1 ORDER BY array_position($2::text[], order_id)",
            (client, orders),
        ),
        "outputs": (
            "SELECT price, share, fee, revoked_reason FROM licensing.output"
            " WHERE client_id = $1 ORDER BY array_position($2::text[], order_id), position",
            (client, orders),
        ),
        "periods": (
            "SELECT kind, name, state, price, period FROM licensing.allowance WHERE client_id = $1"
            " ORDER BY kind, starts_at",
            (client,),
        ),
        "switches": (
            "SELECT level_before, level, epoch, stopped, voided, refunded FROM licensing.switch_event"
            " WHERE creator_id = $1 ORDER BY event_no",
            (creator,),
        ),
        "budgets": (
            "SELECT kind, granted, posted, pending FROM licensing.budget WHERE owner_id = $1"
            " ORDER BY kind, granted, posted",
            (client,),
        ),
        "requests": ("SELECT count(*) FROM licensing.idempotency WHERE client_id = $1", (client,)),
    }
    async with pool.acquire() as conn:
        assert await check(conn) == []
        return {
            name: [tuple(row) for row in await conn.fetch(statement, *asked)]
            for name, (statement, asked) in wishes.items()
        }


async def play(pool: asyncpg.Pool, faults: Faults) -> dict[str, Any]:
    """Tell a story with faults; what it leaves."""
    async with pool.acquire() as conn:
        after_group = await conn.fetchval("SELECT coalesce(max(group_no), 0) FROM licensing.entry_group")
    story = await begin_story(pool, faults)
    await tell(story)
    return await what_is_left(pool, story, after_group)


@pytest.fixture(scope="module")
async def expected(pool: asyncpg.Pool) -> dict[str, Any]:
    """What is left where nothing breaks."""
    return await play(pool, no_faults())


@pytest.mark.parametrize(
    "seed",
    [*range(8), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(8, 400))],
    ids=lambda seed: f"seed-{seed}",
)
async def test_whatever_breaks_the_result_is_that_of_one_call_each(
    pool: asyncpg.Pool, expected: dict[str, Any], seed: int
):
    faults = seeded_faults(seed, rate=RATE)

    found = await play(pool, faults)

    assert found == expected, f"seed {seed}, {faults.broken} connections broke at {faults.points} points"


@pytest.mark.long
async def test_one_connection_breaks_at_every_statement_and_every_commit(pool: asyncpg.Pool):
    counting = no_faults()
    expected = await play(pool, counting)

    for point, moment in every_fault(counting.points):
        assert await play(pool, one_fault(point, moment)) == expected, f"{moment} point {point}"
