"""Decisions of disputes take effect: at once after an appeal, else when the time to appeal is over."""

from datetime import datetime

from licensing import disputes, docket
from licensing.database import Connection
from licensing.docket import Dispute
from licensing.errors import Refusal
from service.outbox import tell_refunded
from service.resources import Gateway
from service.telling.of_disputes import tell_dispute


async def close_decided(web: Gateway) -> None:
    """Decisions against which nobody appealed take effect. A sweep of the web role."""
    now = web.clock()
    async with web.house() as conn:
        for dispute_id in await docket.due_to_close(conn, now=now):
            async with conn.transaction():
                if await disputes.close(conn, dispute_id=dispute_id, now=now):
                    closed = await docket.find_dispute(conn, dispute_id)
                    assert closed is not None, "what was closed is there"
                    await tell_closed(conn, closed, now=now)
                    await tell_dispute(conn, closed, "closed", by=None, now=now)


async def tell_closed(conn: Connection, dispute: Dispute | Refusal | None, *, now: datetime) -> None:
    """Tell the client of what a decision that took effect took back. Goes into the transaction of that."""
    if isinstance(dispute, Dispute) and dispute.state == "closed" and dispute.outcome == "refunded":
        for output_id in dispute.output_ids:
            await tell_refunded(conn, output_id, now=now)
