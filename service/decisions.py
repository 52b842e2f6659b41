"""What a creator decides about pictures that wait: they are sold, or they are nobody's and cost nothing.

Of two decisions about one order the first counts. It is the row's, in one commit with what it means for the hold;
a yes is then carried out by a story, which a sweep starts where a crash did not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.gateway import renew, void
from licensing.orders import Voided
from licensing.sentence import say
from service.approvals import Decision
from service.db.connections import read
from service.errors import Problem, not_found
from service.faults import reach
from service.generation import start_approved
from service.orders import find_order, mark_approved, mark_unpaid
from service.resources import Gateway
from service.telling.of_orders import tell_looked_at

REASON_CHARACTERS_MAX = 300


@dataclass(frozen=True, kw_only=True)
class Decided:
    """An order about which its creator decided. `repeated`: it was decided so before."""

    order_id: str
    decision: Decision
    decided_at: datetime
    repeated: bool = False


async def approve(web: Gateway, *, creator_id: str, order_id: str) -> Decided:
    """Let the pictures go: they are charged for and delivered. Raises Problem: not_found, conflict."""
    now = web.clock()
    async with web.house() as conn:
        before = await _decided(conn, creator_id, order_id, "approved")
        if before is not None:
            return before
        async with conn.transaction():
            # The hold first, as every verb does: it lives until the story has settled, and nobody else decides now.
            await renew(conn, [order_id], now)
            before = await _decided(conn, creator_id, order_id, "approved")
            if before is not None:
                return before
            if not await mark_approved(conn, order_id, now=now):
                raise await _too_late(conn, order_id)
            decided = await _decide(conn, order_id, "approved", now=now)
    reach("approved", web.settings.crash_at)
    await start_approved(order_id)
    return decided


async def reject(web: Gateway, *, creator_id: str, order_id: str, reason: str) -> Decided:
    """Keep the pictures from their client, who pays nothing and reads why. Raises Problem: not_found, conflict."""
    now = web.clock()
    async with web.house() as conn:
        before = await _decided(conn, creator_id, order_id, "rejected")
        if before is not None:
            return before
        async with conn.transaction():
            ended = await void(conn, order_id=order_id, reason="withdrawn", now=now)
            before = await _decided(conn, creator_id, order_id, "rejected")
            if before is not None:
                return before
            if not isinstance(ended, Voided):
                raise await _too_late(conn, order_id)
            why = reason.rstrip(".")
            said = f"The creator looked at the pictures and does not release them: {why}. Nothing was charged."
            await mark_unpaid(conn, order_id, reason="withdrawn", message=said, now=now)
            await tell_looked_at(conn, order_id, now=now)
            return await _decide(conn, order_id, "rejected", now=now)


async def _decided(conn: Connection, creator_id: str, order_id: str, wanted: Decision) -> Decided | None:
    """The same decision made before; None where there is none yet. Raises Problem where it is another one."""
    row = await conn.fetchrow(
        "SELECT generation_id AS order_id, decision, decided_at, true AS repeated FROM service.approvals"
        " WHERE generation_id = $1 AND creator_id = $2",
        *(order_id, creator_id),
    )
    if row is None:
        raise not_found("order waiting for approval", order_id)
    if row["decision"] not in (None, wanted):
        raise Problem(
            "conflict",
            say(
                "Order {order_id} was {decision} already, at {decided_at:%Y-%m-%d %H:%M} UTC.",
                order_id=order_id,
                decision=_DECIDED[row["decision"]],
                decided_at=row["decided_at"],
            ),
        )
    return read(Decided, row) if row["decision"] else None


async def _decide(conn: Connection, order_id: str, decision: Decision, *, now: datetime) -> Decided:
    await conn.execute(
        "UPDATE service.approvals SET decision = $2, decided_at = $3 WHERE generation_id = $1", order_id, decision, now
    )
    return Decided(order_id=order_id, decision=decision, decided_at=now)


async def _too_late(conn: Connection, order_id: str) -> Problem:
    order = await find_order(conn, order_id)
    assert order is not None
    state = "expired" if order.is_open else order.state
    return Problem(
        "conflict",
        say(
            "Order {order_id} waits no more: it is {state}, and nothing was charged.",
            order_id=order_id,
            state=_ENDED.get(state, state),
        ),
    )


_DECIDED = {"approved": say("approved"), "rejected": say("rejected")}
_ENDED: Mapping[str, str] = {
    "failed": say("failed"),
    "withdrawn": say("withdrawn"),
    "canceled": say("canceled"),
    "expired": say("expired"),
}
