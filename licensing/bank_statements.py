"""A bank's statement as it comes out of online banking (ISO 20022 camt.053): what was booked on the operator's
account."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

from licensing.errors import Refusal, refuse
from licensing.money import Money, minor_digits

STATEMENT_BYTES_MAX = 20_000_000


@dataclass(frozen=True, kw_only=True)
class BankLine:
    """One transaction: `id` is the bank's name of it, `amount` above 0 for what came in, `text` all that it says of
    what it is for. `at` is the start of its day, in UTC."""

    id: str
    at: datetime
    amount: Money
    text: str


def read_camt053(content: bytes) -> tuple[BankLine, ...] | Refusal:
    """The booked transactions of a camt.053 document, of any version and whatever account. Refusals: invalid_request.

    Sums that a bank only announces are left out. A batch that it books as one sum is one line a transaction, where the
    document says what is in it.
    """
    try:
        root = _document(content)
        entries = root.findall("{*}BkToCstmrStmt/{*}Stmt/{*}Ntry")
        return tuple(
            line for number, entry in enumerate(entries) if _is_booked(entry) for line in _lines(entry, number)
        )
    except ValueError as error:
        return refuse("invalid_request", what=f"{error}; export the bank's statement again, as camt.053")


def _document(content: bytes) -> ElementTree.Element:
    # Entities are how a small document grows without end, and no bank writes any.
    if len(content) > STATEMENT_BYTES_MAX or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"A bank statement has at most {STATEMENT_BYTES_MAX} bytes and no document type")
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


def _lines(entry: ElementTree.Element, number: int) -> Iterator[BankLine]:
    day = _text(entry, "{*}BookgDt/{*}Dt") or _text(entry, "{*}BookgDt/{*}DtTm")[:10]
    entry_id = _text(entry, "{*}AcctSvcrRef") or f"{day}/{number}"
    parts = entry.findall("{*}NtryDtls/{*}TxDtls")
    if len(parts) < 2 or any(_amount(part) is None for part in parts):
        parts = [entry]
    for position, part in enumerate(parts):
        sign = -1 if (_text(part, "{*}CdtDbtInd") or _text(entry, "{*}CdtDbtInd")) == "DBIT" else 1
        own_id = _text(part, "{*}Refs/{*}AcctSvcrRef") or (entry_id if part is entry else f"{entry_id}/{position}")
        yield BankLine(id=own_id, at=_midnight(day), amount=_money(_amount(part)) * sign, text=_purpose(part))


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _amount(part: ElementTree.Element) -> ElementTree.Element | None:
    own = part.find("{*}Amt")
    return own if own is not None else part.find("{*}AmtDtls/{*}TxAmt/{*}Amt")


def _purpose(part: ElementTree.Element) -> str:
    """All that was written on the transfer: its own words, its reference, the name that its sender gave it."""
    paths = (".//{*}RmtInf/{*}Ustrd", ".//{*}CdtrRefInf/{*}Ref", ".//{*}Refs/{*}EndToEndId", "{*}AddtlNtryInf")
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
        return Money(int(minor), currency)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"One of its lines is of {text!r} {currency!r}, which is no sum") from error
