"""What a creator has earned since the beginning, by style, and what of it is payable."""

from dataclasses import dataclass
from datetime import datetime

from licensing.analytics.over import BEGINNING, EARNED, over_until
from licensing.analytics.spans import TICK, month_of, today
from licensing.database import Connection
from licensing.ledger import balance
from licensing.money import Money


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


async def earnings(conn: Connection, *, creator_id: str, now: datetime, currency: str = "EUR") -> Earnings:
    """A creator's earnings up to `now`, the running second's sales in them."""
    by_style, month = await _by_style(conn, creator_id=creator_id, style_id=None, now=now, currency=currency)
    return Earnings(
        payable=Money(await balance(conn, f"payable:{creator_id}:{currency}"), currency),
        month=month,
        pictures=sum(one.pictures for one in by_style),
        by_style=by_style,
    )


async def style_earnings(
    conn: Connection, *, creator_id: str, style_id: str, now: datetime, currency: str = "EUR"
) -> StyleEarnings | None:
    """One style's part of a creator's earnings up to `now`; None where it earned nothing and cost nothing."""
    found, _ = await _by_style(conn, creator_id=creator_id, style_id=style_id, now=now, currency=currency)
    return found[0] if found else None


async def _by_style(
    conn: Connection, *, creator_id: str, style_id: str | None, now: datetime, currency: str
) -> tuple[tuple[StyleEarnings, ...], Money]:
    """By style, the most first, and what the month brought so far."""
    until = now + TICK
    over = await over_until(conn, since=BEGINNING, until=until)
    month = month_of(today(now)).first
    which = (creator_id, currency, over, until, BEGINNING, month)
    rows = await (conn.fetch(_OF_STYLE, *which, style_id) if style_id else conn.fetch(_OF_ALL, *which))
    by_style = tuple(
        StyleEarnings(style_id=row["style_id"], pictures=row["pictures"], share=Money(row["share"], currency))
        for row in rows
    )
    return by_style, Money(sum(row["month"] for row in rows), currency)


_SUMS = f"""
    SELECT style_id, sum(sales - refunds)::int AS pictures, sum(share)::bigint AS share,
           coalesce(sum(share) FILTER (WHERE day >= $6), 0)::bigint AS month
    FROM ({EARNED}) AS earned WHERE {{which}} GROUP BY style_id ORDER BY sum(share) DESC, style_id
"""
_OF_ALL, _OF_STYLE = _SUMS.format(which="true"), _SUMS.format(which="style_id = $7")
