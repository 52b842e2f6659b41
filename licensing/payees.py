"""Where a creator is paid: a bank account or one at a provider, and when, with a trace of every change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from stdnum import bic as bics
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from licensing.database import Connection, ask
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say

Method = Literal["manual", "stripe"]
Schedule = Literal["weekly", "monthly", "never"]
SCHEDULES: tuple[Schedule, ...] = ("weekly", "monthly", "never")

CHANGE_DELAY = timedelta(hours=72)
"""How long nothing is paid out after the account was changed: time to notice that it was somebody else."""
_HOLDER_CHARACTERS_MAX = 70
"""As long as a name may be in a European credit transfer (EPC132-08)."""
_REFERENCE_CHARACTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class BankAccount:
    """For a transfer by hand or by file. `bic` is needed outside of SEPA alone."""

    holder: str
    iban: str
    bic: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProviderAccount:
    """`reference` is what the payment provider calls the account."""

    reference: str


Account: TypeAlias = BankAccount | ProviderAccount


@dataclass(frozen=True, kw_only=True)
class Payee:
    """Where a creator is paid since `created_at`, by whom that was said, and when. `account` shows a part of it.

    `version` counts the changes. Before `pays_from` nothing is paid out. With the schedule `never` a payout is made
    only when it is asked for.
    """

    creator_id: str
    version: int
    method: Method
    holder: str
    account: str
    minimum: Money
    schedule: Schedule
    pays_from: datetime
    by: str
    created_at: datetime


async def put_payee(
    conn: Connection,
    *,
    creator_id: str,
    account: Account,
    minimum: Money,
    schedule: Schedule,
    smallest: Money,
    by: str,
    now: datetime,
    delay: timedelta = CHANGE_DELAY,
) -> Payee | Refusal:
    """Say where, from how much on and how often a creator is paid; the same again changes nothing.

    `smallest` is the least that the operator pays out. Another account than before pays nothing for `delay`. Refusals:
    invalid_request (an account whose digits are wrong, a minimum below the smallest, no such schedule).
    """
    checked = _checked(account)
    if isinstance(checked, Refusal):
        return checked
    if schedule not in SCHEDULES:
        return refuse(
            "invalid_request",
            what=say(
                "There is no schedule {schedule}; choose one of {schedules}",
                schedule=schedule,
                schedules=", ".join(SCHEDULES),
            ),
        )
    if minimum.currency != smallest.currency or minimum < smallest or minimum.amount < 1:
        return refuse(
            "invalid_request",
            what=say("Nothing below {smallest} is paid out; choose a minimum of that or more", smallest=smallest),
        )
    place: tuple[Method, str, str, str | None] = (
        ("manual", checked.holder, checked.iban, checked.bic)
        if isinstance(checked, BankAccount)
        else ("stripe", "", checked.reference, None)
    )
    wish = (minimum.amount, minimum.currency, schedule)
    await ask(conn, "put_payee", creator_id, *place, *wish, int(delay.total_seconds()), by, now)
    return (await payee_history(conn, creator_id))[0]


async def payee(conn: Connection, creator_id: str) -> Payee | None:
    """Where a creator is paid now; None where nobody has said."""
    history = await payee_history(conn, creator_id)
    return history[0] if history else None


async def payee_history(conn: Connection, creator_id: str) -> list[Payee]:
    """Every change of where a creator is paid, newest first."""
    rows = await conn.fetch("SELECT * FROM licensing.payees_of($1)", creator_id)
    return [_payee(creator_id, row) for row in rows]


async def forget_payee(conn: Connection, creator_id: str) -> None:
    """Forget the accounts of somebody who leaves. One that a payout is on its way to stays until this is said again."""
    await conn.execute("SELECT licensing.forget_payee($1)", creator_id)


def last_payday(schedule: Schedule, now: datetime) -> datetime | None:
    """The payday that `now` follows or is: a Monday or the first of a month, 00:00 UTC; None for `never`."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if schedule == "weekly":
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1) if schedule == "monthly" else None


def next_payday(schedule: Schedule, now: datetime) -> datetime | None:
    """The first payday after `now`."""
    last = last_payday(schedule, now)
    if last is None:
        return None
    # 32 days after a first is always in the next month.
    return last + timedelta(days=7) if schedule == "weekly" else (last + timedelta(days=32)).replace(day=1)


def _checked(account: Account) -> Account | Refusal:
    """The account in the form that is stored, without blanks; a refusal where it cannot be one."""
    if isinstance(account, ProviderAccount):
        reference = account.reference.strip()
        if not 4 < len(reference) <= _REFERENCE_CHARACTERS_MAX or not reference.isprintable():
            return refuse(
                "invalid_request",
                what=say("{reference!r} is no account of a provider; connect one first", reference=reference[:80]),
            )
        return ProviderAccount(reference=reference)
    holder = " ".join(account.holder.split())
    if not holder or len(holder) > _HOLDER_CHARACTERS_MAX or not holder.isprintable():
        return refuse(
            "invalid_request",
            what=say("Name whose account it is in 1 to {most} letters, as at the bank", most=_HOLDER_CHARACTERS_MAX),
        )
    try:
        iban = ibans.validate(account.iban)
    except ValidationError:
        return refuse(
            "invalid_request",
            what=say("{iban!r} is no IBAN; look for a mistyped letter or digit", iban=account.iban[:40]),
        )
    try:
        bic = bics.validate(account.bic) if account.bic and account.bic.strip() else None
    except ValidationError:
        return refuse(
            "invalid_request",
            what=say("{bic!r} is no BIC; it has 8 or 11 letters and digits, and may be left out", bic=account.bic),
        )
    return BankAccount(holder=holder, iban=iban, bic=bic)


def _payee(creator_id: str, row: Mapping[str, Any]) -> Payee:
    return Payee(
        creator_id=creator_id,
        version=row["version"],
        method=row["method"],
        holder=row["holder"],
        account=row["account"],
        minimum=Money(row["minimum"], row["currency"]),
        schedule=row["schedule"],
        pays_from=row["pays_from"],
        by=row["actor"],
        created_at=row["created_at"],
    )
