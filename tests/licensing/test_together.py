"""Sets and single verbs are two ways to one answer: random batches are answered by both and compared to the row."""

import random
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from licensing import gateway
from licensing.fingerprint import NEAR
from licensing.orders import Hold, Reserve, Settle
from licensing.plans import Allowance
from licensing.terms import StyleTerms
from tests.licensing.test_exclusive import with_window
from tests.licensing.test_keys import revoke
from tests.licensing.world import World, pictures

CLIENTS = 7
_BUDGETS = "SELECT budget_id, granted, posted, pending FROM licensing.budget WHERE owner_id = ANY ($1) ORDER BY 1"
_HOLDS = "SELECT * FROM licensing.hold WHERE client_id = ANY ($1) ORDER BY order_id"
_OUTPUTS = "SELECT * FROM licensing.output WHERE client_id = ANY ($1) ORDER BY output_id"
_REQUESTS = "SELECT * FROM licensing.idempotency WHERE client_id = ANY ($1) ORDER BY client_id, test, key"
_ENTRIES = (
    "SELECT g.kind, g.subject, g.body, e.line, e.account_id, e.unit, e.amount FROM licensing.entry_group g"
    " JOIN licensing.entry e USING (group_no) WHERE g.subject = ANY ($2) AND $1::text[] IS NOT NULL ORDER BY 2, 4"
)


@dataclass(frozen=True, kw_only=True)
class Fair:
    """Styles under all kinds of switches, and clients with all kinds of purses."""

    styles: list[StyleTerms]
    clients: list[str]
    keys: dict[str, str | None]
    revoked: str
    """A key that the first of the clients had."""


async def fair(world: World) -> Fair:
    styles = [await world.style() for _ in range(6)]
    for style, level in zip(styles, ("live", "off", "closed", "paused"), strict=False):
        await world.set_level(style, level)
    clients = [await world.client(prepaid=prepaid) for prepaid in (100_000, 5_000, 130, 0, 10_000, 20_000, 9_000)]
    await world.subscribe(clients[4], plan=replace(world.prices.plans["studio"], units=6))
    await world.buy_licence(styles[4], clients[5])
    await world.set_level(styles[5], "off", client_id=clients[0])
    alone = await with_window(world)
    assert isinstance(await world.buy_licence(alone, clients[0], "exclusive"), Allowance)
    styles.append(alone)
    keys = {client: (await world.key(client, cap=cap)).id for client, cap in zip(clients, (50_000, 400), strict=False)}
    revoked = (await world.key(clients[0])).id
    assert await revoke(world, revoked, clients[0])
    return Fair(styles=styles, clients=clients, keys=dict.fromkeys(clients) | keys, revoked=revoked)


def some_orders(world: World, at: Fair, dice: random.Random) -> list[Reserve]:
    """Most of them plain; of the rest everything that a client can do."""
    orders = []
    for _ in range(dice.randrange(1, 24)):
        client = dice.choice(at.clients)
        style = dice.choice(at.styles) if dice.random() < 0.3 else at.styles[0]
        odd = dice.random() < 0.15
        key = at.revoked if client == at.clients[0] and dice.random() < 0.3 else at.keys[client]
        orders.append(
            world.order(
                style,
                client,
                count=dice.choice((1, 1, 2, 8, 0 if odd else 1)),
                tier=dice.choice(("personal", "draft", "commercial", "unheard of" if odd else "exclusive")),
                key_id="key_unknown" if odd and dice.random() < 0.3 else key,
                idempotency_key=dice.choice((None, "a", "b", str(dice.random()))),
                request_hash=dice.choice(("body", "body", "another")),
                test=odd and at.keys[client] is None and dice.random() < 0.3,
            )
        )
    if orders and dice.random() < 0.2:
        orders.append(dice.choice(orders))
    return orders


async def rows_of(conn: asyncpg.Connection, at: Fair, orders: list[str]) -> list[list[dict[str, Any]]]:
    found = [await conn.fetch(query, at.clients) for query in (_BUDGETS, _HOLDS, _OUTPUTS, _REQUESTS)]
    found.append(await conn.fetch(_ENTRIES, at.clients, orders))
    return [[dict(row) for row in rows] for rows in found]


async def one_by_one(conn: asyncpg.Connection, sales: list[Settle], world: World) -> list[tuple[Any, ...]]:
    """By the verb of a single sale."""
    return [
        tuple(
            await conn.fetchrow(
                "SELECT outcome, slug, detail, hold FROM licensing.settle($1, $2, $3, $4, $5, $6, $7, $8)",
                *(sale.order_id, sale.fence, [one.output_id for one in sale.made]),
                *([one.sha256 for one in sale.made], [one.phash for one in sale.made]),
                *([one.certificate for one in sale.made], NEAR, world.now),
            )
        )
        for sale in sales
    ]


async def both_ways(conn: asyncpg.Connection, first: Any, second: Any, look: Any) -> tuple[Any, Any]:
    """What comes of either way from the same beginning: the answer and the rows. The second way is kept."""
    undone = conn.transaction()
    await undone.start()
    by_first = (await first(), await look())
    await undone.rollback()
    return by_first, (await second(), await look())


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(6, 400))])
async def test_a_set_is_answered_as_its_members_would_be_alone(world: World, seed: int):
    at, dice = await fair(world), random.Random(seed)
    async with world.pool.acquire() as conn, conn.transaction():
        held: list[Hold] = []
        for _ in range(4):
            orders = some_orders(world, at, dice)
            ids = [order.order_id for order in orders]

            alone, together = await both_ways(
                conn,
                lambda orders=orders: each(conn, orders, world),
                lambda orders=orders: gateway.reserve_all(conn, orders, now=world.now),
                lambda ids=ids: rows_of(conn, at, ids),
            )

            assert together == alone
            held += [one for one in together[0] if isinstance(one, Hold)]
        for hold in held:
            if dice.random() < 0.9:
                await gateway.begin(conn, order_id=hold.order_id, now=world.now)
            if dice.random() < 0.1:
                await gateway.request_cancel(conn, order_id=hold.order_id, client_id=hold.client_id)
        sales = [
            Settle(
                order_id=hold.order_id,
                fence=dice.choice((1, 1, 1, 1, 2)),
                made=tuple(
                    pictures(*(f"out_{hold.order_id}_{number}" for number in range(dice.choice((1, hold.count)))))
                ),
            )
            for hold in held
        ]
        alone, together = await both_ways(
            conn,
            lambda: one_by_one(conn, sales, world),
            lambda: gateway.settle_all(conn, sales, now=world.now),
            lambda: rows_of(conn, at, [sale.order_id for sale in sales]),
        )

    assert together[1] == alone[1]
    assert [getattr(one, "slug", None) for one in together[0]] == [slug for _, slug, *_ in alone[0]]
    assert any(isinstance(one, Hold) for one in held)


async def each(conn: asyncpg.Connection, orders: list[Reserve], world: World) -> list[Any]:
    return [await gateway.reserve(conn, order, now=world.now) for order in orders]


LEVELS = ("live", "live", "live", "paused", "off", "closed", "wind_down")


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 100))])
async def test_attempts_begin_together_as_they_would_alone(world: World, seed: int):
    """Under every switch, and whatever became of the order since: also after a style was off and is on again."""
    dice, held = random.Random(seed), list[Hold]()
    styles = [await world.style() for _ in LEVELS]
    clients = [await world.client(prepaid=100_000) for _ in range(4)]
    for _ in range(40):
        held.append(await world.held(dice.choice(styles), dice.choice(clients)))
    for hold in held:
        if dice.random() < 0.3:
            await world.begin(hold)
        if dice.random() < 0.15:
            async with world.pool.acquire() as conn:
                await gateway.request_cancel(conn, order_id=hold.order_id, client_id=hold.client_id)
        elif dice.random() < 0.15:
            async with world.pool.acquire() as conn:
                await gateway.void(conn, order_id=hold.order_id, reason="failed", now=world.now)
    for style, level in zip(styles, LEVELS, strict=True):
        await world.set_level(style, level)
    await world.set_level(styles[0], "off", client_id=clients[0])
    await world.set_level(styles[1], "off")
    await world.set_level(styles[1], "live")
    late = [await world.held(dice.choice(styles[1:3]), clients[1]) for _ in range(4)]
    ids = [hold.order_id for hold in (*held, *late)]
    wanted = dice.sample([*ids, dice.choice(ids), "gen_unknown"], len(ids))

    async with world.pool.acquire() as conn, conn.transaction():
        alone, together = await both_ways(
            conn,
            lambda: one_after_another(conn, wanted, world),
            lambda: gateway.begin_all(conn, wanted, now=world.now),
            lambda: conn.fetch(_HOLDS, clients),
        )

    assert together == alone
    assert len({getattr(one, "slug", "held") for one in together[0]}) > 3, "each kind of answer is compared"


async def one_after_another(conn: asyncpg.Connection, order_ids: list[str], world: World) -> list[Any]:
    return [await gateway.begin(conn, order_id=order_id, now=world.now) for order_id in order_ids]


async def test_an_order_under_terms_that_were_not_read_is_not_plain(world: World):
    style, client = await world.style(), await world.client(prepaid=1_000)
    read = world.order(style, client, terms_read=style.version)
    unread = world.order(style, client, terms_read=style.version + 1)
    plain = "SELECT (unnest(licensing.reserve_plain($1, $2))).order_id"
    async with world.pool.acquire() as conn:
        for order, held in ((unread, []), (read, [read.order_id])):
            rows = await conn.fetch(plain, gateway.reserve_documents([order]), world.now)
            assert [row["order_id"] for row in rows] == held
        (answer,) = await gateway.reserve_all(conn, [unread], now=world.now)

    assert isinstance(answer, Hold), "its terms stand in its hold, for whoever asks"
    assert answer.terms_version == style.version


async def test_most_of_a_usual_batch_is_plain(world: World):
    """Else the comparison above compares the single verbs with themselves."""
    style, clients = await world.style(), [await world.client(prepaid=6_000) for _ in range(8)]
    orders = [world.order(style, client, idempotency_key=str(n)) for client in clients for n in range(4)]
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "CREATE FUNCTION pg_temp.calls(name text) RETURNS bigint LANGUAGE sql AS $$"
            " SELECT coalesce(sum(calls), 0) FROM pg_stat_xact_user_functions WHERE funcname = name $$"
        )
        await conn.execute("SET LOCAL track_functions = 'all'")
        holds = await gateway.reserve_all(conn, orders, now=world.now)
        assert all(isinstance(one, Hold) for one in holds)
        assert await conn.fetchval("SELECT pg_temp.calls('reserve')") == 0
        for hold in holds:
            assert hold.fence == 0
        begun = await gateway.begin_all(conn, [hold.order_id for hold in holds], now=world.now)
        assert [one.fence for one in begun if isinstance(one, Hold)] == [1] * len(holds)
        assert await conn.fetchval("SELECT pg_temp.calls('begin_attempt')") == 0
        sales = [
            Settle(order_id=hold.order_id, fence=1, made=tuple(pictures(f"out_{hold.order_id}"))) for hold in holds
        ]
        await gateway.settle_all(conn, sales, now=world.now)
        assert await conn.fetchval("SELECT pg_temp.calls('settle')") == 0
        assert await conn.fetchval("SELECT pg_temp.calls('sell_plain')") == 1
