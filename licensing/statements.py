"""What a creator earned, line by line, in sums that anybody can add up again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import LedgerBroken
from licensing.ledger import balance
from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Line:
    """One earning, its reversal, or a training's price. `price` is what the picture cost, `fee` the operator's part,
    `share` the creator's.

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
    fee: Money
    share: Money


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A creator's month in UTC; `total` is the sum of the lines' shares and equals what the ledger posted."""

    creator_id: str
    month: str
    lines: tuple[Line, ...]
    gross: Money
    fee: Money
    total: Money


@dataclass(frozen=True, kw_only=True)
class StyleEarnings:
    """One style's part of a creator's earnings."""

    style_id: str
    pictures: int
    share: Money


@dataclass(frozen=True, kw_only=True)
class Earnings:
    """What a creator has earned and not been paid, this month's part of it, and where it came from."""

    payable: Money
    month: Money
    pictures: int
    by_style: tuple[StyleEarnings, ...]


async def statement(conn: Connection, *, creator_id: str, month: str, currency: str = "EUR") -> Statement:
    """The statement of `month` ("2025-11"). Raises ValueError for a month that is none, LedgerBroken where the lines do
    not sum to what the ledger posted."""
    start, end = _bounds(month)
    rows = await conn.fetch(_LINES + " ORDER BY at, order_id, output_id, kind", creator_id, currency, start, end)
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
        gross=Money(sum(line.price.amount for line in lines), currency),
        fee=Money(sum(line.fee.amount for line in lines), currency),
        total=Money(total, currency),
    )


async def earnings(conn: Connection, *, creator_id: str, now: datetime, currency: str = "EUR") -> Earnings:
    """A creator's earnings up to `now`; they are counted from the ledger, so a sale shows at once."""
    start, _ = _bounds(now.astimezone(UTC).strftime("%Y-%m"))
    by_style = await conn.fetch(
        f"""
        SELECT style_id, sum(share)::bigint AS share,
               (count(*) FILTER (WHERE kind = 'sale') - count(*) FILTER (WHERE kind = 'refund'))::int AS pictures
        FROM ({_LINES}) AS lines GROUP BY style_id ORDER BY sum(share) DESC, style_id
        """,
        *(creator_id, currency, datetime.min.replace(tzinfo=UTC), now + _TICK),
    )
    return Earnings(
        payable=Money(await balance(conn, f"payable:{creator_id}:{currency}"), currency),
        month=Money(await _posted(conn, creator_id, currency, start, now + _TICK), currency),
        pictures=sum(row["pictures"] for row in by_style),
        by_style=tuple(
            StyleEarnings(style_id=row["style_id"], pictures=row["pictures"], share=Money(row["share"], currency))
            for row in by_style
        ),
    )


_TICK = timedelta(microseconds=1)

# Sales and refunds by output, what disputes changed about them, what clients left unused of licences, and trainings.
# $1 creator, $2 currency, $3 <= at < $4.
_LINES = """
    SELECT 'sale' AS kind, settled_at AS at, style_id, tier, order_id, output_id, certificate, price, fee, share
    FROM licensing.output
    WHERE creator_id = $1 AND currency = $2 AND NOT test AND settled_at >= $3 AND settled_at < $4
    UNION ALL
    SELECT 'refund', revoked_at, style_id, tier, order_id, output_id, certificate, -price, -fee, -share
    FROM licensing.output
    WHERE creator_id = $1 AND currency = $2 AND price > 0 AND revoked_at >= $3 AND revoked_at < $4
    UNION ALL
    SELECT 'adjustment', change.at, o.style_id, o.tier, o.order_id, o.output_id, o.certificate,
           change.sign * d.to_client, change.sign * d.from_fee, change.sign * d.from_share
    FROM licensing.output o JOIN licensing.disputed d USING (output_id),
        LATERAL (VALUES (d.ended_at, -1), (d.undone_at, 1)) AS change (at, sign)
    WHERE o.creator_id = $1 AND o.currency = $2 AND (d.from_share <> 0 OR d.from_fee <> 0)
      AND change.at >= $3 AND change.at < $4
    UNION ALL
    SELECT 'unused', g.at, g.body ->> 'style', g.body ->> 'tier', NULL, NULL, NULL,
           (g.body ->> 'price')::bigint, (g.body ->> 'fee')::bigint, e.amount
    FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
    WHERE e.account_id = 'payable:' || $1 || ':' || $2 AND g.kind = 'licence_end' AND g.at >= $3 AND g.at < $4
    UNION ALL
    SELECT 'compute', g.at, g.body ->> 'style', 'training', NULL, NULL, NULL, 0, -e.amount, e.amount
    FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
    WHERE e.account_id = 'payable:' || $1 || ':' || $2 AND g.kind = 'compute' AND g.at >= $3 AND g.at < $4
"""


def _bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month and of the next, UTC."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


def _line(row: Mapping[str, Any], currency: str) -> Line:
    sums = {name: Money(row[name], currency) for name in ("price", "fee", "share")}
    return Line(**(dict(row) | sums))


async def _posted(conn: Connection, creator_id: str, currency: str, start: datetime, end: datetime) -> int:
    """What the ledger posted as earned, start <= at < end."""
    posted: int = await conn.fetchval(
        """
        SELECT coalesce(sum(e.amount), 0)::bigint
        FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
        WHERE e.account_id = $1 AND g.at >= $2 AND g.at < $3 AND g.kind IN (
            'sale', 'refund', 'licence_end', 'compute', 'adjustment', 'adjustment_undone')
        """,
        *(f"payable:{creator_id}:{currency}", start, end),
    )
    return posted
