"""Codes of six digits that follow from a secret and the time (RFC 6238 over RFC 4226: SHA-1, 30 seconds)."""

import base64
import hashlib
import hmac
import struct
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""As long as the hash, as RFC 4226 asks for."""
# A phone's clock may be so many steps off, and whoever types takes a while.
_STEPS_OFF = 1


def step_of(now: datetime) -> int:
    """The number of a moment's half minute."""
    return int(now.timestamp()) // STEP_S


def code_at(secret: bytes, step: int, *, digits: int = DIGITS) -> str:
    """The code of a half minute."""
    digest = hmac.new(secret, struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: bytes, code: str, *, now: datetime) -> int | None:
    """The half minute whose code this is, of the present one and its neighbours; None where it is none of them."""
    found = None
    for step in range(step_of(now) - _STEPS_OFF, step_of(now) + _STEPS_OFF + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def as_text(secret: bytes) -> str:
    """The secret as apps take it when it is typed: base 32."""
    return base64.b32encode(secret).decode().rstrip("=")


def link(secret: bytes, *, issuer: str, account: str) -> str:
    """What an app reads from a QR code."""
    words = {"secret": as_text(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_S}
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{urlencode(words, quote_via=quote)}"
