"""Whom a style's switch would reach, told before it is set."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.money import Money

_REACH = """
WITH open AS (
    SELECT client_id, running FROM licensing.hold WHERE creator_id = $1 AND style_id = $2 AND state = 'open'
), sold AS (
    SELECT a.client_id, back.refund + back.tax AS refund
    FROM licensing.licences_in($1, $2, '') a
    JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit',
    LATERAL licensing.unused_of(a, b.posted, $3) back
)
SELECT (SELECT count(DISTINCT client_id) FROM (SELECT client_id FROM open UNION SELECT client_id FROM sold) c)
        AS clients,
    (SELECT count(*) FROM open WHERE NOT running) AS waiting, (SELECT count(*) FROM open WHERE running) AS running,
    (SELECT count(*) FROM sold) AS licences, (SELECT coalesce(sum(refund), 0)::bigint FROM sold) AS refund,
    s.currency, licensing.notice_of($1, $2, '') AS notice_days
FROM licensing.style s WHERE s.style_id = $2 AND s.creator_id = $1
"""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Whom a style's switch would reach at one moment: `clients` with a running licence or an open order; orders that
    wait (with those that wait for the creator's yes) and that are being made; running licences, and what of them would
    go back to their buyers, tax included, if the style went off. `notice_days` is how long a wind-down would take: the
    longest that anybody was promised."""

    clients: int
    waiting: int
    running: int
    licences: int
    refund: Money
    notice_days: int


async def reach_of(conn: Connection, *, creator_id: str, style_id: str, now: datetime) -> Reach | None:
    """Whom the switch of a creator's style would reach now; None for a style without terms. Locks nothing: who comes or
    goes before the switch is set is counted when it is. On a connection that acts for the house."""
    row = await conn.fetchrow(_REACH, creator_id, style_id, now)
    if row is None:
        return None
    return Reach(
        clients=row["clients"],
        waiting=row["waiting"],
        running=row["running"],
        licences=row["licences"],
        refund=Money(row["refund"], row["currency"]),
        notice_days=row["notice_days"],
    )
