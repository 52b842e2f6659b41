"""How long the switch takes, as it was measured, for anybody to see.

Two things are noted of every change to `off` or `destroyed`: when it held (from then on nothing is sold), and when each
worker that was drawing for it had stopped. Both are counted from when the creator asked, which is before the commit, so
what is published is never too little. A worker that drew nothing for it has nothing to stop and no row.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from service.db.connections import read

DAYS = 30
FENCE = "fence"
Of = Literal["fence", "workers"]

_NOTE = """
INSERT INTO service.switch_stops AS known (event_no, place, asked_at, stopped_at, num_orders)
SELECT event_no, $1, at, $2, $3 FROM licensing.switch_event WHERE {of} AND level IN ('off', 'destroyed')
ORDER BY event_no DESC LIMIT 1
ON CONFLICT (event_no, place) DO UPDATE SET stopped_at = greatest(known.stopped_at, excluded.stopped_at),
    num_orders = known.num_orders + excluded.num_orders
"""
_MEASURED = """
SELECT CASE place WHEN 'fence' THEN 'fence' ELSE 'workers' END AS of, count(*) AS count,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY took.ms) AS p50_ms,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY took.ms) AS p99_ms, max(took.ms) AS worst_ms
FROM service.switch_stops, LATERAL (SELECT 1000 * extract(epoch FROM stopped_at - asked_at)::float8 AS ms) took
WHERE stopped_at > $1 GROUP BY 1
"""
_TOOK = """
SELECT max(took.ms) FILTER (WHERE place = 'fence') AS fence_ms,
    max(took.ms) FILTER (WHERE place <> 'fence') AS workers_ms
FROM service.switch_stops, LATERAL (SELECT 1000 * extract(epoch FROM stopped_at - asked_at)::float8 AS ms) took
WHERE event_no = $1
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How long one of the two took, in milliseconds; `count` is of changes, or of workers that stopped."""

    of: Of
    count: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


async def note_held(conn: Connection, *, creator_id: str, asked_at: datetime, took_s: float) -> None:
    """The change of a switch that a creator asked for at this moment has been committed, so many seconds later."""
    await conn.execute(
        _NOTE.format(of="creator_id = $4 AND at = $5"),
        *(FENCE, asked_at + timedelta(seconds=took_s), 0, creator_id, asked_at),
    )


async def note_stopped(
    conn: Connection, *, worker: str, creator_id: str, style_id: str, client_id: str, now: datetime
) -> None:
    """A worker has stopped drawing an order, because a switch over it went off."""
    await conn.execute(
        _NOTE.format(of="creator_id = $4 AND style_id IN ('', $5) AND client_id IN ('', $6)"),
        *(worker, now, 1, creator_id, style_id, client_id),
    )


@dataclass(frozen=True, kw_only=True)
class Took:
    """How long one change took, in milliseconds: until nothing more was sold, and until the last worker that was
    drawing had stopped (None where none was, or none has said so yet)."""

    fence_ms: float
    workers_ms: float | None


async def took(conn: Connection, event_no: int) -> Took | None:
    """How long one change to `off` or `destroyed` took; None for another, or where its time is not noted."""
    row = await conn.fetchrow(_TOOK, event_no)
    return None if row["fence_ms"] is None else read(Took, row)


async def measured(conn: Connection, *, now: datetime) -> dict[Of, Measured]:
    """What was measured within the last `DAYS` days; nothing for what nobody measured."""
    rows = await conn.fetch(_MEASURED, now - timedelta(days=DAYS))
    return {row["of"]: read(Measured, row) for row in rows}
