"""Reading the ledger: accounts, balances, entries, and a check that recomputes everything."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of one group. `amount` in minor units or units, positive for value that the account gains."""

    group_no: int
    kind: str
    subject: str
    account_id: str
    unit: str
    amount: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something `check` found: which rule is broken, where, and the two values that should agree."""

    rule: str
    place: str
    detail: str


async def balance(conn: Connection, account_id: str) -> int:
    """The sum of an account's entries; 0 for an account that has none."""
    total: int = await conn.fetchval(
        "SELECT coalesce(sum(amount), 0)::bigint FROM licensing.entry WHERE account_id = $1", account_id
    )
    return total


async def entries(conn: Connection, account_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
    """An account's entries in the order of their groups, after group `after`."""
    rows = await conn.fetch(
        """
        SELECT e.group_no, g.kind, g.subject, e.account_id, e.unit, e.amount, g.at
        FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
        WHERE e.account_id = $1 AND e.group_no > $2 ORDER BY e.group_no, e.line LIMIT $3
        """,
        *(account_id, after, limit),
    )
    return [Entry(**row) for row in rows]


async def check(conn: Connection) -> list[Problem]:
    """Recompute the whole ledger from its rows (`sql/audit.sql`); an empty list means that every rule holds.

    Reads everything: for a nightly audit, a restore, a test.
    """
    rows = await conn.fetch("SELECT rule, place, detail FROM licensing.problems()")
    return [Problem(**row) for row in rows]
