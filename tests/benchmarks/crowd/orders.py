"""A year of orders, held, begun and paid by the gateway's verbs at the times they would have been."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from licensing import gateway
from licensing.certificates import Certificate, certify
from licensing.money import Money
from licensing.orders import EndReason, Hold, Reserve
from licensing.terms import StyleTerms, current_terms
from service import pending
from service.approvals import add_approval
from service.generation import Delivery, settle_in
from service.orders import UNPAID_SENTENCES
from service.sealing import MIME, Sealed
from tests.benchmarks.crowd.hand import DAYS, Hand
from tests.benchmarks.crowd.people import People, Person
from tests.benchmarks.crowd.portfolios import Sold
from tests.benchmarks.crowd.size import Size

AT_ONCE = 64
"""Orders that share a commit."""
TIERS, OFTEN = ("draft", "personal", "commercial"), (3, 5, 3)
ENDS: tuple[EndReason, ...] = ("failed", "canceled", "withdrawn", "expired")
WORK, STEPS, EDGE = 90, 30, 96
WAITING_MOST = 40
"""Orders at the end of the year whose pictures wait for the heaviest creator."""
_THINGS = [
    "a red apple",
    "a lighthouse at dusk",
    "a cat with an umbrella",
    "an old harbour",
    "a teapot and two cups",
    "an owl",
]


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """One order of the year. `ends` is how it ended without a charge; None: it was paid."""

    id: str
    at: datetime
    client: Person
    style: Sold
    tier: str
    count: int
    is_test: bool
    ends: EndReason | None
    prompt: str


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What orders need to know: terms and shares of each style, and who buys how much."""

    styles: list[Sold]
    terms: dict[str, StyleTerms]
    clients: list[Person]
    style_weights: list[float]
    client_weights: list[float]


async def open_shop(hand: Hand, people: People, sold: Sequence[Sold]) -> Shop:
    """The heaviest creator has a third of the sales, the style with most works a third of these; the heaviest client
    makes a fifth of the orders."""
    heaviest = people.creators[0].id
    own = [style for style in sold if style.creator.id == heaviest]
    others = [style for style in sold if style.creator.id != heaviest]
    style_weights = {own[0].id: 1 / 9} | {style.id: 2 / 9 / max(1, len(own) - 1) for style in own[1:]}
    ranks = sum(1 / (n + 3) for n in range(len(others)))
    style_weights |= {style.id: 2 / 3 / (n + 3) / ranks for n, style in enumerate(others)}
    places = sum(1 / (n + 5) for n in range(1, len(people.clients)))
    client_weights = [0.2, *(0.8 / (n + 5) / places for n in range(1, len(people.clients)))]
    terms = {style.id: await current_terms(hand.conn, style.id) for style in sold}
    return Shop(
        styles=list(sold),
        terms={style_id: known for style_id, known in terms.items() if known is not None},
        clients=people.clients,
        style_weights=[style_weights[style.id] for style in sold],
        client_weights=client_weights,
    )


def order_all(hand: Hand, size: Size, shop: Shop) -> list[Ordered]:
    """All orders of the year, in order; sales grow over the months. A style is ordered from once it is on sale."""
    moments = sorted(hand.start + timedelta(days=DAYS * hand.dice.random() ** 0.7) for _ in range(size.generations))
    clients = hand.dice.choices(shop.clients, shop.client_weights, k=size.generations)
    styles = hand.dice.choices(shop.styles, shop.style_weights, k=size.generations)
    tiers = hand.dice.choices(TIERS, OFTEN, k=size.generations)
    found = []
    for at, client, style, tier in zip(moments, clients, styles, tiers, strict=True):
        begins = max(client.since, style.since) + timedelta(hours=1)
        at = at if at > begins else begins + (hand.now - begins) * hand.dice.random()
        ends = None if hand.dice.random() < 0.94 else hand.dice.choice(ENDS)
        found.append(
            Ordered(
                id=hand.id("gen", at),
                at=at,
                client=client,
                style=style,
                tier=tier,
                count=hand.dice.choices((1, 2, 4), (7, 2, 1))[0],
                is_test=hand.dice.random() < 0.02,
                ends=ends,
                prompt=hand.dice.choice(_THINGS),
            )
        )
    return sorted(found, key=lambda order: order.at)


def batches(orders: Sequence[Ordered]) -> Iterator[list[Ordered]]:
    """As many as share a commit, in order; all of them at the time of the last."""
    rest = iter(orders)
    while batch := list(islice(rest, AT_ONCE)):
        yield [replace(order, at=batch[-1].at) for order in batch]


async def serve(hand: Hand, shop: Shop, orders: Sequence[Ordered], *, first_turn: int) -> None:
    """One batch from its hold to its end, at the time of its last order."""
    at = orders[-1].at
    wishes = [_reserve(order) for order in orders]
    async with hand.conn.transaction():
        held = await gateway.reserve_all(hand.conn, wishes, now=at)
        refused = [one for one in held if not isinstance(one, Hold)]
        assert not refused, refused[0]
        await hand.put("service.generations", [_row(hand, *one, at, first_turn) for one in enumerate(orders)])
        await gateway.begin_all(hand.conn, [order.id for order in orders], now=at)
    await _tell_begun(hand, orders)
    ended = at + timedelta(seconds=30)
    holds = {hold.order_id: hold for hold in held if isinstance(hold, Hold)}
    paid = [order for order in orders if order.ends is None]
    if paid:
        deliveries = [_delivery(hand, shop, order, holds[order.id], ended) for order in paid]
        answers = await settle_in(hand.conn, deliveries, now=ended)
        assert len(answers) == len(paid)
    for order in orders:
        if order.ends is not None:
            await _void(hand, order, ended)


async def leave_waiting(hand: Hand, shop: Shop, people: People) -> None:
    """Orders of the last days whose pictures wait for the heaviest creator, of whom it is said that it looks at all."""
    own = [style for style in shop.styles if style.creator is people.creators[0]]
    # The heaviest client's own are left to be seen by whoever looks at its orders.
    for number in range(WAITING_MOST):
        at = hand.now - timedelta(hours=10, minutes=-10 * number)
        client = shop.clients[number % len(shop.clients)]
        order = Ordered(
            id=hand.id("gen", at),
            at=at,
            client=client,
            style=own[number % len(own)],
            tier="personal",
            count=1,
            is_test=False,
            ends=None,
            prompt=_THINGS[number % len(_THINGS)],
        )
        await _leave_waiting(hand, shop, order)


async def _leave_waiting(hand: Hand, shop: Shop, order: Ordered) -> None:
    until = order.at + timedelta(hours=48)
    async with hand.conn.transaction():
        (hold,) = await gateway.reserve_all(hand.conn, [_reserve(order)], now=order.at)
        assert isinstance(hold, Hold), hold
        row = _row(hand, 0, order, order.at, 0)
        await hand.put(
            "service.generations",
            [row | {"state": "awaiting_approval", "needs_approval": True, "approval_until": until, "turn": None}],
        )
        (begun,) = await gateway.begin_all(hand.conn, [order.id], now=order.at)
        assert isinstance(begun, Hold), begun
        kept = await gateway.keep_until(hand.conn, order_id=order.id, fence=begun.fence, until=until, now=order.at)
        assert isinstance(kept, Hold), kept
        delivery = _delivery(hand, shop, order, hold, order.at)
        pictures = [
            dict(vars(one), key=hand.lay(pending.sealed_key(order.id, 1, one.sha256))) for one in delivery.sealed
        ]
        await add_approval(
            hand.conn,
            order_id=order.id,
            creator_id=order.style.creator.id,
            client_id=order.client.id,
            fence=begun.fence,
            kept={"pictures": pictures, "message": None, "refused": []},
            now=order.at,
        )


async def tidy(hand: Hand, people: People) -> None:
    """What the service forgets by and by, and what it told: messages arrived, old words and old steps are gone."""
    settings = hand.web.settings
    words_until = hand.now - timedelta(days=settings.prompt_days)
    await hand.conn.execute(
        "UPDATE service.generations SET words_deleted_at = ended_at + $2::interval,"
        ' request = request || \'{"prompt": null, "image": null, "mask": null}\' WHERE ended_at < $1',
        *(words_until, timedelta(days=settings.prompt_days)),
    )
    steps_until = hand.now - timedelta(days=settings.event_days)
    await hand.conn.execute("DELETE FROM service.events WHERE created_at < $1", steps_until)
    await hand.conn.execute("DELETE FROM service.messages WHERE created_at < $1", steps_until)
    await hand.conn.execute(
        "UPDATE service.deliveries d SET state = 'delivered', tries = 1, ended_at = m.created_at + interval '1 second',"
        " attempts = jsonb_build_array(jsonb_build_object('at', m.created_at, 'status', 200, 'error', NULL, 'ms', 40))"
        " FROM service.messages m WHERE m.id = d.message_id"
    )
    await hand.conn.execute(
        "INSERT INTO service.approvals (generation_id, creator_id, client_id, fence, num_pictures, kept, decision,"
        " created_at, decided_at)"
        " SELECT id, creator_id, client_id, 1, count, '{}', 'approved', created_at, ended_at FROM service.generations"
        " WHERE creator_id = $1 AND state = 'settled' AND NOT test AND abs(hashtext(id)) % 10 = 0",
        people.creators[0].id,
    )


def _reserve(order: Ordered) -> Reserve:
    return Reserve(
        order_id=order.id,
        client_id=order.client.id,
        key_id=None,
        idempotency_key=None,
        request_hash=hashlib.sha256(order.id.encode()).hexdigest(),
        style_id=order.style.id,
        creator_id=order.style.creator.id,
        tier=order.tier,
        count=order.count,
        hold_s=900,
        test=order.is_test,
    )


def _row(hand: Hand, number: int, order: Ordered, at: datetime, first_turn: int) -> dict[str, Any]:
    request = {"prompt": order.prompt, "seed": number, "size": [EDGE, EDGE], "steps": STEPS, "strength": None}
    return {
        "id": order.id,
        "client_id": order.client.id,
        "style_id": order.style.id,
        "creator_id": order.style.creator.id,
        "version_id": order.style.version_id,
        "state": "sealing",
        "tier": order.tier,
        "count": order.count,
        "amount": 0,
        "currency": hand.web.prices.currency,
        "test": order.is_test,
        "request": request | {"guidance": 5.0, "image": None, "mask": None, "negative_prompt": ""},
        "ownership_terms": hand.web.ownership.version,
        "work": WORK,
        "turn": None if order.is_test else first_turn + number * WORK,
        "steps": STEPS,
        "created_at": at,
        "started_at": at,
        "updated_at": at,
    }


def _delivery(hand: Hand, shop: Shop, order: Ordered, hold: Hold, at: datetime) -> Delivery:
    sealed = tuple(_sealed(hand, shop, order, hold, number, at) for number in range(1, order.count + 1))
    return Delivery(order_id=order.id, fence=1, sealed=sealed, message=None, refused=())


def _sealed(hand: Hand, shop: Shop, order: Ordered, hold: Hold, number: int, at: datetime) -> Sealed:
    output_id, sha256, phash = hand.id("out", at), hand.hex(), hand.hex()
    terms = shop.terms[order.style.id]
    paper = Certificate(
        output_id=output_id,
        order_id=order.id,
        client_id=order.client.id,
        client_name=order.client.name,
        creator_id=order.style.creator.id,
        creator_name=order.style.creator.name,
        style_id=order.style.id,
        style_name=order.style.name,
        version_id=order.style.version_id,
        tier=order.tier,
        terms_version=hold.terms_version,
        use=terms.tiers[order.tier].use,
        prompt_sha256=hashlib.sha256(order.prompt.encode()).hexdigest(),
        output_sha256=sha256,
        phash=phash,
        width=EDGE,
        height=EDGE,
        amount=Money(hold.amount.amount // hold.count, hold.amount.currency),
        issued_at=at.replace(microsecond=0),
        test=order.is_test,
        permissions=terms.permissions,
        ownership_terms=hand.web.ownership.version,
    )
    return Sealed(
        output_id=output_id,
        number=number,
        key=hand.lay("outputs/shared.png"),
        mime=MIME,
        width=EDGE,
        height=EDGE,
        num_bytes=hand.picture.stat().st_size,
        sha256=sha256,
        phash=phash,
        certificate=certify(hand.web.authority, paper),
        receipt={"steps": STEPS, "seed": number},
    )


async def _tell_begun(hand: Hand, orders: Sequence[Ordered]) -> None:
    """The steps of orders that are young enough for somebody to look at them."""
    if orders[-1].at < hand.now - timedelta(days=hand.web.settings.event_days):
        return
    told = []
    for order in orders:
        steps = [{"step": step, "steps": STEPS} for step in (10, 20, 30)]
        said = [("queued", {"position": 1, "eta_s": 2.0}), ("started", {}), *(("progress", step) for step in steps)]
        told += [{"subject": order.id, "kind": kind, "data": data, "created_at": order.at} for kind, data in said]
    await hand.put("service.events", told)


async def _void(hand: Hand, order: Ordered, at: datetime) -> None:
    assert order.ends is not None
    async with hand.conn.transaction():
        await gateway.void(hand.conn, order_id=order.id, reason=order.ends, now=at)
        await hand.conn.execute(
            "UPDATE service.generations SET state = $2, message = $3, ended_at = $4, updated_at = $4 WHERE id = $1",
            *(order.id, order.ends, UNPAID_SENTENCES[order.ends], at),
        )
        await hand.conn.execute(
            "INSERT INTO service.events (subject, kind, data, created_at) VALUES ($1, $2, $3, $4)",
            *(order.id, order.ends, json.dumps({"message": UNPAID_SENTENCES[order.ends]}), at),
        )
