"""What a creator earned, line by line, in sums that anybody can add up again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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
    """A creator's month in UTC; `total` is the sum of all lines' shares and equals what the ledger posted.

    gross = tax + fee + others + compute + total: what clients paid, of it tax, the operator's fee, what other authors
    got, what trainings cost. closing = opening + total + movements: what was payable before and after the month. `dues`
    is what is owed beside that, a debt of its own: of it only what was taken (`dues_taken`) is a movement.
    """

    creator_id: str
    month: str
    lines: tuple[Line, ...]
    """All of the month's `num_lines`, or the part of them that was asked for."""
    num_lines: int
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


async def statement(
    conn: Connection, *, creator_id: str, month: str, currency: str = "EUR", first: int = 1, at_most: int | None = None
) -> Statement:
    """The statement of `month` ("2025-11"), as it is at one moment: all of its lines, or `at_most` of them from line
    `first` on.

    Raises ValueError for a month that is none, LedgerBroken where the lines do not sum to what the ledger posted.
    """
    start, end = _bounds(month)
    async with _one_moment(conn):
        rows = await conn.fetch(_LINES_AND_SUMS, creator_id, currency, start, end, first - 1, at_most)
        sums = {name: rows[0][f"all_{name}"] for name in ("lines", *_SUMS)}
        posted, movements = await _booked(conn, creator_id, currency, start, end)
        if sums["total"] != posted:
            raise LedgerBroken(
                f"lines of {creator_id} in {month} sum to {sums['total']}, the ledger posted {posted}; run its check"
            )
        return Statement(
            creator_id=creator_id,
            month=month,
            lines=tuple(_line(row, currency) for row in rows if row["kind"] is not None),
            num_lines=sums["lines"],
            **{name: Money(sums[name], currency) for name in _SUMS},
            opening=Money(await _payable_at(conn, creator_id, currency, start), currency),
            movements=movements,
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

# All of what is not shared is its creator's; of the rest a part, by a function that is called for each row.
_SOLD = """
    SELECT 'sale' AS kind, settled_at AS at, style_id, tier, order_id, o.output_id, price, tax, fee,
           part.share, o.share - part.share AS others, client_id
    FROM {rows} WHERE {are_theirs}
      AND currency = $2 AND NOT test AND settled_at >= $3 AND settled_at < $4
    UNION ALL
    SELECT 'refund', revoked_at, style_id, tier, order_id, o.output_id, -(o.share + fee + back.tax),
           -back.tax, -fee, -part.share, part.share - o.share, client_id
    FROM {rows}, LATERAL (SELECT licensing.tax_refunded(o, o.revoked_at) AS tax) back WHERE {are_theirs}
      AND currency = $2 AND price > 0 AND revoked_at >= $3 AND revoked_at < $4
"""
_OWN = _SOLD.format(
    rows="licensing.output o, LATERAL (SELECT o.share) part", are_theirs="o.creator_id = $1 AND NOT o.shared"
)
_SHARED = _SOLD.format(
    rows="""licensing.output_share s JOIN licensing.output o USING (output_id),
         LATERAL (SELECT licensing.part_of(o, $1) AS share) part""",
    are_theirs="s.author_id = $1 AND o.shared",
)
LINES = f"""
    {_OWN} UNION ALL {_SHARED} UNION ALL
    SELECT 'adjustment', change.at, o.style_id, o.tier, o.order_id, o.output_id,
           change.sign * (d.to_client + change.tax), change.sign * change.tax, change.sign * d.from_fee,
           change.sign * own.amount, change.sign * (d.from_share - own.amount), o.client_id
    FROM licensing.output o JOIN licensing.disputed d USING (output_id),
         LATERAL (VALUES (d.ended_at, -1, d.tax), (d.undone_at, 1, d.undone_tax)) AS change (at, sign, tax),
         LATERAL (SELECT sum(h.amount)::bigint AS amount FROM licensing.holders_of(o.output_id, d.from_share) h
                  WHERE h.creator_id = $1) own
    WHERE (o.creator_id = $1 OR o.shared) AND own.amount IS NOT NULL AND o.currency = $2
      AND (d.from_share <> 0 OR d.from_fee <> 0) AND change.at >= $3 AND change.at < $4
    UNION ALL
    SELECT rest.kind, g.at, g.body ->> 'style', rest.tier, NULL, NULL, rest.price, 0, rest.fee, g.amount,
           rest.others, NULL
    FROM licensing.booked(ARRAY['payable:' || $1 || ':' || $2], $3, $4) g,
         LATERAL (SELECT 'unused' AS kind, g.body ->> 'tier' AS tier, (g.body ->> 'price')::bigint AS price,
                         (g.body ->> 'fee')::bigint AS fee, (g.body ->> 'share')::bigint - g.amount AS others
                  WHERE g.kind = 'licence_end'
                  UNION ALL SELECT 'compute', 'training', 0, -g.amount, 0 WHERE g.kind = 'compute') rest
"""
"""The lines of a statement as a query: sales and refunds by output, what clients left unused of licences, and
trainings. $1 creator, $2 currency, $3 <= at < $4. `client_id` is for sums over many clients; no statement has it."""


# What was earned as one row without a kind; each movement as it is.
_BOOKED = """
    WITH booked AS MATERIALIZED (SELECT * FROM licensing.booked($1, $2, $3))
    SELECT NULL AS kind, NULL::timestamptz AS at, NULL AS subject, coalesce(sum(amount), 0)::bigint AS amount,
           0 AS group_no
    FROM booked WHERE kind = ANY ($4)
    UNION ALL SELECT kind, at, subject, amount, group_no FROM booked WHERE kind <> ALL ($4) ORDER BY group_no
"""
_SUMS = ("gross", "tax", "fee", "others", "compute", "total")
_LINES_AND_SUMS = f"""
    WITH lines AS MATERIALIZED ({LINES}), sums AS (
        SELECT count(*)::integer AS all_lines, coalesce(sum(price), 0)::bigint AS all_gross,
               coalesce(sum(tax), 0)::bigint AS all_tax, coalesce(sum(others), 0)::bigint AS all_others,
               coalesce(sum(fee) FILTER (WHERE kind <> 'compute'), 0)::bigint AS all_fee,
               coalesce(sum(fee) FILTER (WHERE kind = 'compute'), 0)::bigint AS all_compute,
               coalesce(sum(share), 0)::bigint AS all_total
        FROM lines)
    SELECT sums.*, part.* FROM sums LEFT JOIN (
        SELECT kind, at, style_id, tier, order_id, output_id, price, tax, fee, share, others
        FROM lines ORDER BY at, order_id, output_id, kind OFFSET $5 LIMIT $6) part ON true
    ORDER BY part.at, part.order_id, part.output_id, part.kind
"""
"""Each line of a part beside what all of them sum to; one row where there is none. $5 lines are left out before it, $6
are its most."""


@asynccontextmanager
async def _one_moment(conn: Connection) -> AsyncIterator[None]:
    """What is sold meanwhile is in all that is read inside, or in none. Inside of a transaction that decides."""
    if conn.is_in_transaction():
        yield
        return
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        yield


def _bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month and of the next, UTC."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


def _line(row: Mapping[str, Any], currency: str) -> Line:
    named = ("kind", "at", "style_id", "tier", "order_id", "output_id")
    sums = ("price", "tax", "fee", "share", "others")
    values: dict[str, Any] = {name: row[name] for name in named}
    return Line(**values | {name: Money(row[name], currency) for name in sums})


async def _payable_at(conn: Connection, creator_id: str, currency: str, moment: datetime) -> int:
    """What was payable just before a moment."""
    payable: int = await conn.fetchval(
        "SELECT licensing.balance_at($1, $2)", f"payable:{creator_id}:{currency}", moment
    )
    return payable


async def _booked(
    conn: Connection, creator_id: str, currency: str, start: datetime, end: datetime
) -> tuple[int, tuple[Movement, ...]]:
    """What the ledger posted as earned, start <= at < end, and what moved the balance beside that."""
    rows = await conn.fetch(_BOOKED, [f"payable:{creator_id}:{currency}"], start, end, list(_EARNING))
    movements = [
        Movement(kind=row["kind"], at=row["at"], subject=row["subject"], amount=Money(row["amount"], currency))
        for row in rows
        if row["kind"] is not None
    ]
    return sum(row["amount"] for row in rows if row["kind"] is None), tuple(movements)
