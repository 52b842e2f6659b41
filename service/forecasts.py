"""When the pictures of an order will be there, reckoned beside the database: by the line, and by how fast workers say
they draw (`service.heartbeats`). The engine's own forecast runs through it (`inference.pace`)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from inference.pace import Load, Speed, forecast
from licensing.database import Connection
from service.heartbeats import Fleet, read_fleet
from service.orders import Order
from service.resources import Resources
from service.turns import InLine, Line, read_line

FIRST_GUESS_S = 10.0
"""Seconds per picture of a base of which no worker has said how fast it draws."""
FORESEEN = 400
"""Pictures that are gone through one by one; a longer line is taken to go on alike."""


async def read_eta_s(conn: Connection, opened: Resources, line: Line, order: InLine) -> float:
    """The same as `eta_s`, by the workers that live now."""
    fleet = await read_fleet(conn, now=opened.clock(), silence_s=opened.settings.executor_silence_s)
    return eta_s(fleet, line, order)


async def with_fresh_eta(opened: Resources, order: Order) -> Order:
    """The order with `eta_s` as it looks now; it is noted only when it is accepted, and while it is drawn."""
    if order.state != "queued" or order.test:
        return order
    async with opened.house() as conn:
        line = await read_line(conn)
        waiting = line.find(order.id)
        if waiting is None or not waiting.waits:
            return order
        return replace(order, eta_s=await read_eta_s(conn, opened, line, waiting))


def eta_s(fleet: Fleet, line: Line, order: InLine) -> float:
    """Seconds until an order that waits will be done. Every worker is taken to draw its part of the line, all alike."""
    before = line.before(order)
    speed = fleet.speeds.get(order.base)
    if speed is None:
        pictures = order.count + sum(one.count for one in (*line.running, *before))
        return round(FIRST_GUESS_S * pictures / fleet.num_workers, 1)
    mine, *beside = _loads(order, fleet, speed)
    waiting = _part_of(before, fleet, speed)
    foreseen = waiting[:FORESEEN]
    estimate = forecast(
        _part_of(line.running, fleet, speed),
        [*foreseen, *beside],
        mine,
        max_rows=speed.rows,
        max_questions=speed.questions,
        step_seconds=speed.step_seconds,
    )
    return round(estimate.ends_s * max(len(waiting), 1) / max(len(foreseen), 1), 1)


def etas_s(fleet: Fleet, line: Line, orders: Sequence[InLine]) -> dict[str, float]:
    """`eta_s` of several orders that wait, by their ids.

    A forecast runs through the whole line, which is too much for each of many that come at the same time: it is made
    for the first and the last of them, and whoever lies between is told by the work that goes before.
    """
    ordered = sorted(orders, key=lambda one: (one.turn, one.id))
    ends = {one.id: eta_s(fleet, line, one) for one in (ordered[:1] + ordered[1:][-1:])}
    if len({one.base for one in ordered}) > 1:
        return ends | {one.id: eta_s(fleet, line, one) for one in ordered[1:-1]}
    done = list(accumulate(one.work for one in ordered))
    low, high = ends[ordered[0].id], ends[ordered[-1].id]
    span = max(done[-1] - done[0], 1)
    return {one.id: round(low + (high - low) * (at - done[0]) / span, 1) for one, at in zip(ordered, done, strict=True)}


def _part_of(orders: Sequence[InLine], fleet: Fleet, speed: Speed) -> list[Load]:
    """What one of the workers has of these orders to draw."""
    loads = [load for order in orders for load in _loads(order, fleet, speed)]
    return loads[fleet.num_workers - 1 :: fleet.num_workers]


def _loads(order: InLine, fleet: Fleet, speed: Speed) -> list[Load]:
    """What the pictures of an order still cost, as if they were drawn by the base that `speed` is of."""
    own = fleet.speeds.get(order.base, speed)
    times = (own.full_s / own.questions) / (speed.full_s / speed.questions)
    steps = max(order.steps or 1, 1)
    return [
        Load(
            steps=max(steps - order.step, 1),
            all_steps=steps,
            questions=times * order.work / steps / order.count,
            admission_s=own.admission_s if order.waits else 0.0,
            finishing_s=own.finishing_s,
        )
        for _ in range(order.count)
    ]
