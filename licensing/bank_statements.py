"""A bank's statement as it comes out of online banking (ISO 20022 camt.053): what was booked on the operator's
account."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

from licensing.errors import Refusal, refuse
from licensing.money import Money, minor_digits
from licensing.sentence import say

STATEMENT_BYTES_MAX = 20_000_000
STATEMENT_LINES_MAX = 5_000
_CENTS_MAX = 10**15
_TEXT_CHARACTERS_MAX = 2_000
_NO_NAME = frozenset(["", "NONREF", "NOTPROVIDED"])
"""What banks write where they have no name of a line."""


@dataclass(frozen=True, kw_only=True)
class BankLine:
    """One transaction: `id` is the bank's name of it, else made from what it says; `amount` above 0 for what came in;
    `text` all that it says of what it is for. `at` is the start of its day, in UTC. `holder` and `iban` are of who sent
    it, or whom it went to, as far as the bank says so."""

    id: str
    at: datetime
    amount: Money
    text: str
    holder: str = ""
    iban: str = ""


def read_camt053(content: bytes) -> tuple[BankLine, ...] | Refusal:
    """The booked transactions of a camt.053 document, of any version and whatever account. Refusals: invalid_request.

    Sums that a bank only announces are left out. A batch that it books as one sum is one line a transaction, where the
    document says what is in it.
    """
    try:
        root = _document(content)
        entries = root.findall("{*}BkToCstmrStmt/{*}Stmt/{*}Ntry")
        lines = list(_named(line for entry in entries if _is_booked(entry) for line in _lines(entry)))
        if len(lines) > STATEMENT_LINES_MAX:
            raise ValueError(f"It has {len(lines):,} lines, and {STATEMENT_LINES_MAX:,} are read at once")
        return tuple(lines)
    except ValueError as error:
        return refuse(
            "invalid_request", what=say("{error}; export the bank's statement again, as camt.053", error=error)
        )


def _document(content: bytes) -> ElementTree.Element:
    # Entities are how a small document grows without end, and no bank writes any.
    if len(content) > STATEMENT_BYTES_MAX or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"A bank statement has at most {STATEMENT_BYTES_MAX} bytes and no document type")
    # In wider letters nothing of the above would be seen.
    if b"\0" in content:
        raise ValueError("This is no bank statement: it is not written in UTF-8")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"This is no bank statement: {error}") from error
    if not root.tag.startswith("{urn:iso:std:iso:20022:tech:xsd:camt.053."):
        raise ValueError(f"This is a document {root.tag!r}")
    return root


def _is_booked(entry: ElementTree.Element) -> bool:
    # Up to version 6 the state is a text, from 7 on an element in it.
    return "BOOK" in (_text(entry, "{*}Sts/{*}Cd"), _text(entry, "{*}Sts"))


def _lines(entry: ElementTree.Element) -> Iterator[BankLine]:
    day = _text(entry, "{*}BookgDt/{*}Dt") or _text(entry, "{*}BookgDt/{*}DtTm")[:10]
    entry_id = _name(_text(entry, "{*}AcctSvcrRef"))
    batch = _purpose(entry, "{*}NtryDtls/{*}Btch/{*}PmtInfId", "{*}NtryDtls/{*}Btch/{*}MsgId")
    parts = entry.findall("{*}NtryDtls/{*}TxDtls")
    if len(parts) < 2 or any(_amount(part) is None for part in parts):
        parts = [entry]
    for position, part in enumerate(parts):
        sign = -1 if (_text(part, "{*}CdtDbtInd") or _text(entry, "{*}CdtDbtInd")) == "DBIT" else 1
        own_id = _name(_text(part, "{*}Refs/{*}AcctSvcrRef"))
        if not own_id and entry_id:
            own_id = entry_id if part is entry else f"{entry_id}/{position}"
        other = "Dbtr" if sign > 0 else "Cdtr"
        text = f"{_purpose(part, *_PURPOSE)} {batch if part is entry else ''}".strip()
        yield BankLine(
            id=own_id,
            at=_midnight(day),
            amount=_money(_amount(part)) * sign,
            text=text[:_TEXT_CHARACTERS_MAX],
            holder=_purpose(part, f".//{{*}}{other}/{{*}}Nm", f".//{{*}}{other}/{{*}}Pty/{{*}}Nm")[:140],
            iban=_text(part, f".//{{*}}{other}Acct/{{*}}Id/{{*}}IBAN")[:34],
        )


def _named(lines: Iterable[BankLine]) -> Iterator[BankLine]:
    """Lines without a name get one from what they say, so that the same line of another file has the same; of lines
    that are alike on one day each has its own."""
    alike: Counter[str] = Counter()
    for line in lines:
        if line.id:
            yield line
            continue
        said = f"{line.at:%Y-%m-%d} {line.amount} {line.text} {line.iban}"
        alike[said] += 1
        digest = hashlib.sha256(f"{said} {alike[said]}".encode()).hexdigest()
        yield replace(line, id=f"{line.at:%Y-%m-%d}/{digest[:16]}")


def _name(text: str) -> str:
    return "" if text in _NO_NAME else text[:100]


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _amount(part: ElementTree.Element) -> ElementTree.Element | None:
    own = part.find("{*}Amt")
    return own if own is not None else part.find("{*}AmtDtls/{*}TxAmt/{*}Amt")


_PURPOSE = (".//{*}RmtInf/{*}Ustrd", ".//{*}CdtrRefInf/{*}Ref", ".//{*}Refs/{*}EndToEndId", "{*}AddtlNtryInf")
"""All that was written on a transfer: its own words, its reference, the name that its sender gave it."""


def _purpose(part: ElementTree.Element, *paths: str) -> str:
    return " ".join(" ".join((element.text or "").split()) for path in paths for element in part.findall(path))


def _midnight(day: str) -> datetime:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"One of its lines is of {day!r}, which is no day") from error


def _money(element: ElementTree.Element | None) -> Money:
    text, currency = (element.text or "", element.get("Ccy", "")) if element is not None else ("", "")
    try:
        minor = Decimal(text.strip()).scaleb(minor_digits(currency))
        if minor != minor.to_integral_value():
            raise ValueError(f"{text} {currency} is no whole number of minor units")
        if abs(minor) > _CENTS_MAX:
            raise ValueError(f"{text} {currency} is more than any account has")
        return Money(int(minor), currency)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"One of its lines is of {text!r} {currency!r}, which is no sum") from error
