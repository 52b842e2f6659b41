"""How languages other than English write numbers, money and days; English is written by `service.formats`."""

import re
from datetime import date, datetime
from decimal import Decimal

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal

from licensing.money import Money, minor_digits

_FIGURE = re.compile(r"(-?\d+)(?=[.\s%])(\.\d+)?(\s?%)?")
"""A share or a broken number; what has neither is as likely a year or a name."""


def number(value: float | Decimal, language: str, *, digits: int = 0) -> str:
    """`1.234`, `2,4`: with so many digits after the sign for decimals."""
    written = f"{value:.{digits}f}"
    return str(format_decimal(Decimal(written), format=_pattern("#,##0", digits), locale=language))


def short_number(value: Decimal, language: str) -> str:
    """With two digits at most after the sign for decimals: `19`, `7,25`."""
    return str(format_decimal(value, format="0.##", locale=language))


def money(value: Money, language: str) -> str:
    """`1.234,50 EUR`: the amount with its minor unit, then the currency."""
    digits = minor_digits(value.currency)
    sign = "−" if value.amount < 0 else ""
    amount = Decimal(abs(value.amount)).scaleb(-digits)
    return f"{sign}{number(amount, language, digits=digits)}\N{NO-BREAK SPACE}{value.currency}"


def day(moment: date, language: str) -> str:
    """`24. November 2026`."""
    return str(format_date(moment, "long", locale=language))


def day_of_year(moment: date, language: str) -> str:
    """`24. November`."""
    return str(format_skeleton("MMMMd", _at(moment), locale=language))


def month(moment: date, language: str) -> str:
    """`November 2026`."""
    return str(format_skeleton("yMMMM", _at(moment), locale=language))


def clock(moment: datetime, language: str) -> str:
    """`24. Nov. 2026, 14:05 UTC`."""
    return f"{format_skeleton('yMMMd', moment, locale=language)}, {moment:%H:%M} UTC"


def rewritten(text: str, language: str) -> str:
    """`0.5` as `0,5`, `31.4%` as `31,4 %` with a space that does not break, where `text` is such a figure in English;
    any other text as it is."""
    found = _FIGURE.fullmatch(text)
    if found is None:
        return text
    whole, fraction, percent = found.groups()
    written = number(Decimal(whole + (fraction or "")), language, digits=max(len(fraction or "") - 1, 0))
    return written + ("\N{NO-BREAK SPACE}%" if percent else "")


def _at(moment: date) -> datetime:
    return datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001


def _pattern(whole: str, digits: int) -> str:
    return f"{whole}.{'0' * digits}" if digits else whole
