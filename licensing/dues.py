"""A flat sum a month that creators owe the house, where the operator asks for one. It is owed, and no more than that.

    a month begins -> `dues` (owed) -> paid by transfer | waived | taken from earnings, with the creator's yes

The debt is an account of its own, which no payout reads: a creator who never pays is paid out like any other. With
a yes it is taken from what is payable when a month begins, once, and never more than is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from licensing.database import Connection, ask
from licensing.errors import LedgerBroken, Refusal, refuse
from licensing.money import Money
from licensing.payments.manual import code_of
from licensing.sentence import say

NOTICE_DAYS = 30
"""So long before it begins a dearer month is told of, and so long somebody new owes nothing (`dues_notice`)."""
_MONTHS_AHEAD = 4
"""A word of today has come into force in the last of so many months, whatever day it is."""
CODE = "OD"
"""What codes on transfers begin with that pay dues (`licensing.payments.manual.code_of`)."""

Kind = Literal["dues", "dues_taken", "dues_paid", "dues_waived"]


@dataclass(frozen=True, kw_only=True)
class MonthlyDues:
    """What a month ("2026-03") costs, by all that was said so far."""

    month: str
    amount: Money


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A creator's month: what it cost, and what was taken from earnings with it. `repeated` if it was posted before."""

    amount: Money
    taken: Money
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class DuesLine:
    """What changed about a debt: `amount` is above zero where more is owed since. `subject` is the month for `dues` and
    `dues_taken`, else the reference."""

    kind: Kind
    at: datetime
    subject: str
    amount: Money


@dataclass(frozen=True, kw_only=True)
class DuesMonth:
    """A month of a debt: closing = opening + lines. Below zero is paid ahead."""

    opening: Money
    lines: tuple[DuesLine, ...]
    closing: Money

    @property
    def is_empty(self) -> bool:
        return not (self.opening.amount or self.closing.amount or self.lines)


@dataclass(frozen=True, kw_only=True)
class DuesStanding:
    """What a creator owes, and whether it may be taken from earnings."""

    creator_id: str
    owed: Money
    takes: bool

    @property
    def code(self) -> str:
        """What is written on a transfer that pays it."""
        return dues_code(self.creator_id)


def dues_code(creator_id: str) -> str:
    """What a creator writes on every transfer that pays dues."""
    return code_of(f"dues {creator_id}", CODE)


async def say_dues(conn: Connection, amount: Money, *, now: datetime) -> bool:
    """Write down what the operator asks for a month; whether that is news.

    A month costs the least that was asked at any moment of the 30 days before it begins, so creators see a dearer one
    coming for that long. Raises LedgerBroken for less than nothing.
    """
    if amount.amount < 0:
        raise LedgerBroken(f"a month cannot cost {amount}: that would be a payment")
    return not (await ask(conn, "say_dues", amount.amount, amount.currency, now)).detail["repeated"]


async def let_dues_be_taken(conn: Connection, *, creator_id: str, takes: bool, by: str, now: datetime) -> bool:
    """A creator's yes or no to taking what is owed from earnings; whether that is news. It counts when the next month
    is posted."""
    return not (await ask(conn, "let_dues_be_taken", creator_id, takes, by, now)).detail["repeated"]


async def post_dues(
    conn: Connection, *, creator_id: str, month: str, currency: str, here_since: datetime, now: datetime
) -> Posted | Refusal:
    """Post a creator's month once, and take from earnings what may be taken. Refusals: conflict (it has not begun)."""
    answer = await ask(conn, "post_dues", creator_id, first_of(month), currency, here_since, now)
    return answer.refusal or Posted(
        amount=Money(answer.detail["amount"], currency),
        taken=Money(answer.detail["taken"], currency),
        repeated=answer.detail["repeated"],
    )


_HOW = {"paid": say("paid"), "waived": say("waived")}


async def lower_dues(
    conn: Connection,
    *,
    how: Literal["paid", "waived"],
    creator_id: str,
    amount: Money,
    reference: str,
    why: str = "",
    by: str,
    now: datetime,
) -> DuesStanding | Refusal:
    """Money of a creator's arrived (`paid`), or the operator asks for less (`waived`): once a `reference`.

    What is paid beyond the debt counts for later months. Refusals: invalid_request (not above 0), conflict (the
    reference was booked otherwise, or more than is owed would be waived).
    """
    if amount.amount <= 0:
        return refuse(
            "invalid_request",
            what=say("Dues of {amount} cannot be {how}; give an amount above 0", amount=amount, how=_HOW[how]),
        )
    about = (how, creator_id, amount.amount, amount.currency, reference, why, by, now)
    answer = await ask(conn, "lower_dues", *about)
    return answer.refusal or await dues_standing(conn, creator_id=creator_id, currency=amount.currency)


async def dues_standing(conn: Connection, *, creator_id: str, currency: str = "EUR") -> DuesStanding:
    """What a creator owes now."""
    row = await conn.fetchrow(
        "SELECT licensing.dues_owed($1) AS owed, licensing.lets_dues_be_taken($2) AS takes",
        *(f"dues:{creator_id}:{currency}", creator_id),
    )
    return DuesStanding(creator_id=creator_id, owed=Money(row["owed"], currency), takes=row["takes"])


async def dues_of_everybody(conn: Connection, *, currency: str = "EUR") -> list[DuesStanding]:
    """All who ever owed something, who owes most first. For the operator."""
    rows = await conn.fetch(
        """
        SELECT a.owner_id, owed, licensing.lets_dues_be_taken(a.owner_id) AS takes
        FROM licensing.account a, LATERAL licensing.dues_owed(a.account_id) AS owed
        WHERE a.kind = 'dues' AND a.unit = $1 ORDER BY owed DESC, a.owner_id
        """,
        currency,
    )
    return [
        DuesStanding(creator_id=row["owner_id"], owed=Money(row["owed"], currency), takes=row["takes"]) for row in rows
    ]


async def dues_ahead(conn: Connection, *, now: datetime, currency: str = "EUR") -> tuple[MonthlyDues, ...]:
    """What this month and the next ones cost, by what has been said; the last is what was said last."""
    months = [month_of(now)]
    while len(months) < _MONTHS_AHEAD:
        months.append(month_of(datetime.combine(first_of(months[-1]), datetime.min.time(), UTC) + timedelta(days=32)))
    rows = await conn.fetch(
        "SELECT licensing.dues_of_month(month, $2) AS amount FROM unnest($1::date[]) WITH ORDINALITY AS m (month, no)"
        " ORDER BY no",
        *([first_of(month) for month in months], currency),
    )
    return tuple(
        MonthlyDues(month=month, amount=Money(row["amount"], currency)) for month, row in zip(months, rows, strict=True)
    )


async def dues_month(conn: Connection, *, creator_id: str, currency: str, start: datetime, end: datetime) -> DuesMonth:
    """What became of a creator's debt, start <= at < end."""
    account = f"dues:{creator_id}:{currency}"
    rows = await conn.fetch(
        """
        SELECT g.kind, g.at, g.subject, -e.amount AS amount
        FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
        WHERE e.account_id = $1 AND g.at >= $2 AND g.at < $3 ORDER BY g.at, e.group_no
        """,
        *(account, start, end),
    )
    opening: int = await conn.fetchval(
        """
        SELECT coalesce(-sum(e.amount), 0)::bigint FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
        WHERE e.account_id = $1 AND g.at < $2
        """,
        *(account, start),
    )
    lines = tuple(
        DuesLine(
            kind=row["kind"],
            at=row["at"],
            subject=row["subject"].removeprefix(f"{creator_id}/"),
            amount=Money(row["amount"], currency),
        )
        for row in rows
    )
    return summed(Money(opening, currency), lines)


def summed(opening: Money, lines: Iterable[DuesLine]) -> DuesMonth:
    """A month of a debt from its lines."""
    told = tuple(lines)
    closing = Money(opening.amount + sum(line.amount.amount for line in told), opening.currency)
    return DuesMonth(opening=opening, lines=told, closing=closing)


def month_of(moment: datetime) -> str:
    """The month, in UTC, that a moment is in."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def first_of(month: str) -> date:
    """The first day of a month. Raises ValueError for what is none."""
    return datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).date()
