"""Refunds by bank transfer: what is owed to whom, in which bank file it stands, who sent it, and what came back.

    pending (-> in a file) -> sent (-> came back)

A provider that moves money by itself says how a refund went; by transfer a person does, or the bank's statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stdnum import iban as ibans

from licensing.billing.payments import PaymentRefund, as_refund
from licensing.database import Answer, Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.payments import State
from licensing.sentence import say


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A refund with where it goes: `holder` and `iban` are empty where nobody knows, `sent_by` is None where the bank's
    statement or a provider said that it was sent. `file_id` names the bank file it stands in."""

    refund: PaymentRefund
    holder: str
    iban: str
    file_id: str | None
    sent_by: str | None


@dataclass(frozen=True, kw_only=True)
class RefundFile:
    """Refunds in one bank file; `still_open` of its `refunds` were not sent."""

    id: str
    made_by: str
    made_at: datetime
    refunds: int
    still_open: int
    total: Money


async def note_payer(conn: Connection, *, payment_id: str, holder: str, iban: str) -> None:
    """Write down from which account a payment came, if that is one; the first that is told is kept."""
    if ibans.is_valid(iban):
        await conn.execute("SELECT licensing.note_payer($1, $2, $3)", payment_id, holder, ibans.compact(iban))


async def refunds(
    conn: Connection,
    *,
    state: State | None = None,
    provider: str | None = None,
    limit: int = 100,
    before: str | None = None,
) -> list[Refund]:
    """Everybody's refunds, in this state and by this provider if they are named, newest first, those after the one with
    the id `before`. For the operator."""
    rows = await conn.fetch(
        _REFUNDS
        + """
        WHERE ($1::text IS NULL OR r.state = $1) AND ($2::text IS NULL OR r.provider = $2)
          AND ($3::text IS NULL OR (r.created_at, r.refund_id)
               < (SELECT created_at, refund_id FROM licensing.payment_refund WHERE refund_id = $3))
        ORDER BY r.created_at DESC, r.refund_id DESC LIMIT $4
        """,
        *(state, provider, before, limit),
    )
    return [_refund(row) for row in rows]


async def find_refund(conn: Connection, refund_id: str) -> Refund | None:
    row = await conn.fetchrow(_REFUNDS + " WHERE r.refund_id = $1", refund_id)
    return _refund(row) if row else None


async def refunds_in(conn: Connection, file_id: str) -> list[Refund]:
    """All refunds of a file, whatever became of them, by their ids."""
    return [_refund(row) for row in await conn.fetch(_REFUNDS + " WHERE r.file_id = $1 ORDER BY r.refund_id", file_id)]


async def refund_files(conn: Connection, *, limit: int = 100, before: str | None = None) -> list[RefundFile]:
    """Files, newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        """
        SELECT f.*, count(*)::int AS refunds, (count(*) FILTER (WHERE r.state = 'pending'))::int AS still_open,
               sum(r.amount)::bigint AS total
        FROM licensing.refund_file f JOIN licensing.payment_refund r USING (file_id)
        WHERE $1::text IS NULL
           OR (f.made_at, f.file_id) < (SELECT made_at, file_id FROM licensing.refund_file WHERE file_id = $1)
        GROUP BY f.file_id ORDER BY f.made_at DESC, f.file_id DESC LIMIT $2
        """,
        *(before, limit),
    )
    return [
        RefundFile(
            id=row["file_id"],
            made_by=row["made_by"],
            made_at=row["made_at"],
            refunds=row["refunds"],
            still_open=row["still_open"],
            total=Money(row["total"], row["currency"]),
        )
        for row in rows
    ]


async def make_refund_file(
    conn: Connection, *, file_id: str, currency: str, by: str, now: datetime
) -> list[Refund] | Refusal:
    """Gather every refund that waits, is in no file yet and whose account is known; the same id again returns that
    file's. Refusals: conflict (none waits)."""
    answer = await ask(conn, "make_refund_file", file_id, currency, by, now)
    return answer.refusal or await refunds_in(conn, file_id)


async def send_refund(conn: Connection, *, refund_id: str, by: str, now: datetime) -> Refund | Refusal:
    """A refund by transfer was sent. Said again, or said by the bank before, it is as it was. Refusals: not_found,
    conflict (it came back, or a provider says it)."""
    return await _said(conn, refund_id, await ask(conn, "send_refund", refund_id, by, now))


async def send_refund_file(conn: Connection, *, file_id: str, by: str, now: datetime) -> Sequence[Refund] | Refusal:
    """The bank carried out a file: what of it still waits was sent. In a transaction. Refusals: not_found."""
    found = await refunds_in(conn, file_id)
    if not found:
        return refuse("not_found", what=say("file of refunds"), id=file_id)
    for one in found:
        if one.refund.state == "pending":
            await ask(conn, "send_refund", one.refund.id, by, now)
    return await refunds_in(conn, file_id)


async def return_refund(conn: Connection, *, refund_id: str, reason: str, now: datetime) -> Refund | Refusal:
    """The bank sent it back after it was sent: it is prepaid money again. Refusals: not_found, invalid_request (no
    reason), conflict (it was not sent, or a provider says it)."""
    if not reason.strip():
        return refuse("invalid_request", what=say("Say why refund {refund_id} came back", refund_id=refund_id))
    return await _said(conn, refund_id, await ask(conn, "return_refund", refund_id, reason, now))


_REFUNDS = """
    SELECT r.*, coalesce(p.holder, '') AS holder, coalesce(p.iban, '') AS iban
    FROM licensing.payment_refund r LEFT JOIN licensing.payer p USING (payment_id)
"""


async def _said(conn: Connection, refund_id: str, answer: Answer) -> Refund | Refusal:
    if answer.refusal is not None:
        return answer.refusal
    found = await find_refund(conn, refund_id)
    assert found is not None, f"refund {refund_id} was there a moment ago"
    return found


def _refund(row: Mapping[str, Any]) -> Refund:
    # The client is joined by the payment: both rows name the same one.
    return Refund(
        refund=as_refund(row), holder=row["holder"], iban=row["iban"], file_id=row["file_id"], sent_by=row["sent_by"]
    )
