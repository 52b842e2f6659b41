"""A creator's earnings over some days: by day, style and tier, and by client where there are many of them.

**What is told of clients.** Sums by day, style and tier are sums of lines of the creator's own statement, each of which
is there to be read with its moment, style, tier and share and without a client. So no such sum says more than the
statement does, however few clients are behind it.

Sums by client are told only
- of months in which at least FEWEST_CLIENTS different clients bought: of fewer, a sum is next to what one person did;
- of whole months: two ranges that differ by a day would else tell, by subtraction, who bought on that day. Two ranges
  of whole months differ by whole months, each of which is told by itself anyway;
- of months that are over: the running one, asked every evening, would tell the same by subtraction. In a month that is
  over nothing changes any more, since what is taken back later is a line of the month in which that happens;
- of clients who bought in that month: what is taken back of a month that is not told does not name its buyer in
  another.

Months with fewer clients are left out, and the months that were counted are named beside the sums. This holds for
sums alone. The certificate of a picture is its licence: it names its client, and its creator may read it. Nor is the
number a defence against a creator who opens accounts to reach it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from licensing.analytics.over import EARNED, EARNED_FROM_CLIENTS, over_until
from licensing.analytics.spans import Span, months_over, today
from licensing.database import Connection
from licensing.money import Money

FEWEST_CLIENTS = 10
"""The least number of people behind sums that are told of them, as statistics usually have it: of fewer, each stands
out."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What came from one style, tier or client, as `of` names it. `pictures`: sold, less taken back. `share` is the
    creator's own, after fee and other authors; below 0 where more was taken back, or a training cost more."""

    of: str
    pictures: int
    share: Money


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day in UTC brought."""

    day: date
    pictures: int
    share: Money


@dataclass(frozen=True, kw_only=True)
class ByClient:
    """What came by pictures from each client in these months ("2025-11"), the most first."""

    months: tuple[str, ...]
    clients: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Earned:
    """All lines of the days' statements, summed four ways: those by day, style and tier each sum to `share`.

    Trainings are in them under the tier `training`. `by_client` is None where it is not told; `why` is then the
    sentence that says so.
    """

    span: Span
    pictures: int
    share: Money
    by_day: tuple[Day, ...]
    by_style: tuple[Part, ...]
    by_tier: tuple[Part, ...]
    by_client: ByClient | None
    why: str | None


async def earned(conn: Connection, *, creator_id: str, days: Span, now: datetime, currency: str = "EUR") -> Earned:
    """A creator's earnings over `days`, those without any included."""
    over = await over_until(conn, since=days.since, until=days.until)
    rows = await conn.fetch(_SUMS, creator_id, currency, over, days.until, days.since)
    by_day = {row["day"]: row for row in rows if row["day"] is not None}
    by_client = await _by_client(conn, creator_id, currency, months_over(days, today(now)))
    return Earned(
        span=days,
        pictures=sum(row["pictures"] for row in by_day.values()),
        share=Money(sum(row["share"] for row in by_day.values()), currency),
        by_day=tuple(_day(day, by_day.get(day, _NOTHING), currency) for day in days.days),
        by_style=_parts(rows, "style_id", currency),
        by_tier=_parts(rows, "tier", currency),
        by_client=by_client,
        why=None if by_client else _WHY,
    )


_WHY = (
    f"Earnings by client are told of whole months that are over and in which at least {FEWEST_CLIENTS} clients bought;"
    " there is none in these days."
)
_NOTHING: Mapping[str, Any] = {"pictures": 0, "share": 0}
_SUMS = f"""
    SELECT day, style_id, tier, sum(share)::bigint AS share, sum(sales - refunds)::int AS pictures
    FROM ({EARNED}) AS earned
    GROUP BY GROUPING SETS ((day), (style_id), (tier)) ORDER BY sum(share) DESC, style_id, tier
"""
_CLIENTS = f"""
    WITH sold AS MATERIALIZED ({EARNED_FROM_CLIENTS}), told AS (
        SELECT month FROM sold WHERE sales > 0 GROUP BY month HAVING count(*) >= $6
    )
    SELECT client_id, sum(share)::bigint AS share, sum(sales - refunds)::int AS pictures,
           (SELECT array_agg(to_char(month, 'YYYY-MM') ORDER BY month) FROM told) AS months
    FROM sold JOIN told USING (month) WHERE sales > 0
    GROUP BY client_id ORDER BY sum(share) DESC, client_id
"""


async def _by_client(conn: Connection, creator_id: str, currency: str, months: Span | None) -> ByClient | None:
    if months is None:
        return None
    over = await over_until(conn, since=months.since, until=months.until, by_month=True)
    rows = await conn.fetch(_CLIENTS, creator_id, currency, over, months.until, months.since, FEWEST_CLIENTS)
    if not rows:
        return None
    return ByClient(months=tuple(rows[0]["months"]), clients=_parts(rows, "client_id", currency))


def _parts(rows: Sequence[Mapping[str, Any]], name: str, currency: str) -> tuple[Part, ...]:
    return tuple(
        Part(of=row[name], pictures=row["pictures"], share=Money(row["share"], currency))
        for row in rows
        if row[name] is not None
    )


def _day(day: date, row: Mapping[str, Any], currency: str) -> Day:
    return Day(day=day, pictures=row["pictures"], share=Money(row["share"], currency))
