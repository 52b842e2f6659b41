"""Reading the ledger: accounts, balances, entries, and a check that recomputes everything."""

from dataclasses import dataclass
from datetime import datetime

from licensing.database import Connection
from licensing.sentence import say

SUMMED = say("sums of days that are over are those of their lines")
RULES = (
    say("the entries of a group sum to zero"),
    say("every entry is in the account it names, in that account's unit"),
    say("every group is linked into the chain"),
    say("every link is the hash of its groups"),
    say("every link follows the one before it"),
    say("a budget has left what its account has"),
    say("what is pending is what open orders hold"),
    say("what a cap counts is what its orders cost"),
    say("a settled order has its outputs and its price"),
    say("a sale posts to the creator what its outputs share"),
    say("a quota's money waits until its units are used"),
    say("a training is charged once"),
    say("authors share what is theirs"),
    say("an invoice says what was posted"),
    say("an invoice is the sum of its lines"),
    say("numbers of invoices have no gaps"),
    say("a revoked output was refunded"),
    say("what is on its way is what open payouts carry"),
    say("a payout is posted once for each of its steps"),
    say("what was earned and not paid out is payable, held or on its way"),
    say("what is held is what open disputes hold"),
    say("a dispute runs while it has outputs to decide about"),
    say("what a dispute changed about a sale is posted, and undone with the sale"),
    say("no more of a sale is given back than it had"),
    say("what arrived is booked once, and nothing else"),
    say("a payment knows what went back of it"),
    say("a refund's money is where its state says"),
    say("what a bank took back left the cash, and came back where that was won"),
    say("a month's dues are posted once, and as its row says"),
    say("nothing is taken for dues without a yes"),
    SUMMED,
    say("no lane of the chain is shorter than it was"),
    say("no lane of the chain was rewritten"),
    say("checkpoints are signed here"),
)
"""Every rule that `check` recomputes, that sums are held against (`licensing.analytics.over`) and, the last three, that
checkpoints are compared by."""


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
    total: int = await conn.fetchval("SELECT licensing.balance_at($1, 'infinity')", account_id)
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
