"""The nightly audit as rows: one a day, whoever does it, with what it found."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from licensing.database import Connection
from licensing.ledger import Problem

BEGINS = timedelta(hours=2)
"""After midnight, UTC: the day of an audit."""
_GIVEN_UP_AFTER = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One look at the whole ledger; `problems` is empty where every rule held."""

    day: date
    started_at: datetime
    ended_at: datetime
    problems: tuple[Problem, ...]

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()


async def begin_audit(conn: Connection, *, now: datetime) -> date | None:
    """Take today's audit; its day, or None where somebody else has it. One whose process died is taken again after
    some hours."""
    day: date | None = await conn.fetchval(
        "INSERT INTO licensing.audit AS known (day, started_at) VALUES ($1, $2)"
        " ON CONFLICT (day) DO UPDATE SET started_at = $2 WHERE known.ended_at IS NULL AND known.started_at < $3"
        " RETURNING day",
        *((now - BEGINS).date(), now, now - _GIVEN_UP_AFTER),
    )
    return day


async def end_audit(conn: Connection, day: date, problems: Sequence[Problem], *, now: datetime) -> None:
    """Write down what the audit of a day found."""
    await conn.execute(
        "UPDATE licensing.audit SET ended_at = $2, problems = $3 WHERE day = $1",
        *(day, now, json.dumps([asdict(problem) for problem in problems])),
    )


async def last_audit(conn: Connection) -> Audit | None:
    """The newest audit that came to its end."""
    row = await conn.fetchrow("SELECT * FROM licensing.audit WHERE ended_at IS NOT NULL ORDER BY day DESC LIMIT 1")
    if row is None:
        return None
    problems = tuple(Problem(**problem) for problem in json.loads(row["problems"]))
    return Audit(day=row["day"], started_at=row["started_at"], ended_at=row["ended_at"], problems=problems)
