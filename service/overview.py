"""What the operator looks at first: the line, trainings, what failed, what is held for long, what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from licensing.money import Money
from service.db.connections import read
from service.forecasts import eta_s
from service.heartbeats import read_fleet
from service.ids import new_id
from service.resources import Resources
from service.turns import read_line

A_DAY, LONG_HELD = timedelta(days=1), timedelta(hours=1)
FAILURES_SHOWN, HOLDS_SHOWN, TRAININGS_SHOWN = 30, 30, 50

NeedKind = Literal[
    "claims",
    "disputes",
    "cases",
    "transfers",
    "refunds",
    "chargebacks",
    "payouts",
    "files",
    "statements",
    "failures",
    "holds",
]

_NEEDS = """
SELECT 'claims' AS kind, count(*) AS num, min(opened_at) AS since,
    min(CASE state WHEN 'appealed' THEN final_due_at ELSE decide_due_at END) AS due
FROM service.claims WHERE state IN ('open', 'appealed')
UNION ALL SELECT 'disputes', count(*), min(opened_at),
    min(CASE state WHEN 'appealed' THEN final_due_at ELSE decide_due_at END)
FROM licensing.dispute WHERE state IN ('open', 'appealed')
UNION ALL SELECT 'cases', count(*), min(opened_at), NULL FROM service.cases WHERE state = 'open'
UNION ALL SELECT 'transfers', count(*), min(created_at), NULL
FROM licensing.payment WHERE state = 'pending' AND provider = 'manual'
UNION ALL SELECT 'refunds', count(*), min(created_at), NULL
FROM licensing.payment_refund WHERE state = 'pending' AND provider = 'manual'
UNION ALL SELECT 'chargebacks', count(*), min(created_at), NULL FROM licensing.chargeback WHERE state = 'open'
UNION ALL SELECT 'payouts', count(*), min(opened_at), NULL
FROM licensing.payout WHERE state = 'open' AND method = 'manual' AND run_id IS NULL
UNION ALL SELECT 'files', count(DISTINCT run_id), min(opened_at), NULL
FROM licensing.payout WHERE state = 'open' AND run_id IS NOT NULL
UNION ALL SELECT 'statements', count(*), min(uploaded_at), NULL FROM service.bank_statements WHERE state = 'read'
"""
_FAILURES = """
SELECT * FROM (
    (SELECT g.ended_at AS at, 'order' AS kind, g.id AS subject, s.name AS style, coalesce(g.message, '') AS sentence
     FROM service.generations g JOIN service.styles s ON s.id = g.style_id
     WHERE g.state = 'failed' AND g.ended_at > $1 AND g.id > $2 ORDER BY g.ended_at DESC LIMIT $3)
    UNION ALL
    (SELECT t.ended_at, 'training', t.id, s.name, coalesce(t.message, '')
     FROM service.trainings t JOIN service.styles s ON s.id = t.style_id
     WHERE t.state = 'failed' AND t.ended_at > $1 ORDER BY t.ended_at DESC LIMIT $3)
    UNION ALL
    (SELECT ended_at, 'self test', id, '', problem FROM service.self_tests
     WHERE state = 'failed' AND ended_at > $1 ORDER BY ended_at DESC LIMIT $3)
    UNION ALL
    (SELECT d.ended_at, 'message', d.webhook_id, '', 'Given up after try ' || d.tries || ': ' || m.kind
     FROM service.deliveries d JOIN service.messages m ON m.id = d.message_id
     WHERE d.state = 'failed' AND d.ended_at > $1 ORDER BY d.ended_at DESC LIMIT $3)
) failed ORDER BY at DESC LIMIT $3
"""
_HOLDS = """
SELECT h.order_id, h.created_at, h.amount, h.currency, h.units, g.state,
    s.name AS style, g.approval_until IS NOT NULL AND g.state = 'awaiting_approval' AS waits_for_creator
FROM licensing.hold h JOIN service.generations g ON g.id = h.order_id JOIN service.styles s ON s.id = g.style_id
WHERE h.state = 'open' AND h.created_at < $1 ORDER BY h.created_at LIMIT $2
"""
_TRAININGS = """
SELECT t.id, t.state, t.step, t.steps, t.eta_s, t.message, t.created_at, t.base, s.name AS style, a.name AS creator
FROM service.trainings t JOIN service.styles s ON s.id = t.style_id JOIN service.accounts a ON a.id = t.creator_id
WHERE t.state IN ('queued', 'preparing', 'training', 'measuring', 'paused')
ORDER BY t.state = 'paused', t.state = 'queued', t.created_at LIMIT $1
"""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The line of orders. `row_steps`: what is left to draw, of what waits and of what runs. `eta_s`: when the last of
    those that wait will be done; None where none waits."""

    waiting: int
    running: int
    paused: int
    pictures: int
    row_steps: int
    eta_s: float | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Something that ended otherwise than it should have, within the last day."""

    at: datetime
    kind: Literal["order", "training", "self test", "message"]
    subject: str
    style: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class LongHeld:
    """An order that has held money or units for more than an hour."""

    order_id: str
    created_at: datetime
    amount: Money
    units: int
    state: str
    style: str
    waits_for_creator: bool


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """A training that is not over."""

    id: str
    state: str
    step: int
    steps: int | None
    eta_s: float | None
    message: str | None
    created_at: datetime
    base: str
    style: str
    creator: str


@dataclass(frozen=True, kw_only=True)
class Need:
    """So many things of a kind that a person has to see to: since when the oldest, and by when the first."""

    kind: NeedKind
    num: int
    since: datetime | None
    due: datetime | None


async def read_queue(conn: Connection, opened: Resources) -> Queue:
    """How the line stands now."""
    line = await read_line(conn)
    waiting = [order for order in line.orders if order.waits]
    running = line.running
    fleet = await read_fleet(conn, now=opened.clock(), silence_s=opened.settings.executor_silence_s)
    left = [one.work * max((one.steps or 1) - one.step, 0) // max(one.steps or 1, 1) for one in running]
    return Queue(
        waiting=len(waiting),
        running=len(running),
        paused=sum(order.state == "queued" and order.turn is None for order in line.orders),
        pictures=sum(order.count for order in (*waiting, *running)),
        row_steps=sum(order.work for order in waiting) + sum(left),
        eta_s=eta_s(fleet, line, waiting[-1]) if waiting else None,
    )


async def trainings_under_way(conn: Connection) -> list[UnderWay]:
    """Those that run first, then those that wait."""
    return [read(UnderWay, row) for row in await conn.fetch(_TRAININGS, TRAININGS_SHOWN)]


async def failures(conn: Connection, *, now: datetime) -> list[Failure]:
    """What failed within the last day, the newest first, `FAILURES_SHOWN` at most."""
    # Ids begin with the time they were made at; an order lives for a week at most, so that older ones need no look.
    oldest = _first_id(now - timedelta(days=8))
    rows = await conn.fetch(_FAILURES, now - A_DAY, oldest, FAILURES_SHOWN)
    return [read(Failure, row) for row in rows]


async def long_held(conn: Connection, *, now: datetime) -> list[LongHeld]:
    """Orders that have held something for more than an hour, the oldest first, `HOLDS_SHOWN` at most."""
    rows = await conn.fetch(_HOLDS, now - LONG_HELD, HOLDS_SHOWN)
    return [
        LongHeld(
            order_id=row["order_id"],
            created_at=row["created_at"],
            amount=Money(row["amount"], row["currency"]),
            units=row["units"],
            state=row["state"],
            style=row["style"],
            waits_for_creator=row["waits_for_creator"],
        )
        for row in rows
    ]


async def needs(conn: Connection, *, now: datetime, failed: Sequence[Failure], held: Sequence[LongHeld]) -> list[Need]:
    """What needs a person, by when: what has a date first, the earliest first; then what has waited longest."""
    found = [read(Need, row) for row in await conn.fetch(_NEEDS)]
    stuck = [one for one in held if not one.waits_for_creator]
    found += [
        Need(kind="failures", num=len(failed), since=min((one.at for one in failed), default=None), due=None),
        Need(kind="holds", num=len(stuck), since=min((one.created_at for one in stuck), default=None), due=None),
    ]
    there = [one for one in found if one.num]
    return sorted(there, key=lambda one: (one.due is None, one.due or one.since or now))


def _first_id(moment: datetime) -> str:
    return new_id("gen", clock=lambda: moment)[:14]
