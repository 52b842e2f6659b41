"""The events that a payment provider sends: each is taken once, together with what it causes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licensing.billing.methods import end_setup
from licensing.billing.payments import end_payment, end_refund, note_chargeback
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.payments import Charge, Chargeback, ChargeRefund, Event, Setup

Noting = Callable[..., Awaitable[Any]]
NOTED: Mapping[type, Noting] = {
    Charge: end_payment,
    ChargeRefund: end_refund,
    Chargeback: note_chargeback,
    Setup: end_setup,
}
"""What an event tells -> the verb that writes it down."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An event, and what came of it: `repeated` where it was taken before; `refusal` where what it tells is not of
    anything here, or not as it is here: nothing was changed, and reconciliation names it again."""

    event: Event
    repeated: bool
    refusal: Refusal | None = None


async def take_event(
    conn: Connection, provider: str, event: Event, *, now: datetime, more: Mapping[type, Noting] | None = None
) -> Taken:
    """Take an event that its provider has signed (`PaymentProvider.read_event`), in a transaction of its own.

    `more` are verbs for what else an event may tell, called like those here, in the same transaction. An exception
    leaves the event untaken, so that the provider sends it again.
    """
    async with conn.transaction():
        is_new = await conn.fetchval(
            "INSERT INTO licensing.psp_event (provider, event_id, kind, at, taken_at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT DO NOTHING RETURNING true",
            *(provider, event.id, event.kind, event.at, now),
        )
        if not is_new:
            return Taken(event=event, repeated=True)
        note = {**NOTED, **(more or {})}.get(type(event.news))
        answer = await note(conn, provider, event.news, now=now) if note else None
        return Taken(event=event, repeated=False, refusal=answer if isinstance(answer, Refusal) else None)
