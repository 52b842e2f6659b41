"""What a creator earned, line by line, in sums that anybody can add up again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from licensing.database import Connection
from licensing.dues import DuesMonth, dues_month
from licensing.errors import LedgerBroken
from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Line:
    """One earning, its reversal, or a training's price. `price` is what the picture cost with its tax, `tax` what of it
    is passed on, `fee` the operator's part, `share` the creator's, `others` that of other authors: price = tax + fee +
    share + others.

    `output_id` is None for the rest of a licence period that the client left unused, and for a training: its price is
    0, its fee what computing cost, its share as much below zero. An `adjustment` is what a decided dispute changed
    about a sale, or, where the sale was taken back after that, the same with the other sign.
    """

    kind: Literal["sale", "refund", "unused", "compute", "adjustment"]
    at: datetime
    style_id: str
    tier: str
    order_id: str | None
    output_id: str | None
    certificate: str | None
    price: Money
    tax: Money
    fee: Money
    share: Money
    others: Money


@dataclass(frozen=True, kw_only=True)
class Movement:
    """What came to a creator's balance (above 0) or went from it without being earned: payouts, what a dispute sets
    aside, dues that were taken. `kind` is the ledger's, `subject` what it is about."""

    kind: str
    at: datetime
    subject: str
    amount: Money


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A creator's month in UTC; `total` is the sum of the lines' shares and equals what the ledger posted.

    gross = tax + fee + others + compute + total: what clients paid, of it tax, the operator's fee, what other authors
    got, what trainings cost. closing = opening + total + movements: what was payable before and after the month. `dues`
    is what is owed beside that, a debt of its own: of it only what was taken (`dues_taken`) is a movement.
    """

    creator_id: str
    month: str
    lines: tuple[Line, ...]
    gross: Money
    tax: Money
    fee: Money
    others: Money
    compute: Money
    total: Money
    opening: Money
    movements: tuple[Movement, ...]
    closing: Money
    dues: DuesMonth


async def statement(conn: Connection, *, creator_id: str, month: str, currency: str = "EUR") -> Statement:
    """The statement of `month` ("2025-11"). Raises ValueError for a month that is none, LedgerBroken where the lines do
    not sum to what the ledger posted."""
    start, end = _bounds(month)
    rows = await conn.fetch(
        "SELECT kind, at, style_id, tier, order_id, output_id, certificate, price, tax, fee, share, others"
        f" FROM ({LINES}) AS lines ORDER BY at, order_id, output_id, kind",
        *(creator_id, currency, start, end),
    )
    lines = tuple(_line(row, currency) for row in rows)
    total = sum(line.share.amount for line in lines)
    posted = await _posted(conn, creator_id, currency, start, end)
    if total != posted:
        raise LedgerBroken(
            f"lines of {creator_id} in {month} sum to {total}, the ledger posted {posted}; run its check"
        )
    return Statement(
        creator_id=creator_id,
        month=month,
        lines=lines,
        gross=_sum(lines, "price", currency),
        tax=_sum(lines, "tax", currency),
        fee=_sum([line for line in lines if line.kind != "compute"], "fee", currency),
        others=_sum(lines, "others", currency),
        compute=_sum([line for line in lines if line.kind == "compute"], "fee", currency),
        total=Money(total, currency),
        opening=Money(await _payable_at(conn, creator_id, currency, start), currency),
        movements=await _movements(conn, creator_id, currency, start, end),
        closing=Money(await _payable_at(conn, creator_id, currency, end), currency),
        dues=await dues_month(conn, creator_id=creator_id, currency=currency, start=start, end=end),
    )


async def newest(conn: Connection, *, creator_id: str, currency: str = "EUR") -> int:
    """A number that is another one whenever something came to a creator's balance or went from it."""
    number: int = await conn.fetchval(
        "SELECT coalesce(max(group_no), 0) FROM licensing.entry WHERE account_id = $1",
        f"payable:{creator_id}:{currency}",
    )
    return number


_EARNING = ("sale", "refund", "licence_end", "compute", "adjustment", "adjustment_undone")
"""Kinds of groups that are lines of a statement; what else moves a creator's balance is a movement."""

# Sales and refunds by output, what disputes changed about them, what clients left unused of licences, and trainings. $1
# creator, $2 currency, $3 <= at < $4. A function is called for each row, so the part of somebody who has all of it is
# read without.
LINES = """
    SELECT 'sale' AS kind, settled_at AS at, style_id, tier, order_id, output_id, certificate, price, tax, fee,
           part.share, o.share - part.share AS others, client_id
    FROM licensing.output o,
         LATERAL (SELECT CASE WHEN o.shared THEN licensing.part_of(o, $1) ELSE o.share END AS share) part
    WHERE o.output_id IN (SELECT output_id FROM licensing.outputs_of($1, $3, $4))
      AND currency = $2 AND NOT test AND settled_at >= $3 AND settled_at < $4
    UNION ALL
    SELECT 'refund', revoked_at, style_id, tier, order_id, output_id, certificate, -(o.share + fee + back.tax),
           -back.tax, -fee, -part.share, part.share - o.share, client_id
    FROM licensing.output o,
         LATERAL (SELECT CASE WHEN o.shared THEN licensing.part_of(o, $1) ELSE o.share END AS share) part,
         LATERAL (SELECT licensing.tax_refunded(o, o.revoked_at) AS tax) back
    WHERE o.output_id IN (SELECT output_id FROM licensing.revoked_of($1, $3, $4))
      AND currency = $2 AND price > 0 AND revoked_at >= $3 AND revoked_at < $4
    UNION ALL
    SELECT 'adjustment', change.at, o.style_id, o.tier, o.order_id, o.output_id, o.certificate,
           change.sign * (d.to_client + change.tax), change.sign * change.tax, change.sign * d.from_fee,
           change.sign * own.amount, change.sign * (d.from_share - own.amount), o.client_id
    FROM licensing.output o JOIN licensing.disputed d USING (output_id),
         LATERAL (VALUES (d.ended_at, -1, d.tax), (d.undone_at, 1, d.undone_tax)) AS change (at, sign, tax),
         LATERAL (SELECT sum(h.amount)::bigint AS amount FROM licensing.holders_of(o.output_id, d.from_share) h
                  WHERE h.creator_id = $1) own
    WHERE (o.creator_id = $1 OR o.shared) AND own.amount IS NOT NULL AND o.currency = $2
      AND (d.from_share <> 0 OR d.from_fee <> 0) AND change.at >= $3 AND change.at < $4
    UNION ALL
    SELECT rest.kind, g.at, g.body ->> 'style', rest.tier, NULL, NULL, NULL, rest.price, 0, rest.fee, g.amount,
           rest.others, NULL
    FROM licensing.booked(ARRAY['payable:' || $1 || ':' || $2], $3, $4) g,
         LATERAL (SELECT 'unused' AS kind, g.body ->> 'tier' AS tier, (g.body ->> 'price')::bigint AS price,
                         (g.body ->> 'fee')::bigint AS fee, (g.body ->> 'share')::bigint - g.amount AS others
                  WHERE g.kind = 'licence_end'
                  UNION ALL SELECT 'compute', 'training', 0, -g.amount, 0 WHERE g.kind = 'compute') rest
"""
"""The lines of a statement as a query: sales and refunds by output, what clients left unused of licences, and
trainings. $1 creator, $2 currency, $3 <= at < $4. `client_id` is for sums over many clients; no statement has it."""


def _bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month and of the next, UTC."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


def _line(row: Mapping[str, Any], currency: str) -> Line:
    sums = {name: Money(row[name], currency) for name in ("price", "tax", "fee", "share", "others")}
    return Line(**(dict(row) | sums))


def _sum(lines: Sequence[Line], name: str, currency: str) -> Money:
    return Money(sum(getattr(line, name).amount for line in lines), currency)


async def _payable_at(conn: Connection, creator_id: str, currency: str, moment: datetime) -> int:
    """What was payable just before a moment."""
    payable: int = await conn.fetchval(
        "SELECT licensing.balance_at($1, $2)", f"payable:{creator_id}:{currency}", moment
    )
    return payable


async def _posted(conn: Connection, creator_id: str, currency: str, start: datetime, end: datetime) -> int:
    """What the ledger posted as earned, start <= at < end."""
    posted: int = await conn.fetchval(
        "SELECT coalesce(sum(amount), 0)::bigint FROM licensing.booked($1, $2, $3) WHERE kind = ANY ($4)",
        *([f"payable:{creator_id}:{currency}"], start, end, list(_EARNING)),
    )
    return posted


async def _movements(
    conn: Connection, creator_id: str, currency: str, start: datetime, end: datetime
) -> tuple[Movement, ...]:
    rows = await conn.fetch(
        "SELECT kind, at, subject, amount FROM licensing.booked($1, $2, $3) WHERE kind <> ALL ($4) ORDER BY group_no",
        *([f"payable:{creator_id}:{currency}"], start, end, list(_EARNING)),
    )
    return tuple(Movement(**dict(row) | {"amount": Money(row["amount"], currency)}) for row in rows)
