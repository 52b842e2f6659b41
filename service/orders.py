"""Orders of pictures: one row per generation, and the only ways it moves from state to state.

    queued -> running -> sealing -> settled
                            |  ^
                            v  | approved
                     awaiting_approval, where the creator looks first
       any state before settled -> failed | withdrawn | canceled | expired, charge 0

Holds and money are the licensing room's; a row here moves in the same transaction as its hold does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypedDict

import asyncpg

from licensing.database import Connection
from licensing.orders import EndReason
from licensing.sentence import known_again
from service import events
from service.db.conditions import named
from service.db.connections import read, to_rows
from service.events import Told
from service.kept_sentences import OF_ORDERS
from service.outbox import tell_orders

State = Literal[
    "queued", "running", "sealing", "awaiting_approval", "settled", "failed", "withdrawn", "canceled", "expired"
]
OPEN: tuple[State, ...] = ("queued", "running", "sealing", "awaiting_approval")
IS_OPEN = f"state IN ({', '.join(repr(state) for state in OPEN)})"
"""In SQL."""
ENDS: frozenset[str] = frozenset({"settled", "failed", "withdrawn", "canceled", "expired"})
UNPAID_SENTENCES: dict[EndReason, str] = {
    "withdrawn": "The creator switched the style off before the pictures were yours; nothing was charged.",
    "canceled": "Canceled as you asked; nothing was charged.",
    "failed": "The pictures could not be made; nothing was charged. Order again.",
    "expired": "The order waited too long and was dropped; nothing was charged. Order again.",
}
NOT_LOOKED_AT = "The creator did not look at the pictures in time; nothing was charged. Order again."
"""How an order is said to have expired that waited for its creator."""
START_GONE = "The maker took back the work that it started from; nothing was charged. Start from another picture."
"""How an order is said to have been withdrawn whose starting point is gone."""

_COLUMNS = (
    "id, client_id, key_id, style_id, creator_id, version_id, state, message, tier, count, amount, currency, test,"
    " request, work, turn, step, steps, eta_s, created_at, started_at, ended_at, refused, webhook_id,"
    " rules_version, needs_approval, approval_until, words_deleted_at, ownership_terms, ordered_by"
)


class RefusedPicture(TypedDict):
    """One picture that a check objected to, or that somebody else has. JSON."""

    number: int
    kind: Literal["image_refused", "content", "near_copy", "exclusive"]
    """image_refused: the picture to start from was objected to; exclusive: another client has one that looks the same;
    else what was with the picture itself."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """One generation. `request` is what was asked with the defaults filled in: see `service.intake.Wanted`.

    `amount` is held until the end, charged when settled, 0 where nothing is charged. `work` is what it costs to draw,
    `turn` its place in the line, both in row-steps (`service.turns`). `refused` are the pictures that a check objected
    to: see `RefusedPicture`. `webhook_id` is the endpoint that hears of its end, whatever else it wants to hear.
    `rules_version` names the rules of its creator that judged it. `needs_approval`: its creator looks at the pictures
    first; `approval_until` is set once they wait for that, and kept.
    `ownership_terms` is the version of who owns what that was in force when it was ordered.
    `ordered_by` is the account of the person who ordered it in a browser, which in a team is not the client's.
    """

    id: str
    client_id: str
    key_id: str | None
    style_id: str
    creator_id: str
    version_id: str
    state: State
    message: str | None
    tier: str
    count: int
    amount: int
    currency: str
    test: bool
    request: dict[str, Any]
    work: int
    turn: int | None
    step: int
    steps: int | None
    eta_s: float | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    refused: list[RefusedPicture]
    webhook_id: str | None
    rules_version: int | None
    needs_approval: bool
    approval_until: datetime | None
    words_deleted_at: datetime | None
    ownership_terms: int
    ordered_by: str | None = None

    @property
    def prompt(self) -> str | None:
        """None where it was deleted, as is said beforehand (`service.retention`)."""
        prompt: str | None = self.request["prompt"]
        return prompt

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full picture, in pixels; a draft is smaller (`service.delivery`)."""
        width, height = self.request["size"]
        return width, height

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


async def add_orders(conn: Connection, orders: Sequence[Order]) -> None:
    """Store new orders. Goes into the transaction of their holds."""
    await conn.execute(
        f"INSERT INTO service.generations ({_COLUMNS}, updated_at)"
        f" SELECT {_COLUMNS}, created_at FROM jsonb_populate_recordset(NULL::service.generations, $1)",
        to_rows(orders),
    )


async def find_order(conn: Connection, order_id: str, *, client_id: str | None = None) -> Order | None:
    """An order; where a client is named, only that client's own."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.generations WHERE id = $1 AND ($2::text IS NULL OR client_id = $2)",
        *(order_id, client_id),
    )
    return _order(row) if row else None


async def find_orders(conn: Connection, order_ids: Sequence[str]) -> dict[str, Order]:
    """Orders by their ids."""
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM service.generations WHERE id = ANY($1::text[])", list(order_ids))
    return {row["id"]: _order(row) for row in rows}


async def list_orders(
    conn: Connection,
    *,
    client_id: str,
    limit: int,
    before: str | None = None,
    style_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Order]:
    """A client's orders, newest first, those before the id `before`: of one style, made from `since` on and before
    `until`, where these are named."""
    further, values = named(
        ("id < {}", before),
        ("style_id = {}", style_id),
        ("created_at >= {}", since),
        ("created_at < {}", until),
        after=2,
    )
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.generations WHERE client_id = $1{further} ORDER BY id DESC LIMIT $2",
        *(client_id, limit, *values),
    )
    return [_order(row) for row in rows]


async def styles_ordered(
    conn: Connection, *, client_id: str, since: datetime | None = None, with_tests: bool = True
) -> dict[str, str]:
    """The styles that a client has ordered, ever or since then, by id, with their names, by name."""
    further, values = named(("g.created_at > {}", since), after=1)
    # Each style is looked up by itself: there are fewer of them than a busy client has orders.
    rows = await conn.fetch(
        "SELECT s.id, s.name FROM service.styles s, LATERAL (SELECT FROM service.generations g"
        f" WHERE g.client_id = $1 AND g.style_id = s.id{further}{'' if with_tests else ' AND NOT g.test'}"
        " LIMIT 1) ordered ORDER BY lower(s.name), s.id",
        *(client_id, *values),
    )
    return {row["id"]: row["name"] for row in rows}


async def list_open(conn: Connection) -> list[Order]:
    """Every order that has not ended, oldest first."""
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM service.generations WHERE {IS_OPEN} ORDER BY id")
    return [_order(row) for row in rows]


async def mark_started(conn: Connection, order_id: str, *, now: datetime) -> bool:
    """Somebody draws it now. Doing it again changes nothing; False where the order waits for no pictures."""
    async with conn.transaction():
        before: str | None = await conn.fetchval(
            "SELECT state FROM service.generations WHERE id = $1 FOR UPDATE", order_id
        )
        if before == "queued":
            await conn.execute(
                "UPDATE service.generations SET state = 'running', started_at = coalesce(started_at, $2),"
                " updated_at = $2 WHERE id = $1",
                *(order_id, now),
            )
            await events.append(conn, subject=order_id, kind="started", data={}, now=now)
    return before in ("queued", "running")


async def mark_queued(conn: Connection, order_id: str, *, now: datetime) -> None:
    """Back in the queue: the attempt gave up, the hold stays. Goes into the transaction of the requeue."""
    await conn.execute(
        "UPDATE service.generations SET state = 'queued', step = 0, updated_at = $2"
        " WHERE id = $1 AND state IN ('running', 'sealing')",
        *(order_id, now),
    )


def queued(order_id: str, *, position: int, eta_s: float) -> Told:
    """What tells the client an order's place in the line, 1 is next, and in how many seconds it will likely be done."""
    return Told(subject=order_id, kind="queued", data={"position": position, "eta_s": eta_s})


async def mark_sealing(conn: Connection, order_id: str, *, fence: int, now: datetime) -> bool:
    """The pictures of an attempt are there and are being sealed. False where the order is past that or ended, or where
    a later attempt has begun."""
    status = await conn.execute(
        "UPDATE service.generations SET state = 'sealing', updated_at = $2"
        " WHERE id = $1 AND state IN ('running', 'sealing')"
        " AND EXISTS (SELECT FROM licensing.hold h WHERE h.order_id = $1 AND h.fence = $3)",
        *(order_id, now, fence),
    )
    return bool(status == "UPDATE 1")


async def mark_waiting(conn: Connection, order_id: str, *, until: datetime, now: datetime) -> None:
    """The sealed pictures wait for their creator. Goes into the transaction that keeps the hold."""
    latest = f"{until:%Y-%m-%d %H:%M} UTC"
    said = f"The creator looks at the pictures first, until {latest} at the latest; nothing is charged before."
    status = await conn.execute(
        "UPDATE service.generations SET state = 'awaiting_approval', approval_until = $2, message = $3, eta_s = NULL,"
        " updated_at = $4 WHERE id = $1 AND state = 'sealing'",
        *(order_id, until, said, now),
    )
    assert status == "UPDATE 1", f"order {order_id} is not being sealed"
    data = {"until": until.isoformat().replace("+00:00", "Z"), "message": said}
    await events.append(conn, subject=order_id, kind="awaiting_approval", data=data, now=now)
    await tell_orders(conn, [order_id], now=now)


async def mark_approved(conn: Connection, order_id: str, *, now: datetime) -> bool:
    """The creator lets the pictures go: they are being finished. False where the order waits for that no more."""
    status = await conn.execute(
        "UPDATE service.generations SET state = 'sealing', message = NULL, updated_at = $2"
        " WHERE id = $1 AND state = 'awaiting_approval' AND approval_until > $2",
        *(order_id, now),
    )
    return bool(status == "UPDATE 1")


async def mark_unpaid(
    conn: Connection,
    order_id: str,
    *,
    reason: EndReason,
    now: datetime,
    message: str | None = None,
    refused: Sequence[RefusedPicture] = (),
) -> bool:
    """The order ended without a charge. Goes into the transaction of the void; False where it had ended before."""
    if not await _end_unpaid(conn, [order_id], reason=reason, message=message, now=now):
        return False
    await _note_refused(conn, order_id, refused)
    return True


async def mark_withdrawn(conn: Connection, order_ids: Sequence[str], *, now: datetime) -> None:
    """The orders that a switch voided. Goes into the transaction of the switch, which everybody else waits for: so it
    takes no longer for many."""
    await _end_unpaid(conn, order_ids, reason="withdrawn", message=None, now=now)


async def _end_unpaid(
    conn: Connection, order_ids: Sequence[str], *, reason: EndReason, message: str | None, now: datetime
) -> list[str]:
    """End those that had not ended; which.

    Their previews are forgotten: after a switch-off nothing of an unpaid picture may leave, not even to a late reader.
    """
    said = message or UNPAID_SENTENCES[reason]
    rows = await conn.fetch(
        # What was never drawn leaves nothing in the line for its client to pay.
        "UPDATE service.generations SET state = $2, message = $3, amount = 0, ended_at = $4, updated_at = $4,"
        " eta_s = 0, turn = CASE WHEN started_at IS NOT NULL THEN turn END"
        f" WHERE id = ANY($1::text[]) AND {IS_OPEN} RETURNING id",
        *(list(order_ids), reason, said, now),
    )
    ended = sorted(row["id"] for row in rows)
    if ended:
        await conn.execute(
            "UPDATE service.events SET data = data - 'preview' WHERE subject = ANY($1::text[]) AND kind = 'progress'",
            ended,
        )
        told = [Told(subject=order_id, kind=reason, data={"message": said}) for order_id in ended]
        await events.append_all(conn, told, now=now)
        await tell_orders(conn, ended, now=now)
    return ended


async def _note_refused(conn: Connection, order_id: str, refused: Sequence[RefusedPicture]) -> None:
    """What checks objected to, for the client; how often it was a near-copy, for the creator."""
    if not refused:
        return
    await conn.execute(
        "UPDATE service.generations SET refused = $2 WHERE id = $1", *(order_id, json.dumps(list(refused)))
    )
    near_copies = sum(one["kind"] == "near_copy" for one in refused)
    if near_copies:
        await conn.execute(
            "UPDATE service.versions SET near_copies = near_copies + $2"
            " WHERE id = (SELECT version_id FROM service.generations WHERE id = $1)",
            *(order_id, near_copies),
        )


async def note_progress(
    conn: Connection, order_id: str, *, step: int, steps: int, eta_s: float, preview: str | None, now: datetime
) -> bool:
    """How far the pictures are; `preview` is a data URL. False, and nothing is noted, where it no longer runs."""
    async with conn.transaction():
        needs_approval = await conn.fetchval(
            "UPDATE service.generations SET step = $2, steps = $3, eta_s = $4, updated_at = $5"
            " WHERE id = $1 AND state = 'running' RETURNING needs_approval",
            *(order_id, step, steps, eta_s, now),
        )
        if needs_approval is None:
            return False
        seen = {"step": step, "steps": steps, "eta_s": round(eta_s, 1)}
        # Who may not see the pictures yet does not see them half made.
        data = seen | ({"preview": preview} if preview and not needs_approval else {})
        await events.append(conn, subject=order_id, kind="progress", data=data, now=now)
    return True


def _order(row: asyncpg.Record) -> Order:
    order = read(Order, row)
    return replace(order, message=known_again(order.message, OF_ORDERS)) if order.message else order
