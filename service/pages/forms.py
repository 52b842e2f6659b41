"""What people type into forms, checked by the API's own shapes; what is wrong is a Problem with a sentence."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from licensing.money import Money, minor_digits
from licensing.sentence import say
from service.errors import Problem
from service.languages import ENGLISH, Words, gettext, spoken

Shape = TypeVar("Shape", bound=BaseModel)
Word = TypeVar("Word", bound=str)

AMOUNT_MAX = 10**12
"""In minor units; what the ledger holds is far larger."""
PART_MAX = 10_000
"""All of something, in hundredths of a percent."""
_UNFIT = Words(
    {
        "missing": "it is missing.",
        "string_type": "it is missing.",
        "string_too_short": "it is too short; {min_length} characters or more.",
        "string_too_long": "it is too long; {max_length} characters at most.",
        "string_pattern_mismatch": "it is not written as it has to be.",
        "int_type": "it is no whole number.",
        "int_parsing": "it is no whole number.",
        "greater_than": "more than {gt}.",
        "greater_than_equal": "{ge} or more.",
        "less_than": "less than {lt}.",
        "less_than_equal": "{le} or less.",
        "literal_error": "one of {expected}.",
    }
)
"""What does not fit a shape, by pydantic's name for it, for other languages than pydantic's own."""


def checked(shape: type[Shape], **values: Any) -> Shape:
    """A body of the API from a form's values. Raises Problem with words for what does not fit, in English the API's."""
    try:
        return shape(**values)
    except ValidationError as error:
        sentences = [f"{gettext(_name_of(one['loc']))}: {_sentence(one)}" for one in error.errors()]
        raise Problem("invalid_request", " ".join(sentences)) from error


def chosen(word: str, known: Sequence[Word]) -> Word:
    """`word` if it is one of `known`. Raises Problem: only a page that is out of date sends another."""
    for one in known:
        if one == word:
            return one
    raise Problem(
        "invalid_request", say("{word!r} is none of {known}; choose one of them.", word=word, known=", ".join(known))
    )


def whole_number(text: str, *, name: str) -> int:
    """A whole number that somebody typed. Raises Problem."""
    try:
        return int(text)
    except ValueError as error:
        raise Problem(
            "invalid_request", say("{name}: {text!r} is no whole number; write it like 12.", name=name, text=text)
        ) from error


def price(text: str, *, currency: str, name: str) -> Money:
    """An amount as people type it, `1.20` or `1,20`, in minor units. Raises Problem."""
    try:
        minor = Decimal(text.replace(",", ".")) * 10 ** minor_digits(currency)
    except InvalidOperation as error:
        raise Problem(
            "invalid_request", say("{name}: {text!r} is no amount; write it like 1.20.", name=name, text=text)
        ) from error
    if not minor.is_finite() or minor != minor.to_integral_value() or not 0 <= minor <= AMOUNT_MAX:
        raise Problem(
            "invalid_request",
            say("{name}: {text!r} is no amount of whole cents from 0 up; write it like 1.20.", name=name, text=text),
        )
    return Money(int(minor), currency)


def part(text: str, *, name: str) -> int:
    """A percentage as people type it, `25` or `33,33`, in hundredths of a percent. Raises Problem."""
    try:
        hundredths = Decimal(text.replace(",", ".").removesuffix("%").strip()) * 100
    except InvalidOperation as error:
        raise Problem(
            "invalid_request",
            say("{name}: {text!r} is no percentage; write it like 25 or 33.33.", name=name, text=text),
        ) from error
    if not hundredths.is_finite() or hundredths != hundredths.to_integral_value() or not 1 <= hundredths <= PART_MAX:
        raise Problem(
            "invalid_request",
            say(
                "{name}: {text!r} cannot be; a part is 0.01 to 100 percent, with two digits at most.",
                name=name,
                text=text,
            ),
        )
    return int(hundredths)


def day(text: str, *, name: str) -> datetime:
    """The beginning of a day in UTC, `2026-11-24`, as browsers send it. Raises Problem."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except ValueError as error:
        raise Problem(
            "invalid_request", say("{name}: {text!r} is no day; write it like 2026-11-24.", name=name, text=text)
        ) from error


def _name_of(where: tuple[int | str, ...]) -> str:
    return " ".join(str(part).replace("_", " ") for part in where).capitalize() or gettext("The form")


def _sentence(error: ErrorDetails) -> str:
    message, known = error["msg"], _UNFIT.get(error["type"])
    if known is not None and spoken() != ENGLISH:
        return known.format(**error.get("ctx", {}))
    return message[:1].lower() + message[1:].rstrip(".") + "."
