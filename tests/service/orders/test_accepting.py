"""Plain orders are accepted and paid by one call each, all others by several: two ways to one answer and one row."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from licensing import gateway as licences
from licensing.orders import Reserve
from service import acceptance, intake
from service.acceptance import Wish, accept_all, accept_others
from service.auth import Identity
from service.db.connections import connect
from service.errors import Problem
from service.generation import Delivery, settle_in
from service.ids import new_id
from service.resources import Gateway
from service.sealing import Sealed
from service.turns import Line
from tests.service.conftest import Person
from tests.service.market import PRICE, Market, publish_style

_ROWS = "SELECT * FROM service.generations WHERE client_id = ANY ($1) ORDER BY id"
_EVENTS = (
    "SELECT subject, kind, data FROM service.events e JOIN service.generations g ON g.id = e.subject"
    " WHERE g.client_id = ANY ($1) ORDER BY subject, e.id"
)
_HOLDS = "SELECT * FROM licensing.hold WHERE client_id = ANY ($1) ORDER BY order_id"
_REQUESTS = "SELECT * FROM licensing.idempotency WHERE client_id = ANY ($1) ORDER BY client_id, test, key"
_BUDGETS = "SELECT budget_id, granted, posted, pending FROM licensing.budget WHERE owner_id = ANY ($1) ORDER BY 1"


@dataclass(frozen=True, kw_only=True)
class Fair:
    """Styles of two creators and one that is off; clients with money and one with little."""

    styles: list[str]
    clients: list[Person]

    @property
    def ids(self) -> list[str]:
        return [person.account.id for person in self.clients]


@pytest.fixture(scope="module")
async def fair(market: Market) -> Fair:
    other = await market.person("creator")
    names = ("Quiet Pears", "Loud Plums")
    styles = [await publish_style(market.gateway, other, market.adapter, name=name) for name in names]
    answer = await other.http.put(f"/v1/styles/{styles[1]}/switch", json={"level": "closed"})
    assert answer.status_code == 200, answer.text
    return Fair(
        styles=[market.style_id, *styles],
        clients=[await market.client(cents=cents) for cents in (100_000, 100_000, 50_000, 3 * PRICE)],
    )


class Lent:
    """A pool that lends one connection, which stands in the middle of a transaction."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self._conn = conn

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self

    async def fetch(self, *given: Any) -> Any:
        """A statement that fails ends nothing but itself, as outside of a transaction."""
        async with self._conn.transaction():
            return await self._conn.fetch(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


def on(web: Gateway, conn: asyncpg.Connection, *, at: Any) -> Gateway:
    """The gateway at one moment, on one connection."""
    return replace(web, pool=Lent(conn), clock=lambda: at)


async def wish(web: Gateway, client: Person, style: str, **asked: Any) -> Wish:
    body = intake.OrderBody(style=style, prompt="a red apple", seed=7, count=asked.pop("count", 1))
    identity = Identity(account_id=client.account.id, role="client", ownership_terms=web.ownership.version)
    wanted = await intake.check(web, identity, body)
    order = Reserve(
        order_id=new_id("gen"),
        client_id=client.account.id,
        key_id=None,
        idempotency_key=asked.pop("key", None),
        request_hash="body",
        style_id=wanted.offering.style_id,
        creator_id=wanted.offering.creator_id,
        tier=wanted.tier,
        count=wanted.count,
        hold_s=900,
        terms_read=wanted.offering.terms_version,
    )
    return Wish(wanted=wanted, reserve=replace(order, **asked))


async def some_wishes(web: Gateway, at: Fair, dice: random.Random) -> list[Wish]:
    """Most of them plain; of the rest all that a client can do."""
    return [
        await wish(
            web,
            dice.choice(at.clients),
            at.styles[0] if dice.random() < 0.8 else dice.choice(at.styles),
            count=dice.choice((1, 1, 2)),
            key=dice.choice((None, "a", "b", str(dice.random()), str(dice.random()))),
            request_hash=dice.choice(("body", "body", "body", "another")),
            test=dice.random() < 0.05,
        )
        for _ in range(dice.randrange(1, 12))
    ]


async def rows_of(conn: asyncpg.Connection, at: Fair) -> list[list[dict[str, Any]]]:
    queries = (_ROWS, _EVENTS, _HOLDS, _REQUESTS, _BUDGETS)
    return [[dict(row) for row in await conn.fetch(query, at.ids)] for query in queries]


def without_times(rows: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """What is told of the line is as the line was when it was told."""
    left_out = ("eta_s", "data")
    return [[{name: value for name, value in row.items() if name not in left_out} for row in table] for table in rows]


def said(answers: list[Any]) -> list[Any]:
    """Answers as they can be compared: an order without its time, or the refusal."""
    return [
        (one.slug, str(one)) if isinstance(one, Problem) else (replace(one[0], eta_s=None), one[1]) for one in answers
    ]


async def draw_some(conn: asyncpg.Connection, dice: random.Random) -> None:
    """Some orders are drawn now, and some were."""
    for row in await conn.fetch("SELECT id FROM service.generations WHERE state = 'queued' AND NOT test ORDER BY turn"):
        state = dice.choice(("queued", "queued", "running", "sealing"))
        if state != "queued":
            await conn.execute(
                "UPDATE service.generations SET state = $2, started_at = created_at WHERE id = $1", row["id"], state
            )


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 100))])
async def test_a_batch_is_accepted_as_it_would_be_the_other_way(market: Market, fair: Fair, seed: int):
    dice, web = random.Random(seed), market.gateway
    at = web.clock()
    async with web.pool.acquire() as conn, undone(conn):
        for _ in range(5):
            wishes = await some_wishes(web, fair, dice)
            async with undone(conn):
                other = await accept_others(on(web, conn, at=at), wishes), await rows_of(conn, fair)
            here = await accept_all(on(web, conn, at=at), wishes), await rows_of(conn, fair)

            assert said(here[0]) == said(other[0])
            assert without_times(here[1]) == without_times(other[1])
            await draw_some(conn, dice)


async def test_plain_orders_are_accepted_and_told_of_as_the_other_way_would(market: Market, fair: Fair, monkeypatch):
    web, at = market.gateway, market.gateway.clock()

    async def unused(web: Gateway, wishes: Any) -> Any:
        raise AssertionError("all of these are plain")

    monkeypatch.setattr(acceptance, "accept_others", unused)
    async with web.pool.acquire() as conn, undone(conn):
        for num_each in (1, 3, 2):
            wishes = [
                await wish(web, client, fair.styles[0], key=new_id("key"))
                for client in fair.clients[:3]
                for _ in range(num_each)
            ]
            async with undone(conn):
                other = await accept_others(on(web, conn, at=at), wishes), await rows_of(conn, fair)
            here = await accept_all(on(web, conn, at=at), wishes), await rows_of(conn, fair)

            assert here == other
            await draw_some(conn, random.Random(num_each))


async def test_what_cannot_be_answered_takes_nothing_back_of_what_is_accepted(market: Market, fair: Fair, monkeypatch):
    web = market.gateway
    plain, broken = [await wish(web, client, fair.styles[0]) for client in fair.clients[:2]]
    broken = replace(broken, reserve=replace(broken.reserve, test=True))

    async def fails(web: Gateway, wishes: Any) -> Any:
        raise ConnectionResetError("the database went away")

    monkeypatch.setattr(acceptance, "accept_others", fails)
    async with web.pool.acquire() as conn, undone(conn):
        answers = await accept_all(on(web, conn, at=web.clock()), [broken, plain])

    assert isinstance(answers[0], ConnectionResetError)
    order, is_replay = answers[1]
    assert (order.id, is_replay) == (plain.reserve.order_id, False)


async def test_an_order_that_came_since_the_look_is_not_passed_by(market: Market, fair: Fair, monkeypatch):
    """The creators of a client take turns, also where the other's order was not there a moment ago."""
    web, at, look = market.gateway, market.gateway.clock(), acceptance._look
    client = fair.clients[0]

    async def outdated(conn: Any, web: Gateway) -> Any:
        return replace(await look(conn, web), line=Line(orders=()))

    async with web.pool.acquire() as conn, undone(conn):
        first = [await wish(web, client, fair.styles[0]) for _ in range(3)]
        await accept_all(on(web, conn, at=at), first)
        last = await wish(web, client, fair.styles[1])
        async with undone(conn):
            other = await accept_others(on(web, conn, at=at), [last]), await rows_of(conn, fair)
        calls = iter((outdated, look))
        monkeypatch.setattr(acceptance, "_look", lambda *given: next(calls)(*given))

        here = await accept_all(on(web, conn, at=at), [last]), await rows_of(conn, fair)

    assert said(here[0]) == said(other[0])
    assert here[1] == other[1]
    turns = {row["id"]: row["turn"] for row in here[1][0]}
    assert turns[last.reserve.order_id] < turns[first[-1].reserve.order_id]


async def test_one_client_s_turns_are_given_one_after_the_other(market: Market, fair: Fair):
    """Two processes at once, each of which has not seen the other's order."""
    web = market.gateway
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('turns/' || $1, 0))"
    asked = await wish(web, fair.clients[0], fair.styles[0])
    other = await connect(market.database_url)
    try:
        async with web.pool.acquire() as conn, undone(conn):
            holding = other.transaction()
            await holding.start()
            await other.execute(lock, fair.ids[0])
            accepting = asyncio.create_task(accept_all(on(web, conn, at=web.clock()), [asked]))
            await asyncio.sleep(0.3)
            waited = not accepting.done()
            await holding.rollback()
            await asyncio.wait_for(accepting, 20)
    finally:
        await other.close()

    assert waited


async def test_a_sale_whose_order_is_not_being_sealed_is_taken_back(market: Market, fair: Fair):
    web, at = market.gateway, market.gateway.clock()
    asked = await wish(web, fair.clients[0], fair.styles[0])
    sale = sold(asked.reserve.order_id)
    async with web.pool.acquire() as conn, undone(conn):
        await accept_all(on(web, conn, at=at), [asked])
        await licences.begin_all(conn, [asked.reserve.order_id], now=at)
        before = await rows_of(conn, fair)
        with pytest.raises(asyncpg.AssertError, match="not being sealed"):
            async with conn.transaction():
                await settle_in(conn, [sale], now=at + timedelta(seconds=1))

        assert await rows_of(conn, fair) == before


async def test_what_is_paid_is_a_row_a_picture_and_events_in_their_order(market: Market, fair: Fair):
    web, at = market.gateway, market.gateway.clock()
    asked = [await wish(web, client, fair.styles[0], count=2) for client in fair.clients[:2]]
    ids = [one.reserve.order_id for one in asked]
    refused = ({"number": 2, "kind": "near_copy", "message": "too near"},)
    wishes = [sold(ids[0], count=2), replace(sold(ids[1]), message="one left out", refused=refused)]
    async with web.pool.acquire() as conn, undone(conn):
        await accept_all(on(web, conn, at=at), asked)
        await licences.begin_all(conn, ids, now=at)
        await conn.execute("UPDATE service.generations SET state = 'sealing' WHERE id = ANY ($1)", ids)
        version = asked[0].wanted.offering.version_id
        copies = "SELECT near_copies FROM service.versions WHERE id = $1"
        before = await conn.fetchval(copies, version)

        answers = await settle_in(conn, wishes, now=at)
        again = await settle_in(conn, wishes, now=at)

        events = await conn.fetch(_EVENTS, fair.ids)
        told = [(row["kind"], row["data"]) for row in events if row["subject"] == ids[0]]
        outputs = await conn.fetch("SELECT * FROM service.outputs WHERE generation_id = ANY ($1)", ids)
        orders = {row["id"]: row for row in await conn.fetch(_ROWS, fair.ids)}
        assert await conn.fetchval(copies, version) == before + 1

    assert [one.amount.amount for one in answers] == [2 * PRICE, PRICE]
    assert [one.repeated for one in (*answers, *again)] == [False, False, True, True]
    assert [kind for kind, _ in told] == ["queued", "output", "output", "settled"]
    assert [data for _, data in told[1:]] == [
        *(f'{{"id": "{one.output_id}"}}' for one in wishes[0].sealed),
        f'{{"amount": {2 * PRICE}}}',
    ]
    assert sorted(row["number"] for row in outputs if row["generation_id"] == ids[0]) == [1, 2]
    assert len(outputs) == 3
    assert {(row["client_id"], row["creator_id"]) for row in outputs} == {
        (client_id, market.creator.account.id) for client_id in fair.ids[:2]
    }
    assert (orders[ids[1]]["state"], orders[ids[1]]["message"]) == ("settled", "one left out")
    assert '"near_copy"' in orders[ids[1]]["refused"]
    assert orders[ids[0]]["refused"] == "[]"


def sold(order_id: str, *, count: int = 1) -> Delivery:
    """So many sealed pictures of an order, which no other picture looks like."""
    pictures = []
    for number in range(1, count + 1):
        output_id = new_id("out")
        mark = output_id.encode().hex()
        pictures.append(
            Sealed(
                output_id=output_id,
                number=number,
                key=f"outputs/{output_id}",
                mime="image/png",
                width=64,
                height=64,
                num_bytes=1000,
                sha256=mark[:60].ljust(64, "0"),
                phash=mark[::-1][:60].ljust(64, "0"),
                certificate="a certificate",
                receipt={"engine": "none"},
            )
        )
    return Delivery(order_id=order_id, fence=1, sealed=tuple(pictures), message=None, refused=())


@asynccontextmanager
async def undone(conn: asyncpg.Connection) -> AsyncIterator[None]:
    """What is done inside is as if it had never been."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()
