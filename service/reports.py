"""The monthly public report: what happened here in a month, in numbers that tell nobody's business.

    a month is over -> the first process that sweeps reads the rows -> figures -> signed -> a row that never changes

Every figure comes from rows that are kept for good, so it can be read again: `ownhand report 2026-11` does so and says
what differs. A number behind which fewer than `K` creators or fewer than `K` clients stand is withheld; so are sums of
money. There is no total beside numbers of which one is withheld, for it would tell that one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from licensing.authority import Authority, sign_document
from licensing.database import Connection
from service.db.connections import read
from service.resources import Gateway

K = 5
"""The fewest accounts of one role behind a number that is published."""
DOCUMENT = "ownhand.report/1"
_LATER = timedelta(hours=1)
_BACK = 12
"""Months that are published late, where nothing ran when they ended."""

FigureName = Literal[
    "styles_on_sale",
    "pictures_sold",
    "pictures_refused_by_checks",
    "pictures_kept_back_by_creators",
    "sales_taken_back",
    "disputes_opened",
    "disputes_decided",
    "claims_opened",
    "claims_closed",
    "payouts_sent",
    "payouts_total",
    "payout_days_median",
    "fee_income",
    "switched_off",
    "switch_held_ms_median",
    "switch_held_ms_worst",
    "worker_stopped_ms_median",
    "worker_stopped_ms_worst",
]

# Of each: its name, the number, how many creators and how many clients stand behind it (NULL: it is about none). $1 the
# month's first moment, $2 the next one's, $3 the currency.
_FIGURES = """
SELECT 'styles_on_sale' AS name, count(DISTINCT s.id)::numeric AS value, count(DISTINCT s.creator_id) AS creators,
    NULL::bigint AS clients
FROM service.styles s JOIN service.versions v ON v.style_id = s.id
WHERE v.published_at < $2 AND (s.destroyed_at IS NULL OR s.destroyed_at >= $2)
UNION ALL SELECT 'pictures_sold', count(*), count(DISTINCT creator_id), count(DISTINCT client_id)
FROM licensing.output WHERE NOT test AND settled_at >= $1 AND settled_at < $2
UNION ALL SELECT 'pictures_refused_by_checks', coalesce(sum(jsonb_array_length(refused)), 0),
    count(DISTINCT creator_id), count(DISTINCT client_id)
FROM service.generations
WHERE NOT test AND refused <> '[]' AND ended_at >= $1 AND ended_at < $2
UNION ALL SELECT 'pictures_kept_back_by_creators', coalesce(sum(num_pictures), 0), count(DISTINCT creator_id),
    count(DISTINCT client_id)
FROM service.approvals WHERE decision = 'rejected' AND decided_at >= $1 AND decided_at < $2
UNION ALL SELECT 'sales_taken_back', count(*), count(DISTINCT creator_id), count(DISTINCT client_id)
FROM licensing.output WHERE NOT test AND revoked_at >= $1 AND revoked_at < $2
UNION ALL SELECT 'disputes_opened', count(*), count(DISTINCT creator_id), NULL
FROM licensing.dispute WHERE opened_at >= $1 AND opened_at < $2
UNION ALL SELECT 'disputes_decided', count(*), count(DISTINCT d.creator_id), NULL
FROM licensing.dispute_note n JOIN licensing.dispute d USING (dispute_id)
WHERE n.act = 'decision' AND n.at >= $1 AND n.at < $2
UNION ALL SELECT 'claims_opened', count(*), count(DISTINCT creator_id), NULL
FROM service.claims WHERE opened_at >= $1 AND opened_at < $2
UNION ALL SELECT 'claims_closed', count(*), count(DISTINCT creator_id), NULL
FROM service.claims WHERE closed_at >= $1 AND closed_at < $2
UNION ALL SELECT 'payouts_sent', count(*), count(DISTINCT creator_id), NULL
FROM licensing.payout WHERE state IN ('paid', 'reversed') AND currency = $3 AND ended_at >= $1 AND ended_at < $2
UNION ALL SELECT 'payouts_total', coalesce(sum(amount), 0), count(DISTINCT creator_id), NULL
FROM licensing.payout WHERE state IN ('paid', 'reversed') AND currency = $3 AND ended_at >= $1 AND ended_at < $2
UNION ALL SELECT 'payout_days_median',
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM paid.ended_at - o.settled_at) / 86400.0)
          )::numeric, 1),
    count(DISTINCT paid.creator_id), NULL
FROM (
    SELECT p.*, coalesce(lag(opened_at) OVER (PARTITION BY creator_id ORDER BY opened_at), '-infinity') AS after
    FROM licensing.payout p WHERE state IN ('paid', 'reversed') AND currency = $3 AND ended_at < $2
) paid JOIN licensing.output o ON o.creator_id = paid.creator_id AND o.currency = paid.currency AND o.share > 0
    AND o.settled_at > paid.after AND o.settled_at <= paid.opened_at
WHERE paid.ended_at >= $1
UNION ALL SELECT 'fee_income', coalesce(sum(e.amount), 0),
    (SELECT count(DISTINCT creator_id) FROM licensing.output WHERE fee > 0 AND settled_at >= $1 AND settled_at < $2),
    (SELECT count(DISTINCT client_id) FROM licensing.output WHERE fee > 0 AND settled_at >= $1 AND settled_at < $2)
FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
WHERE e.account_id = 'fee:operator:' || $3 AND g.at >= $1 AND g.at < $2
UNION ALL SELECT 'switched_off', count(*), count(DISTINCT creator_id), NULL
FROM licensing.switch_event WHERE level IN ('off', 'destroyed') AND at >= $1 AND at < $2
"""
# Times of the switch are about this place, not about whoever used it: published for anybody all along (`/switch`).
_SWITCH = """
SELECT CASE place WHEN 'fence' THEN 'switch_held' ELSE 'worker_stopped' END AS of,
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY took.ms))::numeric, 1) AS median, round(max(took.ms), 1) AS worst
FROM service.switch_stops, LATERAL (SELECT 1000 * extract(epoch FROM stopped_at - asked_at) AS ms) took
WHERE stopped_at >= $1 AND stopped_at < $2 GROUP BY 1
"""
_USES = """
SELECT purpose, sum(num_files) AS files, count(DISTINCT creator_id) AS creators
FROM service.data_use WHERE refused IS NULL AND at >= $1 AND at < $2 GROUP BY purpose ORDER BY purpose
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number, or None with the reason why there is none. Money in minor units."""

    value: float | None
    withheld: Literal["few_accounts", "not_measured"] | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A month's report as it was published. `document` is the same, signed."""

    month: str
    published_at: datetime
    figures: dict[str, Any]
    document: str


async def count_figures(conn: Connection, month: str, *, currency: str) -> dict[str, Any]:
    """A month's figures, read from the rows: `figures` by name, `uses` of creators' files by purpose. JSON."""
    first, end = span_of(month)
    rows = await conn.fetch(_FIGURES, first, end, currency)
    figures = {row["name"]: _figure(row["value"], row["creators"], row["clients"]) for row in rows}
    measured = {row["of"]: row for row in await conn.fetch(_SWITCH, first, end)}
    for of in ("switch_held", "worker_stopped"):
        for which in ("median", "worst"):
            found = measured.get(of)
            figures[f"{of}_ms_{which}"] = _plain(found[which]) if found else Figure(value=None, withheld="not_measured")
    uses = {row["purpose"]: _figure(row["files"], row["creators"], None) for row in await conn.fetch(_USES, first, end)}
    return {
        "currency": currency,
        "k": K,
        "figures": {name: asdict(figures[name]) for name in sorted(figures)},
        "uses": {name: asdict(figure) for name, figure in uses.items()},
    }


async def publish_reports(web: Gateway) -> None:
    """Publish every month that is over and has no report yet, from the first in which there was an account. A sweep."""
    async with web.house() as conn:
        # What was done in a month's last moments has long been committed then.
        for month in await _unpublished(conn, web.clock() - _LATER):
            figures = await count_figures(conn, month, currency=web.prices.currency)
            await _publish(conn, web.authority, month, figures, place=web.settings.operator_name, now=web.clock())


async def find_report(conn: Connection, month: str) -> Report | None:
    row = await conn.fetchrow(
        "SELECT month, published_at, figures, document FROM service.reports WHERE month = $1", month
    )
    return read(Report, row) if row else None


async def list_months(conn: Connection, *, limit: int = 120) -> list[str]:
    """Months with a report, the newest first."""
    rows = await conn.fetch("SELECT month FROM service.reports ORDER BY month DESC LIMIT $1", limit)
    return [row["month"] for row in rows]


def differences(published: Mapping[str, Any], counted: Mapping[str, Any]) -> list[str]:
    """What rows say now and a report does not, as sentences; none where it can be counted again as it was."""
    found = []
    for part in ("figures", "uses"):
        for name in sorted({*published[part], *counted[part]}):
            was, now = published[part].get(name), counted[part].get(name)
            if was != now:
                found.append(f"{name}: published {_said(was)}, counted {_said(now)}")
    return found


def span_of(month: str) -> tuple[datetime, datetime]:
    """The first moment of a month and of the next one, in UTC. Raises ValueError for what is no month."""
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{month!r} is no month; write it like 2026-11") from error
    return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


async def _unpublished(conn: Connection, now: datetime) -> list[str]:
    began = await conn.fetchval("SELECT min(created_at) FROM service.accounts")
    if began is None:
        return []
    known = set(await list_months(conn))
    months = [_month_before(now, back) for back in range(_BACK, 0, -1)]
    return [month for month in months if month >= f"{began:%Y-%m}" and month not in known]


async def _publish(
    conn: Connection, authority: Authority, month: str, figures: Mapping[str, Any], *, place: str, now: datetime
) -> None:
    said = {"document": DOCUMENT, "place": place, "month": month, "published_at": now.isoformat(), **figures}
    await conn.execute(
        "INSERT INTO service.reports (month, published_at, figures, document) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (month) DO NOTHING",
        *(month, now, json.dumps(figures), sign_document(authority, said)),
    )


def _month_before(now: datetime, back: int) -> str:
    year, month = divmod(now.year * 12 + now.month - 1 - back, 12)
    return f"{year}-{month + 1:02}"


def _figure(value: Any, creators: int | None, clients: int | None) -> Figure:
    """Nothing happened: that is told. Else enough accounts of each role must stand behind it."""
    if value is None:
        return Figure(value=None, withheld="not_measured")
    behind = [number for number in (creators, clients) if number is not None]
    if value != 0 and min(behind) < K:
        return Figure(value=None, withheld="few_accounts")
    return _plain(value)


def _plain(value: Any) -> Figure:
    return Figure(value=int(value) if value == int(value) else float(value))


def _said(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "nothing"
    return str(figure["value"]) if figure["withheld"] is None else f"withheld ({figure['withheld']})"
