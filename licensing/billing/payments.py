"""What clients paid, what they got back and what their banks took back: our rows, moved on by what a provider says.

A payment is begun before its provider is asked, and ends once: as one `credit` of the ledger, or with a reason.
Whatever a provider says twice, late or in another order changes nothing twice and takes nothing back that is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.payments import Charge, Chargeback, ChargeRefund, PaymentProvider, State
from licensing.sentence import say

Purpose = Literal["prepaid", "pack", "invoice"]


@dataclass(frozen=True, kw_only=True)
class Payment:
    """One payment of a client, by the provider that takes it; `reference` is the provider's name of it.

    `subject` is the pack or invoice it is for. `bonus` is what the operator adds to a pack. `method` is what is
    charged, as the provider names it. `given_back` and `charged_back` are of `amount`; what is on its way back is in
    them.
    """

    id: str
    client_id: str
    provider: str
    purpose: Purpose
    subject: str | None
    amount: Money
    bonus: Money
    method: str | None
    state: State
    reference: str | None
    reason: str | None
    given_back: Money
    charged_back: Money
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class PaymentRefund:
    """Money of a payment that goes back to where it came from; `bonus` of a pack goes back to the operator with it.

    `why` it was given back, `reason` where that failed: the money is prepaid money again then.
    """

    id: str
    payment_id: str
    client_id: str
    provider: str
    amount: Money
    bonus: Money
    why: str
    state: State
    reference: str | None
    reason: str | None
    created_at: datetime
    ended_at: datetime | None


async def begin_payment(
    conn: Connection,
    *,
    payment_id: str,
    client_id: str,
    provider: str,
    purpose: Purpose,
    subject: str | None,
    amount: Money,
    bonus: Money | None = None,
    method: str | None = None,
    now: datetime,
) -> Payment | Refusal:
    """Write down a payment before anybody is asked for it, and commit that. Begun again it is the same payment, with
    the method of the first time.

    Refusals: invalid_request (not above 0), conflict (another payment has this id).
    """
    if amount.amount <= 0:
        return refuse(
            "invalid_request", what=say("A payment of {amount} cannot be taken; give an amount above 0", amount=amount)
        )
    extra = (bonus - Money(0, amount.currency)).amount if bonus else 0
    about = (payment_id, client_id, provider, purpose, subject, amount.amount, extra, amount.currency, method, now)
    answer = await ask(conn, "begin_payment", *about)
    return answer.refusal or await _payment(conn, payment_id)


async def pay(conn: Connection, provider: PaymentProvider, payment: Payment, *, now: datetime) -> Payment | Refusal:
    """Ask the provider for a payment that was begun and committed before, and write down what it says.

    May be called again with the same payment: it is charged once. One that has ended, or that is older than the
    provider keeps our ids, is returned as it is; `reconcile` finds out what became of it. The connection holds no
    transaction.
    """
    if payment.state != "pending" or _is_forgotten(provider, payment.created_at, now):
        return payment
    charge = await provider.charge(payment_id=payment.id, amount=payment.amount, method=payment.method)
    return await end_payment(conn, provider.name, charge, now=now)


async def end_payment(conn: Connection, provider: str, charge: Charge, *, now: datetime) -> Payment | Refusal:
    """Write down what a provider says of a payment, whichever way it said it.

    Money that arrived is booked once. A payment that failed arrives after all where the provider says so later; nothing
    else goes backwards. Refusals: not_found, conflict (another amount, or another charge for the same payment): nothing
    is booked, and somebody has to look.
    """
    known, told = charge.payment_id, charge.amount
    about = (known, charge.reference, charge.state, told.amount, told.currency, charge.reason, now)
    answer = await ask(conn, "end_payment", provider, *about)
    return answer.refusal or await _payment(conn, answer.detail["payment_id"])


async def begin_refund(
    conn: Connection, *, refund_id: str, payment_id: str, amount: Money, why: str, by: str, now: datetime
) -> PaymentRefund | Refusal:
    """Take money out of what its client has not spent, to give it back: at most what arrived and is not given back yet.
    Of a pack its part of the bonus goes to the operator. It is on its way until `end_refund`.

    Refusals: invalid_request (not above 0), not_found, conflict (nothing arrived, too much, spent, or another refund
    has this id).
    """
    if amount.amount <= 0:
        return refuse(
            "invalid_request", what=say("{amount} cannot be given back; give an amount above 0", amount=amount)
        )
    about = (refund_id, payment_id, amount.amount, amount.currency, why, by, now)
    answer = await ask(conn, "begin_payment_refund", *about)
    return answer.refusal or await _refund(conn, refund_id)


async def give_back(
    conn: Connection, provider: PaymentProvider, refund: PaymentRefund, *, now: datetime
) -> PaymentRefund | Refusal:
    """Ask the provider for a refund that was begun and committed before; as `pay`."""
    if refund.state != "pending" or _is_forgotten(provider, refund.created_at, now):
        return refund
    payment = await _payment(conn, refund.payment_id)
    assert payment.reference is not None, f"payment {payment.id} has arrived and has no reference"
    made = await provider.refund(refund_id=refund.id, charge=payment.reference, amount=refund.amount)
    return await end_refund(conn, provider.name, made, now=now)


async def end_refund(conn: Connection, provider: str, made: ChargeRefund, *, now: datetime) -> PaymentRefund | Refusal:
    """Write down what a provider says of a refund. Where it failed the money is prepaid money again, also days after it
    was said to have succeeded. Refusals: not_found, conflict (another amount, or another refund)."""
    known, told = made.refund_id, made.amount
    about = (known, made.reference, made.state, told.amount, told.currency, made.reason, now)
    answer = await ask(conn, "end_payment_refund", provider, *about)
    return answer.refusal or await _refund(conn, answer.detail["refund_id"])


async def note_chargeback(conn: Connection, provider: str, told: Chargeback, *, now: datetime) -> Payment | Refusal:
    """Write down that a payer's bank took money back, or gave it back after all; the payment that it is of is returned.

    What is unspent goes, and the client owes the rest; of a pack's bonus goes what is unspent. Refusals: not_found,
    conflict (more than the payment was).
    """
    about = (told.reference, told.charge, told.state, told.amount.amount, told.amount.currency, told.reason, now)
    answer = await ask(conn, "note_chargeback", provider, *about)
    return answer.refusal or await _payment(conn, answer.detail["payment_id"])


async def find_payment(conn: Connection, payment_id: str, *, client_id: str | None = None) -> Payment | None:
    """A payment, of this client if one is named."""
    row = await conn.fetchrow(
        "SELECT * FROM licensing.payment WHERE payment_id = $1 AND ($2::text IS NULL OR client_id = $2)",
        *(payment_id, client_id),
    )
    return _as_payment(row) if row else None


async def payments(
    conn: Connection, *, client_id: str, subject: str | None = None, limit: int = 100, before: str | None = None
) -> list[Payment]:
    """A client's payments, for one pack or invoice if it is named, newest first, those after the one with the id
    `before`."""
    rows = await conn.fetch(
        """
        SELECT * FROM licensing.payment WHERE client_id = $1 AND ($2::text IS NULL OR subject = $2)
          AND ($3::text IS NULL OR (created_at, payment_id)
               < (SELECT created_at, payment_id FROM licensing.payment WHERE payment_id = $3 AND client_id = $1))
        ORDER BY created_at DESC, payment_id DESC LIMIT $4
        """,
        *(client_id, subject, before, limit),
    )
    return [_as_payment(row) for row in rows]


async def all_payments(
    conn: Connection, *, state: State | None = None, limit: int = 100, before: str | None = None
) -> list[Payment]:
    """Everybody's payments, in this state if one is named, newest first, those after the one with the id `before`. For
    the operator."""
    rows = await conn.fetch(
        """
        SELECT * FROM licensing.payment WHERE ($1::text IS NULL OR state = $1)
          AND ($2::text IS NULL OR (created_at, payment_id)
               < (SELECT created_at, payment_id FROM licensing.payment WHERE payment_id = $2))
        ORDER BY created_at DESC, payment_id DESC LIMIT $3
        """,
        *(state, before, limit),
    )
    return [_as_payment(row) for row in rows]


async def refunds_of(conn: Connection, payment_id: str) -> list[PaymentRefund]:
    """All refunds of a payment, the oldest first."""
    rows = await conn.fetch(
        "SELECT * FROM licensing.payment_refund WHERE payment_id = $1 ORDER BY created_at, refund_id", payment_id
    )
    return [as_refund(row) for row in rows]


def _is_forgotten(provider: PaymentProvider, begun_at: datetime, now: datetime) -> bool:
    """Whether the provider may do again what it is asked again."""
    return provider.repeats_within is not None and now - begun_at > provider.repeats_within


async def _payment(conn: Connection, payment_id: str) -> Payment:
    return _as_payment(await conn.fetchrow("SELECT * FROM licensing.payment WHERE payment_id = $1", payment_id))


async def _refund(conn: Connection, refund_id: str) -> PaymentRefund:
    return as_refund(await conn.fetchrow("SELECT * FROM licensing.payment_refund WHERE refund_id = $1", refund_id))


def _as_payment(row: Mapping[str, Any]) -> Payment:
    return Payment(
        id=row["payment_id"],
        client_id=row["client_id"],
        provider=row["provider"],
        purpose=row["purpose"],
        subject=row["subject"],
        amount=Money(row["amount"], row["currency"]),
        bonus=Money(row["bonus"], row["currency"]),
        method=row["method"],
        state=row["state"],
        reference=row["reference"],
        reason=row["reason"],
        given_back=Money(row["given_back"], row["currency"]),
        charged_back=Money(row["charged_back"], row["currency"]),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


def as_refund(row: Mapping[str, Any]) -> PaymentRefund:
    """A refund from its row."""
    return PaymentRefund(
        id=row["refund_id"],
        payment_id=row["payment_id"],
        client_id=row["client_id"],
        provider=row["provider"],
        amount=Money(row["amount"], row["currency"]),
        bonus=Money(row["bonus"], row["currency"]),
        why=row["why"],
        state=row["state"],
        reference=row["reference"],
        reason=row["reason"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
