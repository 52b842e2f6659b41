"""A checked order is accepted: hold, turn, row and first event in one commit with all that come at the same time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from licensing import gateway
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.orders import Hold, Replay, Reserve
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
from service.turns import InLine, lock_line, move_back, num_open, read_line

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
    """Accept many orders in one commit; a Problem for each that is refused."""
    async with web.pool.acquire() as conn:
        fleet = await read_fleet(conn, now=web.clock(), silence_s=web.settings.executor_silence_s)
        crowded = await _crowded(conn, fleet, wishes, most=web.settings.max_open_orders)
        let_in = [wish for wish in wishes if wish.reserve.order_id not in crowded]
        async with conn.transaction():
            found = await gateway.reserve_all(conn, [wish.reserve for wish in let_in], now=web.clock())
            answers = dict(zip([wish.reserve.order_id for wish in let_in], found, strict=True))
            held = [(wish, one) for wish, one in zip(let_in, found, strict=True) if isinstance(one, Hold)]
            orders = await _store(conn, web, fleet, held)
        replayed = [one.hold.order_id for one in found if isinstance(one, Replay)]
        orders |= await find_orders(conn, replayed) if replayed else {}
    return [crowded.get(wish.reserve.order_id) or _accepted(answers[wish.reserve.order_id], orders) for wish in wishes]


def _accepted(answer: Hold | Replay | Refusal, orders: dict[str, Order]) -> Accepted | Exception:
    if isinstance(answer, Refusal):
        return refused(answer)
    if isinstance(answer, Replay):
        return orders[answer.hold.order_id], True
    return orders[answer.order_id], False


async def _crowded(conn: Connection, fleet: Fleet, wishes: Sequence[Wish], *, most: int) -> dict[str, Problem]:
    """Why orders are refused for whom the queue is full, by their ids: where their client has its share of it."""
    if await num_open(conn) + len(wishes) <= most:
        return {}
    line = await read_line(conn)
    open_by_client, refusals = line.open_by_client, {}
    for wish in wishes:
        if wish.reserve.test:
            continue
        others, own = open_by_client.total(), open_by_client[wish.reserve.client_id]
        clients = len(open_by_client | {wish.reserve.client_id: 1})
        if others >= most and (own + 1) * clients > most:
            joined, order, _ = line.joined_by(wish.in_line)
            refusals[wish.reserve.order_id] = _no_room(others, own, most=most, seconds=eta_s(fleet, joined, order) / 2)
        else:
            open_by_client[wish.reserve.client_id] += 1
    return refusals


def _no_room(others: int, own: int, *, most: int, seconds: float) -> Problem:
    return Problem(
        "overloaded",
        f"The queue is full: {others} orders are waiting, {own} of them yours, and this place takes {most}."
        f" Nothing was charged; order again in about {math.ceil(seconds)} s.",
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
        order = _new_order(wish.wanted, hold, turn=place.turn if place else None, eta_s=eta)
        orders.append(replace(order, needs_approval=hold.order_id in looked_at))
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


def _new_order(wanted: Wanted, hold: Hold, *, turn: int | None, eta_s: float) -> Order:
    return Order(
        id=hold.order_id,
        client_id=hold.client_id,
        key_id=hold.key_id,
        style_id=hold.style_id,
        creator_id=hold.creator_id,
        version_id=wanted.offering.version_id,
        state="queued",
        message=None,
        tier=hold.tier,
        count=hold.count,
        amount=hold.amount.amount,
        currency=hold.amount.currency,
        test=hold.test,
        request=wanted.request,
        work=wanted.work,
        turn=turn,
        step=0,
        steps=None if hold.test else wanted.steps,
        eta_s=eta_s,
        created_at=hold.created_at,
        started_at=None,
        ended_at=None,
        refused=[],
        webhook_id=wanted.webhook_id,
        words_deleted_at=None,
        rules_version=wanted.offering.rulebook.version,
        needs_approval=False,
        approval_until=None,
        ownership_terms=wanted.ownership_terms,
    )
