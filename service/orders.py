"""Orders of pictures: one row per generation, and the only ways it moves from state to state.

    queued -> running -> sealing -> settled
       any state before settled -> failed | withdrawn | canceled | expired, charge 0

Holds and money are the licensing room's; a row here moves in the same transaction as its hold does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from licensing.database import Connection
from licensing.orders import EndReason
from service import events
from service.db.connections import read
from service.outbox import tell_order_ended
from service.outputs import Output, add_output

State = Literal[
    "queued", "running", "sealing", "awaiting_approval", "settled", "failed", "withdrawn", "canceled", "expired"
]
OPEN: tuple[State, ...] = ("queued", "running", "sealing", "awaiting_approval")
ENDS: frozenset[str] = frozenset({"settled", "failed", "withdrawn", "canceled", "expired"})
UNPAID_SENTENCES: dict[EndReason, str] = {
    "withdrawn": "The creator switched the style off before the pictures were yours; nothing was charged.",
    "canceled": "Canceled as you asked; nothing was charged.",
    "failed": "The pictures could not be made; nothing was charged. Order again.",
    "expired": "The order waited too long and was dropped; nothing was charged. Order again.",
}

_COLUMNS = (
    "id, client_id, key_id, style_id, creator_id, version_id, state, message, tier, count, amount, currency, test,"
    " request, work, turn, step, steps, eta_s, created_at, started_at, ended_at, refused, webhook_id"
)


class RefusedPicture(TypedDict):
    """One picture that a check objected to. JSON."""

    number: int
    kind: Literal["image_refused", "content", "near_copy"]
    """image_refused: the picture to start from was objected to; else what was with the picture itself."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """One generation. `request` is what was asked with the defaults filled in: see `service.intake.Wanted`.

    `amount` is held until the end, charged when settled, 0 where nothing is charged. `work` is what it costs to draw,
    `turn` its place in the line, both in row-steps (`service.turns`). `refused` are the pictures that a check objected
    to: see `RefusedPicture`. `webhook_id` is the endpoint that hears of its end, whatever else it wants to hear.
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

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full picture, in pixels; a draft is smaller (`service.delivery`)."""
        width, height = self.request["size"]
        return width, height

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


async def add_order(conn: Connection, order: Order) -> None:
    """Store a new order. Goes into the transaction of its hold."""
    await conn.execute(
        f"INSERT INTO service.generations ({_COLUMNS}, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,"
        " $23, $24, $20)",
        *(order.id, order.client_id, order.key_id, order.style_id, order.creator_id, order.version_id, order.state),
        *(order.message, order.tier, order.count, order.amount, order.currency, order.test, json.dumps(order.request)),
        *(
            order.work,
            order.turn,
            order.step,
            order.steps,
            order.eta_s,
            order.created_at,
            order.started_at,
            order.ended_at,
        ),
        *(json.dumps(order.refused), order.webhook_id),
    )


async def find_order(conn: Connection, order_id: str, *, client_id: str | None = None) -> Order | None:
    """An order; where a client is named, only that client's own."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.generations WHERE id = $1 AND ($2::text IS NULL OR client_id = $2)",
        *(order_id, client_id),
    )
    return read(Order, row) if row else None


async def list_orders(conn: Connection, *, client_id: str, limit: int, before: str | None = None) -> list[Order]:
    """A client's orders, newest first, those before the id `before`."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.generations WHERE client_id = $1 AND ($2::text IS NULL OR id < $2)"
        " ORDER BY id DESC LIMIT $3",
        *(client_id, before, limit),
    )
    return [read(Order, row) for row in rows]


async def list_open(conn: Connection) -> list[Order]:
    """Every order that has not ended, oldest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.generations"
        " WHERE state IN ('queued', 'running', 'sealing', 'awaiting_approval') ORDER BY id"
    )
    return [read(Order, row) for row in rows]


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


async def append_queued(conn: Connection, order_id: str, *, position: int, eta_s: float, now: datetime) -> None:
    """Tell the client the order's place in the line, 1 is next, and in how many seconds it will likely be done."""
    await events.append(conn, subject=order_id, kind="queued", data={"position": position, "eta_s": eta_s}, now=now)


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


async def mark_unsealed(conn: Connection, order_id: str, *, now: datetime) -> None:
    """A new attempt begins: what an earlier one was sealing counts no more. Goes into the transaction of the begin."""
    await conn.execute(
        "UPDATE service.generations SET state = 'queued', step = 0, updated_at = $2"
        " WHERE id = $1 AND state = 'sealing'",
        *(order_id, now),
    )


async def mark_settled(
    conn: Connection,
    order: Order,
    *,
    amount: int,
    outputs: Sequence[Output],
    message: str | None,
    refused: Sequence[RefusedPicture],
    now: datetime,
) -> bool:
    """The pictures are the client's and visible. Goes into the transaction of the settle; False where it was done."""
    status = await conn.execute(
        "UPDATE service.generations SET state = 'settled', amount = $2, message = $3, ended_at = $4, updated_at = $4,"
        " eta_s = 0, step = coalesce(steps, step)"
        " WHERE id = $1 AND state = 'sealing'",
        *(order.id, amount, message, now),
    )
    if status != "UPDATE 1":
        return False
    await _note_refused(conn, order.id, refused)
    for output in outputs:
        await add_output(conn, output)
        await events.append(conn, subject=order.id, kind="output", data={"id": output.id}, now=now)
    await events.append(conn, subject=order.id, kind="settled", data={"amount": amount}, now=now)
    await tell_order_ended(conn, order.id, now=now)
    return True


async def mark_unpaid(
    conn: Connection,
    order_id: str,
    *,
    reason: EndReason,
    now: datetime,
    message: str | None = None,
    refused: Sequence[RefusedPicture] = (),
) -> bool:
    """The order ended without a charge. Goes into the transaction of the void; False where it had ended before.

    Its previews are forgotten: after a switch-off nothing of an unpaid picture may leave, not even to a late reader.
    """
    said = message or UNPAID_SENTENCES[reason]
    status = await conn.execute(
        # What was never drawn leaves nothing in the line for its client to pay.
        "UPDATE service.generations SET state = $2, message = $3, amount = 0, ended_at = $4, updated_at = $4,"
        " eta_s = 0, turn = CASE WHEN started_at IS NOT NULL THEN turn END"
        " WHERE id = $1 AND state IN ('queued', 'running', 'sealing', 'awaiting_approval')",
        *(order_id, reason, said, now),
    )
    if status != "UPDATE 1":
        return False
    await _note_refused(conn, order_id, refused)
    await conn.execute(
        "UPDATE service.events SET data = data - 'preview' WHERE subject = $1 AND kind = 'progress'", order_id
    )
    await events.append(conn, subject=order_id, kind=reason, data={"message": said}, now=now)
    await tell_order_ended(conn, order_id, now=now)
    return True


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
        status = await conn.execute(
            "UPDATE service.generations SET step = $2, steps = $3, eta_s = $4, updated_at = $5"
            " WHERE id = $1 AND state = 'running'",
            *(order_id, step, steps, eta_s, now),
        )
        if status != "UPDATE 1":
            return False
        seen = {"step": step, "steps": steps, "eta_s": round(eta_s, 1)}
        data = seen | ({"preview": preview} if preview else {})
        await events.append(conn, subject=order_id, kind="progress", data=data, now=now)
    return True


async def mark_withdrawn(conn: Connection, order_ids: Sequence[str], *, now: datetime) -> None:
    """The orders that a switch voided. Goes into the transaction of the switch."""
    for order_id in order_ids:
        await mark_unpaid(conn, order_id, reason="withdrawn", now=now)
