"""What a client was charged over some days, the tax apart: by day, style, key and tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from licensing.analytics.over import SPENT, over_until
from licensing.analytics.spans import Span
from licensing.charges import purses
from licensing.database import Connection
from licensing.money import Money


@dataclass(frozen=True, kw_only=True)
class Part:
    """What went to one style, key or tier, as `of` names it; None for what has none: a plan is of no style, and what
    was bought on a page is of no key. `pictures`: paid with money, less taken back. `net` and `tax` are below 0 where
    more was given back than charged."""

    of: str | None
    pictures: int
    net: Money
    tax: Money


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day in UTC cost."""

    day: date
    pictures: int
    net: Money
    tax: Money


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What invoices list, at the moment it was charged, summed four ways, each of which sums to `net` and `tax`.

    Pictures that a plan or licence paid for cost nothing here: the plan or licence did, on the day it was bought. Money
    that is paid in is not spent, and what was given back counts against the day on which it was.
    """

    span: Span
    pictures: int
    net: Money
    tax: Money
    by_day: tuple[Day, ...]
    by_style: tuple[Part, ...]
    by_key: tuple[Part, ...]
    by_tier: tuple[Part, ...]


async def spent(conn: Connection, *, client_id: str, days: Span, currency: str = "EUR") -> Spent:
    """A client's spend over `days`, those without any included."""
    over = await over_until(conn, since=days.since, until=days.until)
    rows = await conn.fetch(_SUMS, purses(client_id, currency), over, days.until, client_id, currency, days.since)
    by_day = {row["day"]: row for row in rows if row["by"] == "day"}
    return Spent(
        span=days,
        pictures=sum(row["pictures"] for row in by_day.values()),
        net=Money(sum(row["net"] for row in by_day.values()), currency),
        tax=Money(sum(row["tax"] for row in by_day.values()), currency),
        by_day=tuple(_day(day, by_day.get(day, _NOTHING), currency) for day in days.days),
        by_style=_parts(rows, "style_id", currency),
        by_key=_parts(rows, "key_id", currency),
        by_tier=_parts(rows, "tier", currency),
    )


_NOTHING: Mapping[str, Any] = {"pictures": 0, "net": 0, "tax": 0}
_SUMS = f"""
    SELECT CASE 0 WHEN grouping(day) THEN 'day' WHEN grouping(style_id) THEN 'style_id'
                  WHEN grouping(key_id) THEN 'key_id' ELSE 'tier' END AS by,
           day, style_id, key_id, tier, sum(pictures)::int AS pictures, sum(net)::bigint AS net,
           sum(charged - net)::bigint AS tax
    FROM ({SPENT}) AS spent
    GROUP BY GROUPING SETS ((day), (style_id), (key_id), (tier)) ORDER BY sum(net) DESC, style_id, key_id, tier
"""


def _parts(rows: Sequence[Mapping[str, Any]], name: str, currency: str) -> tuple[Part, ...]:
    return tuple(
        Part(of=row[name], pictures=row["pictures"], **_sums(row, currency)) for row in rows if row["by"] == name
    )


def _day(day: date, row: Mapping[str, Any], currency: str) -> Day:
    return Day(day=day, pictures=row["pictures"], **_sums(row, currency))


def _sums(row: Mapping[str, Any], currency: str) -> dict[str, Money]:
    return {name: Money(row[name], currency) for name in ("net", "tax")}
