"""What a client was charged over some days: by day, style, key and tier, the tax apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from licensing.analytics.spans import Span
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
    rows = await conn.fetch(_SUMS, purses(client_id, currency), days.since, days.until)
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


def purses(client_id: str, currency: str) -> list[str]:
    """The accounts that a client is charged on."""
    return [f"prepaid:{client_id}:{currency}", f"receivable:{client_id}:{currency}"]


CHARGES = """
    SELECT g.kind, g.at, coalesce(h.style_id, o.style_id, a.style_id) AS style_id,
           coalesce(h.key_id, back.key_id) AS key_id, coalesce(h.tier, o.tier, a.tier) AS tier, p.charged,
           coalesce(h.made, CASE WHEN back.units = 0 THEN -1 END, 0) AS pictures,
           CASE g.kind
               WHEN 'sale' THEN h.made * (h.unit_price - h.unit_tax)
               WHEN 'plan' THEN a.price - a.discount
               WHEN 'licence' THEN a.price - a.discount
               WHEN 'refund' THEN -coalesce((g.body ->> 'net')::bigint, -p.charged)
               WHEN 'tax_rounding' THEN 0
               WHEN 'adjustment' THEN -(g.body ->> 'net')::bigint
               WHEN 'adjustment_undone' THEN (g.body ->> 'net')::bigint
               ELSE -(g.body ->> 'refund')::bigint END AS net
    FROM (SELECT e.group_no, -sum(e.amount)::bigint AS charged FROM licensing.entry e
          WHERE e.account_id = ANY ($1) GROUP BY e.group_no) p
    JOIN licensing.entry_group g USING (group_no)
    LEFT JOIN licensing.hold h ON g.kind = 'sale' AND h.order_id = g.subject
    LEFT JOIN licensing.output o ON g.kind = 'refund' AND o.output_id = g.subject
        OR g.kind IN ('adjustment', 'adjustment_undone') AND o.output_id = g.body ->> 'output'
    LEFT JOIN licensing.hold back ON back.order_id = o.order_id AND g.kind = 'refund'
    LEFT JOIN licensing.allowance a
        ON g.kind IN ('plan', 'licence', 'plan_end', 'licence_end') AND a.allowance_id = g.subject
    WHERE g.kind IN ('sale', 'plan', 'licence', 'refund', 'plan_end', 'licence_end', 'tax_rounding', 'adjustment',
                     'adjustment_undone')
      AND g.at >= $2 AND g.at < $3
"""
"""What was charged and given back, by group: `charged` with its tax, `net` without. $1 purses, $2 <= at < $3."""

_NOTHING: Mapping[str, Any] = {"pictures": 0, "net": 0, "tax": 0}
_SUMS = f"""
    SELECT CASE 0 WHEN grouping(day) THEN 'day' WHEN grouping(style_id) THEN 'style_id'
                  WHEN grouping(key_id) THEN 'key_id' ELSE 'tier' END AS by,
           day, style_id, key_id, tier, sum(pictures)::int AS pictures, sum(net)::bigint AS net,
           sum(charged - net)::bigint AS tax
    FROM (SELECT (at AT TIME ZONE 'UTC')::date AS day, * FROM ({CHARGES}) AS charges) AS dated
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
