"""What each line of a bank's statement is about, and what it books: payments, invoices, refunds, payouts and dues.

A line is known by the code or id that stands in its text, in whatever form the bank wrote it. What is booked here is
booked by the same verbs as by hand, so a line that comes twice, or late, changes nothing twice.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from licensing import payouts
from licensing.bank_statements import BankLine
from licensing.billing.payments import begin_payment, end_payment, end_refund
from licensing.billing.transfers_back import note_payer, send_refund_file
from licensing.database import Connection
from licensing.dues import CODE as DUES
from licensing.dues import dues_code, lower_dues
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payments import Charge, ChargeRefund
from licensing.payments.manual import SENT_BACK, code_in
from licensing.sentence import say

About = Literal["payment", "invoice", "refund", "refund_file", "payout", "payout_run", "dues", "nothing"]
Does = Literal["books", "waits", "known", "nothing"]
"""`books` something when it is confirmed; `waits` for the rest of a sum; `known`: it is booked already; else a person
has to look."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a line is about, and what it does. `subject` is our id of that, `party` the client or creator whose it is;
    `code` what stood in the line."""

    line: BankLine
    about: About
    subject: str
    party: str
    code: str
    does: Does
    sentence: str


_AboutLine: TypeAlias = tuple[BankLine, About, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Booked:
    """What became of a line when it was confirmed."""

    match: Match
    is_booked: bool
    sentence: str


def codes_in(line: BankLine) -> str:
    """The code by which a line is told together with others of it, or nothing."""
    for letters in ("OH", "OR", DUES):
        found = code_in(line.text, letters)
        if found:
            return found
    return ""


async def match_lines(conn: Connection, lines: Sequence[BankLine], *, earlier: Sequence[BankLine]) -> list[Match]:
    """What each of `lines` is about and would do. `earlier` are lines of other files that were confirmed: at least
    those with the same ids or codes. The house's connection."""
    known = await _known(conn, lines)
    before = {line.id: line for line in earlier}
    sums = _sums([*earlier, *lines])
    seen: set[str] = set()
    found = []
    for line in lines:
        again = _again(line, before, seen)
        seen.add(line.id)
        found.append(again or _match(line, known, sums))
    return found


async def book(conn: Connection, match: Match, *, by: str, now: datetime) -> Booked:
    """Do what a match says, in the caller's transaction. What is refused is told and changes nothing."""
    if match.does != "books":
        return Booked(match=match, is_booked=False, sentence=match.sentence)
    done = await _BOOKING[match.about](conn, match, by, now)
    if isinstance(done, Refusal):
        return Booked(match=match, is_booked=False, sentence=say("Not booked. {why}", why=done.message))
    return Booked(match=match, is_booked=True, sentence=match.sentence)


def _again(line: BankLine, before: Mapping[str, BankLine], seen: set[str]) -> Match | None:
    """What to say of a line that was there before."""
    if line.id in seen:
        return _nothing(line, say("It stands in this file twice; the second time it does nothing"), does="known")
    other = before.get(line.id)
    if other is None:
        return None
    if (other.amount, other.at) == (line.amount, line.at):
        return _nothing(line, say("It came with another file before; it does nothing again"), does="known")
    return _nothing(
        line,
        say("Another line, of {amount}, had this name {name!r}; look at it by hand", amount=other.amount, name=line.id),
    )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Everything here that the lines of a file may be about, by what stands in them."""

    payments: Mapping[str, Mapping[str, Any]]
    refunds: Mapping[str, Mapping[str, Any]]
    payouts: Mapping[str, Mapping[str, Any]]
    runs: Mapping[str, Mapping[str, Any]]
    refund_files: Mapping[str, Mapping[str, Any]]
    debtors: Mapping[str, str]
    invoices: Mapping[str, Mapping[str, Any]]


_ID = re.compile(r"[a-z]{2,}[-_][0-9a-z]+")


def _ids(line: BankLine) -> set[str]:
    """What may be one of our ids, as banks write them."""
    return {found.replace("-", "_") for found in _ID.findall(line.text.lower())}


async def _known(conn: Connection, lines: Sequence[BankLine]) -> _Known:
    codes = {code for line in lines if (code := codes_in(line))}
    ids = {one for line in lines for one in _ids(line)}
    payments = await conn.fetch(
        "SELECT * FROM licensing.payment WHERE provider = 'manual' AND reference = ANY ($1)", list(codes)
    )
    refunds = await conn.fetch(
        "SELECT * FROM licensing.payment_refund WHERE provider = 'manual'"
        " AND (reference = ANY ($1) OR refund_id = ANY ($2))",
        *(list(codes), list(ids)),
    )
    found = await conn.fetch("SELECT * FROM licensing.payout WHERE payout_id = ANY ($1)", list(ids))
    runs = await conn.fetch(
        "SELECT run_id, currency, sum(amount)::bigint AS amount, bool_or(state = 'open') AS is_open"
        " FROM licensing.payout WHERE run_id = ANY ($1) GROUP BY run_id, currency",
        list(ids),
    )
    files = await conn.fetch(
        "SELECT file_id AS run_id, currency, sum(amount)::bigint AS amount, bool_or(state = 'pending') AS is_open"
        " FROM licensing.payment_refund WHERE file_id = ANY ($1) GROUP BY file_id, currency",
        list(ids),
    )
    creators = await conn.fetch("SELECT DISTINCT owner_id FROM licensing.account WHERE kind = 'dues'")
    invoices = await conn.fetch(
        "SELECT number, client_id, currency, due - settled AS open FROM licensing.invoice WHERE settled < due"
    )
    return _Known(
        payments={row["reference"]: row for row in payments},
        refunds={key: row for row in refunds for key in (row["reference"], row["refund_id"])},
        payouts={row["payout_id"]: row for row in found},
        runs={row["run_id"]: row for row in runs},
        refund_files={row["run_id"]: row for row in files},
        debtors={dues_code(row["owner_id"]): row["owner_id"] for row in creators},
        invoices={row["number"]: row for row in invoices},
    )


def _sums(lines: Iterable[BankLine]) -> Mapping[tuple[str, int], int]:
    """What came and went under each code; a line counts once."""
    sums: dict[tuple[str, int], int] = defaultdict(int)
    for line in {line.id: line for line in reversed(list(lines))}.values():
        sign = 1 if line.amount.amount > 0 else -1
        sums[codes_in(line), sign] += line.amount.amount * sign
    return sums


def _match(line: BankLine, known: _Known, sums: Mapping[tuple[str, int], int]) -> Match:
    code = codes_in(line)
    is_income = line.amount.amount > 0
    ids = _ids(line)
    if code in known.payments and is_income:
        return _payment(line, code, known.payments[code], sums[code, 1])
    refund = next((known.refunds[one] for one in (code, *sorted(ids)) if one in known.refunds), None)
    if refund is not None:
        return _refund(line, refund, is_income)
    payout = next((known.payouts[one] for one in sorted(ids) if one in known.payouts), None)
    if payout is not None:
        return _payout(line, payout, is_income)
    run = next((known.runs[one] for one in sorted(ids) if one in known.runs), None)
    if run is not None and not is_income:
        return _run(line, "payout_run", run)
    file = next((known.refund_files[one] for one in sorted(ids) if one in known.refund_files), None)
    if file is not None and not is_income:
        return _run(line, "refund_file", file)
    if code in known.debtors and is_income:
        creator = known.debtors[code]
        return _match_of(line, "dues", creator, creator, code, "books", say("Pays what a creator owes for months"))
    invoice = next((row for number, row in known.invoices.items() if _has_number(line.text, number)), None)
    if invoice is not None and is_income:
        return _invoice(line, invoice)
    return _nothing(line, say("Nothing here goes by what it says; look at it by hand"), code=code)


def _payment(line: BankLine, code: str, row: Mapping[str, Any], came: int) -> Match:
    amount = Money(row["amount"], row["currency"])
    total = Money(came, line.amount.currency)
    about: _AboutLine = (line, "payment", row["payment_id"], row["client_id"], code)
    if total.currency != amount.currency:
        return _match_of(
            *about,
            "nothing",
            say(
                "Payment {code} is of {amount}, and {total} came; look at it by hand",
                code=code,
                amount=amount,
                total=total,
            ),
        )
    if total.amount > amount.amount:
        return _match_of(
            *about,
            "nothing",
            say(
                "Under {code} came {total} where {amount} was asked for; send back what is too much",
                code=code,
                total=total,
                amount=amount,
            ),
        )
    if row["state"] == "succeeded":
        return _match_of(*about, "known", say("Payment {code} of {amount} is booked already", code=code, amount=amount))
    if total.amount < amount.amount:
        return _match_of(
            *about,
            "waits",
            say(
                "A part of payment {code}: {total} of {amount} came; it waits for the rest",
                code=code,
                total=total,
                amount=amount,
            ),
        )
    if line.amount == amount:
        return _match_of(
            *about, "books", say("Pays the {amount} that were asked for as {code}", amount=amount, code=code)
        )
    return _match_of(
        *about,
        "books",
        say("Pays the {amount} that were asked for as {code}, together with others under it", amount=amount, code=code),
    )


def _refund(line: BankLine, row: Mapping[str, Any], is_income: bool) -> Match:
    amount = Money(row["amount"], row["currency"])
    reference = row["reference"] or row["refund_id"]
    about: _AboutLine = (line, "refund", row["refund_id"], row["client_id"], codes_in(line))
    if line.amount != (amount if is_income else amount * -1):
        return _match_of(
            *about,
            "nothing",
            say("Refund {reference} is of {amount}; look at it by hand", reference=reference, amount=amount),
        )
    if is_income:
        if row["state"] == "failed":
            return _match_of(
                *about, "known", say("Refund {reference} is noted as come back already", reference=reference)
            )
        return _match_of(
            *about,
            "books",
            say(
                "Refund {reference} of {amount} came back; it is prepaid money again",
                reference=reference,
                amount=amount,
            ),
        )
    if row["state"] == "pending":
        return _match_of(
            *about, "books", say("Refund {reference} of {amount} was sent", reference=reference, amount=amount)
        )
    if row["state"] == "succeeded":
        return _match_of(*about, "known", say("Refund {reference} is noted as sent already", reference=reference))
    return _match_of(
        *about,
        "nothing",
        say("Refund {reference} came back, and was sent again; look at it by hand", reference=reference),
    )


def _payout(line: BankLine, row: Mapping[str, Any], is_income: bool) -> Match:
    amount, name = Money(row["amount"], row["currency"]), row["payout_id"]
    about: _AboutLine = (line, "payout", name, row["creator_id"], "")
    if line.amount != (amount if is_income else amount * -1):
        return _match_of(
            *about, "nothing", say("Payout {name} is of {amount}; look at it by hand", name=name, amount=amount)
        )
    if is_income:
        if row["state"] in ("failed", "reversed"):
            return _match_of(*about, "known", say("Payout {name} is noted as come back already", name=name))
        return _match_of(
            *about,
            "books",
            say("Payout {name} of {amount} came back; it is its creator's again", name=name, amount=amount),
        )
    if row["state"] == "open":
        return _match_of(*about, "books", say("Payout {name} of {amount} was carried out", name=name, amount=amount))
    if row["state"] == "paid":
        return _match_of(*about, "known", say("Payout {name} is noted as paid already", name=name))
    return _match_of(
        *about,
        "nothing",
        say("Payout {name} has {state} and was paid again; look at it by hand", name=name, state=row["state"]),
    )


def _run(line: BankLine, kind: About, row: Mapping[str, Any]) -> Match:
    amount, name = Money(row["amount"], row["currency"]), row["run_id"]
    about: _AboutLine = (line, kind, name, "", "")
    if line.amount != amount * -1:
        return _match_of(
            *about,
            "nothing",
            say("The file {name} is of {amount}; look at its transfers one by one", name=name, amount=amount),
        )
    if not row["is_open"]:
        return _match_of(*about, "known", say("Of the file {name} all is noted already", name=name))
    return _match_of(*about, "books", say("The file {name} of {amount} was carried out", name=name, amount=amount))


def _invoice(line: BankLine, row: Mapping[str, Any]) -> Match:
    still = Money(row["open"], row["currency"])
    about: _AboutLine = (line, "invoice", row["number"], row["client_id"], "")
    if line.amount.currency != still.currency:
        return _match_of(
            *about,
            "nothing",
            say("Invoice {number} asks for {still}; look at it by hand", number=row["number"], still=still),
        )
    rest = line.amount - still
    number = row["number"]
    if rest.amount <= 0:
        said = say("Pays invoice {number}, of which {still} is open", number=number, still=still)
    else:
        said = say(
            "Pays invoice {number}, of which {still} is open, and {rest} becomes prepaid money",
            number=number,
            still=still,
            rest=rest,
        )
    return _match_of(*about, "books", said)


def _has_number(text: str, number: str) -> bool:
    return re.search(rf"(?<![0-9A-Za-z-]){re.escape(number)}(?![0-9A-Za-z])", text) is not None


async def _book_payment(conn: Connection, match: Match, by: str, now: datetime) -> object:
    row = await conn.fetchrow("SELECT amount, currency FROM licensing.payment WHERE payment_id = $1", match.subject)
    amount = Money(row["amount"], row["currency"])
    told = Charge(payment_id=match.subject, reference=match.code, state="succeeded", amount=amount)
    return await _arrived(conn, match, told, now)


async def _arrived(conn: Connection, match: Match, told: Charge, now: datetime) -> object:
    """Book what came, and from which account: refunds go back there."""
    ended = await end_payment(conn, "manual", told, now=now)
    if not isinstance(ended, Refusal):
        await note_payer(conn, payment_id=ended.id, holder=match.line.holder, iban=match.line.iban)
    return ended


async def _book_invoice(conn: Connection, match: Match, by: str, now: datetime) -> object:
    """A payment that nobody had begun here: it is named after the line, so it is one however often that comes."""
    client = await conn.fetchval("SELECT client_id FROM licensing.invoice WHERE number = $1", match.subject)
    payment_id = "pay_" + hashlib.sha256(f"bank line {match.line.id}".encode()).hexdigest()[:26]
    about: dict[str, Any] = {"purpose": "invoice", "subject": match.subject, "amount": match.line.amount}
    begun = await begin_payment(
        conn, payment_id=payment_id, client_id=client, provider="manual", **about, method=None, now=now
    )
    if isinstance(begun, Refusal):
        return begun
    told = Charge(payment_id=payment_id, reference=f"bank:{match.line.id}", state="succeeded", amount=match.line.amount)
    return await _arrived(conn, match, told, now)


async def _book_refund(conn: Connection, match: Match, by: str, now: datetime) -> object:
    is_back = match.line.amount.amount > 0
    told = ChargeRefund(
        refund_id=match.subject,
        reference=None,
        state="failed" if is_back else "succeeded",
        amount=match.line.amount if is_back else match.line.amount * -1,
        reason=SENT_BACK if is_back else "",
    )
    return await end_refund(conn, "manual", told, now=now)


async def _book_payout(conn: Connection, match: Match, by: str, now: datetime) -> object:
    found = await payouts.find_payout(conn, match.subject)
    if match.line.amount.amount > 0 and found is not None and found.state == "paid":
        return await payouts.reverse_payout(conn, payout_id=match.subject, reason=SENT_BACK, now=now)
    if match.line.amount.amount > 0:
        return await payouts.end_payout(conn, payout_id=match.subject, outcome="failed", detail=SENT_BACK, now=now)
    return await payouts.end_payout(conn, payout_id=match.subject, outcome="paid", detail=match.line.id, now=now)


async def _book_run(conn: Connection, match: Match, by: str, now: datetime) -> object:
    return await payouts.confirm_run(conn, run_id=match.subject, reference=match.line.id, now=now)


async def _book_refund_file(conn: Connection, match: Match, by: str, now: datetime) -> object:
    return await send_refund_file(conn, file_id=match.subject, by=by, now=now)


async def _book_dues(conn: Connection, match: Match, by: str, now: datetime) -> object:
    return await lower_dues(
        conn,
        how="paid",
        creator_id=match.subject,
        amount=match.line.amount,
        reference=f"bank:{match.line.id}",
        by=by,
        now=now,
    )


_BOOKING: Mapping[str, Callable[[Connection, Match, str, datetime], Any]] = {
    "payment": _book_payment,
    "invoice": _book_invoice,
    "refund": _book_refund,
    "payout": _book_payout,
    "payout_run": _book_run,
    "refund_file": _book_refund_file,
    "dues": _book_dues,
}


def _match_of(line: BankLine, about: About, subject: str, party: str, code: str, does: Does, sentence: str) -> Match:
    return Match(
        line=line,
        about=about,
        subject=subject,
        party=party,
        code=code,
        does=does,
        sentence=say("{what}.", what=sentence),
    )


def _nothing(line: BankLine, sentence: str, *, does: Does = "nothing", code: str = "") -> Match:
    return _match_of(line, "nothing", "", "", code, does, sentence)
