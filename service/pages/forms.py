"""What people type into forms, checked by the API's own shapes; what is wrong is a Problem with a sentence."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from licensing.money import Money, minor_digits
from service.errors import Problem

Shape = TypeVar("Shape", bound=BaseModel)
Word = TypeVar("Word", bound=str)

AMOUNT_MAX = 10**12
"""In minor units; what the ledger holds is far larger."""
PART_MAX = 10_000
"""All of something, in hundredths of a percent."""


def checked(shape: type[Shape], **values: Any) -> Shape:
    """A body of the API from a form's values. Raises Problem with the API's own words for what does not fit."""
    try:
        return shape(**values)
    except ValidationError as error:
        sentences = [f"{_name_of(one['loc'])}: {_sentence(one['msg'])}" for one in error.errors()]
        raise Problem("invalid_request", " ".join(sentences)) from error


def chosen(word: str, known: Sequence[Word]) -> Word:
    """`word` if it is one of `known`. Raises Problem: only a page that is out of date sends another."""
    for one in known:
        if one == word:
            return one
    raise Problem("invalid_request", f"{word!r} is none of {', '.join(known)}; choose one of them.")


def whole_number(text: str, *, name: str) -> int:
    """A whole number that somebody typed. Raises Problem."""
    try:
        return int(text)
    except ValueError as error:
        raise Problem("invalid_request", f"{name}: {text!r} is no whole number; write it like 12.") from error


def price(text: str, *, currency: str, name: str) -> Money:
    """An amount as people type it, `1.20` or `1,20`, in minor units. Raises Problem."""
    try:
        minor = Decimal(text.replace(",", ".")) * 10 ** minor_digits(currency)
    except InvalidOperation as error:
        raise Problem("invalid_request", f"{name}: {text!r} is no amount; write it like 1.20.") from error
    if not minor.is_finite() or minor != minor.to_integral_value() or not 0 <= minor <= AMOUNT_MAX:
        raise Problem("invalid_request", f"{name}: {text!r} is no amount of whole cents from 0 up; write it like 1.20.")
    return Money(int(minor), currency)


def part(text: str, *, name: str) -> int:
    """A percentage as people type it, `25` or `33,33`, in hundredths of a percent. Raises Problem."""
    try:
        hundredths = Decimal(text.replace(",", ".").removesuffix("%").strip()) * 100
    except InvalidOperation as error:
        raise Problem("invalid_request", f"{name}: {text!r} is no percentage; write it like 25 or 33.33.") from error
    if not hundredths.is_finite() or hundredths != hundredths.to_integral_value() or not 1 <= hundredths <= PART_MAX:
        raise Problem(
            "invalid_request", f"{name}: {text!r} cannot be; a part is 0.01 to 100 percent, with two digits at most."
        )
    return int(hundredths)


def day(text: str, *, name: str) -> datetime:
    """The beginning of a day in UTC, `2026-11-24`, as browsers send it. Raises Problem."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except ValueError as error:
        raise Problem("invalid_request", f"{name}: {text!r} is no day; write it like 2026-11-24.") from error


def _name_of(where: tuple[int | str, ...]) -> str:
    return " ".join(str(part).replace("_", " ") for part in where).capitalize() or "The form"


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".") + "."
