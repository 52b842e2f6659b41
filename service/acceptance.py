"""A checked order is accepted: hold, turn, row and first event in one commit with all that come at the same time."""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from licensing import gateway
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.orders import Hold, Replay, Reserve
from licensing.sentence import say
from service import events
from service.approvals import need_approval
from service.errors import Problem, refused
from service.faults import reach
from service.forecasts import eta_s, etas_s
from service.generation import start_generation
from service.heartbeats import Fleet, read_fleet
from service.orders import Order, add_orders, find_orders, queued
from service.prefetch import tell_wanted
from service.requests import Wanted
from service.resources import Gateway
from service.turns import InLine, Line, lock_line, move_back, read_line

Accepted = tuple[Order, bool]
"""An order, and whether it is the replay of an earlier request under the same key."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A checked request, and what is to be held for it."""

    wanted: Wanted
    reserve: Reserve

    @property
    def in_line(self) -> InLine:
        return self.wanted.in_line(self.reserve.order_id, client_id=self.reserve.client_id)


async def place(web: Gateway, wish: Wish) -> Accepted:
    """Hold the money and accept the order, then start its story. Raises Problem; nothing is held then."""
    order, is_replay = await web.together(accept_all, wish)
    if is_replay:
        return order, True
    if not order.test:
        tell_wanted(web, order.version_id)
    reach("reserved", web.settings.crash_at)
    await start_generation(order.id, order.turn)
    reach("enqueued", web.settings.crash_at)
    return order, False


async def accept_all(web: Gateway, wishes: Sequence[Wish]) -> list[Accepted | Exception]:
    """Accept many orders; a Problem for each that is refused.

    Most are plain and are accepted in one commit by one call. The rest goes another way, which knows every answer.
    """
    async with web.pool.acquire() as conn:
        look = await _look(conn, web)
        placed = await _accept_plain(conn, web, look, wishes)
    left = [wish for wish in wishes if wish.reserve.order_id not in placed]
    # A batch of their own: what becomes of it takes nothing back of what is committed here.
    asked = (web.together(accept_others, wish) for wish in left)
    answers = await asyncio.gather(*asked, return_exceptions=True) if left else []
    others = dict(zip([wish.reserve.order_id for wish in left], answers, strict=True))
    found: list[Accepted | Exception] = []
    for wish in wishes:
        answer = placed.get(wish.reserve.order_id) or others[wish.reserve.order_id]
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer
        found.append(answer)
    return found


@dataclass(frozen=True, kw_only=True)
class _Look:
    """The line and who draws it, as they were a moment ago."""

    line: Line
    fleet: Fleet


async def _look(conn: Connection, web: Gateway) -> _Look:
    line = await read_line(conn)
    fleet = await read_fleet(conn, now=web.clock(), silence_s=web.settings.executor_silence_s)
    return _Look(line=line, fleet=fleet)


async def _accept_plain(conn: Connection, web: Gateway, look: _Look, wishes: Sequence[Wish]) -> dict[str, Accepted]:
    """Accept those that are plain; the rest is left alone."""
    plain = _plain(look.line, wishes, most=web.settings.max_open_orders)
    if not plain:
        return {}
    now = web.clock()
    line, placed = look.line.followed_by([wish.in_line for wish in plain])
    etas = etas_s(look.fleet, line, placed)
    rows = [
        {
            "id": wish.reserve.order_id,
            "number": number,
            "version_id": wish.wanted.offering.version_id,
            "request": wish.wanted.request,
            "work": wish.wanted.work,
            "steps": wish.wanted.steps,
            "eta_s": etas[wish.reserve.order_id],
            "webhook_id": wish.wanted.webhook_id,
            "rules_version": wish.wanted.offering.rulebook.version,
            "ownership_terms": wish.wanted.ownership_terms,
            "ordered_by": wish.wanted.ordered_by,
            "told": {"position": position, "eta_s": etas[wish.reserve.order_id]},
        }
        for number, (wish, position) in enumerate(zip(plain, line.positions(placed), strict=True))
    ]
    try:
        found = await conn.fetch(
            "SELECT id, turn, amount, currency FROM service.accept_plain($1, $2, $3)",
            *(gateway.reserve_documents([wish.reserve for wish in plain]), json.dumps(rows), now),
        )
    except asyncpg.SerializationError:
        # The line is not as it was a moment ago, and nothing is held.
        return {}
    held = {row["id"]: row for row in found}
    return {
        wish.reserve.order_id: (
            _new_order(
                wish,
                amount=Money(row["amount"], row["currency"]),
                turn=row["turn"],
                eta_s=etas[wish.reserve.order_id],
                needs_approval=False,
                now=now,
            ),
            False,
        )
        for wish in plain
        if (row := held.get(wish.reserve.order_id)) is not None
    }


def _plain(line: Line, wishes: Sequence[Wish], *, most: int) -> list[Wish]:
    """The wishes that may be plain: there is room for all, no creator looks at their pictures first, and all that
    their client has in the line, and asks for now, is for one creator."""
    if line.open_by_client.total() + len(wishes) > most:
        return []
    has_one_creator, creators, odd = line.has_one_creator(), dict[str, str](), set[str]()
    for wish in wishes:
        client_id, offering = wish.reserve.client_id, wish.wanted.offering
        creator_id = creators.setdefault(client_id, offering.creator_id)
        if (
            wish.reserve.test
            or offering.may_need_approval(offering.terms_version)
            or creator_id != offering.creator_id
            or not has_one_creator(client_id, creator_id)
        ):
            # Of one client's orders none overtakes another.
            odd.add(client_id)
    return [wish for wish in wishes if wish.reserve.client_id not in odd]


async def accept_others(web: Gateway, wishes: Sequence[Wish]) -> list[Accepted | Exception]:
    """Accept many orders of any kind in one commit; a Problem for each that is refused."""
    async with web.pool.acquire() as conn:
        look = await _look(conn, web)
        crowded = _crowded(look, wishes, most=web.settings.max_open_orders)
        let_in = [wish for wish in wishes if wish.reserve.order_id not in crowded]
        async with conn.transaction():
            found = await gateway.reserve_all(conn, [wish.reserve for wish in let_in], now=web.clock())
            answers = dict(zip([wish.reserve.order_id for wish in let_in], found, strict=True))
            held = [(wish, one) for wish, one in zip(let_in, found, strict=True) if isinstance(one, Hold)]
            orders = await _store(conn, web, look.fleet, held)
        replayed = [one.hold.order_id for one in found if isinstance(one, Replay)]
        orders |= await find_orders(conn, replayed) if replayed else {}
    return [crowded.get(wish.reserve.order_id) or _accepted(answers[wish.reserve.order_id], orders) for wish in wishes]


def _accepted(answer: Hold | Replay | Refusal, orders: dict[str, Order]) -> Accepted | Exception:
    if isinstance(answer, Refusal):
        return refused(answer)
    if isinstance(answer, Replay):
        return orders[answer.hold.order_id], True
    return orders[answer.order_id], False


def _crowded(look: _Look, wishes: Sequence[Wish], *, most: int) -> dict[str, Problem]:
    """Why orders are refused for whom the queue is full, by their ids: where their client has its share of it."""
    line, open_by_client, refusals = look.line, look.line.open_by_client, dict[str, Problem]()
    if open_by_client.total() + len(wishes) <= most:
        return {}
    for wish in wishes:
        if wish.reserve.test:
            continue
        others, own = open_by_client.total(), open_by_client[wish.reserve.client_id]
        clients = len(open_by_client | {wish.reserve.client_id: 1})
        if others >= most and (own + 1) * clients > most:
            joined, order, _ = line.joined_by(wish.in_line)
            seconds = eta_s(look.fleet, joined, order) / 2
            refusals[wish.reserve.order_id] = _no_room(others, own, most=most, seconds=seconds)
        else:
            open_by_client[wish.reserve.client_id] += 1
    return refusals


def _no_room(others: int, own: int, *, most: int, seconds: float) -> Problem:
    return Problem(
        "overloaded",
        say(
            "The queue is full: {others} orders are waiting, {own} of them yours, and this place"
            " takes {most}. Nothing was charged; order again in about {seconds} s.",
            others=others,
            own=own,
            most=most,
            seconds=math.ceil(seconds),
        ),
        retry_after_s=max(1.0, seconds),
    )


async def _store(conn: Connection, web: Gateway, fleet: Fleet, held: Sequence[tuple[Wish, Hold]]) -> dict[str, Order]:
    """Give the orders their turns and store them. Orders of test keys get none: they wait for no worker."""
    if not held:
        return {}
    line = await lock_line(conn, {hold.client_id for _, hold in held if not hold.test})
    moved = set[str]()
    for wish, hold in held:
        if not hold.test:
            line, _, back = line.joined_by(wish.in_line)
            moved |= {one.id for one in back}
    placed = {one.id: one for one in line.orders}
    looked_at = await _looked_at(conn, web, held)
    waiting = [placed[hold.order_id] for _, hold in held if not hold.test]
    etas = etas_s(fleet, line, waiting) if waiting else {}
    orders, told = [], []
    for wish, hold in held:
        place, eta = placed.get(hold.order_id), etas.get(hold.order_id, 0.0)
        orders.append(
            _new_order(
                wish,
                amount=hold.amount,
                turn=place.turn if place else None,
                eta_s=eta,
                needs_approval=hold.order_id in looked_at,
                now=hold.created_at,
            )
        )
        told.append(queued(hold.order_id, position=line.position(place) if place else 1, eta_s=eta))
    await add_orders(conn, orders)
    # Those of this very commit that moved back for each other are stored where they came to lie.
    await move_back(conn, [placed[order_id] for order_id in moved - {order.id for order in orders}])
    await events.append_all(conn, told, now=orders[0].created_at)
    return {order.id: order for order in orders}


async def _looked_at(conn: Connection, web: Gateway, held: Sequence[tuple[Wish, Hold]]) -> set[str]:
    """The orders at whose pictures their creators look first. Where nobody asks for that nothing is read."""
    asked = [
        (hold.order_id, wish.wanted.sale(client_id=hold.client_id, terms_version=hold.terms_version))
        for wish, hold in held
        if not hold.test and wish.wanted.offering.may_need_approval(hold.terms_version)
    ]
    found = await need_approval(conn, web, [sale for _, sale in asked]) if asked else []
    return {order_id for (order_id, _), needs in zip(asked, found, strict=True) if needs}


def _new_order(
    wish: Wish, *, amount: Money, turn: int | None, eta_s: float, needs_approval: bool, now: datetime
) -> Order:
    wanted, asked = wish.wanted, wish.reserve
    return Order(
        id=asked.order_id,
        client_id=asked.client_id,
        key_id=asked.key_id,
        style_id=asked.style_id,
        creator_id=asked.creator_id,
        version_id=wanted.offering.version_id,
        state="queued",
        message=None,
        tier=asked.tier,
        count=asked.count,
        amount=amount.amount,
        currency=amount.currency,
        test=asked.test,
        request=wanted.request,
        work=wanted.work,
        turn=turn,
        step=0,
        steps=None if asked.test else wanted.steps,
        eta_s=eta_s,
        created_at=now,
        started_at=None,
        ended_at=None,
        refused=[],
        webhook_id=wanted.webhook_id,
        words_deleted_at=None,
        rules_version=wanted.offering.rulebook.version,
        needs_approval=needs_approval,
        approval_until=None,
        ownership_terms=wanted.ownership_terms,
        ordered_by=wanted.ordered_by,
    )
