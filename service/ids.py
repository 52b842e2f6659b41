"""Prefixed, time-ordered ids: `gen_01jd3v...` names its kind and sorts by when it was made."""

import secrets
from collections.abc import Callable

from service.clock import Clock, utc_now

NewId = Callable[[str], str]
"""Makes an id from a prefix, of two or more letters, as `gen` for a generation."""

# Crockford's base 32, lower case: no i, l, o, u, so an id survives being read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = {character: number for number, character in enumerate(_ALPHABET)}
_LENGTH = 26
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def new_id(prefix: str, *, clock: Clock = utc_now) -> str:
    """`<prefix>_` and 26 characters: 48 bits of milliseconds, then 80 random bits (the layout of a ULID)."""
    number = (int(clock().timestamp() * 1000) << 80) | secrets.randbits(80)
    characters = [_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)]
    return f"{prefix}_{''.join(characters)}"


def to_number(an_id: str) -> int | None:
    """The 128 bits behind an id's prefix; None for what is no such id."""
    prefix, _, characters = an_id.partition("_")
    if not prefix or len(characters) != _LENGTH or not set(characters) <= _DIGITS.keys():
        return None
    number = 0
    for character in characters:
        number = number << 5 | _DIGITS[character]
    return number if number < 2**128 else None
