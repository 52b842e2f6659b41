"""Passwords: optional, kept as Argon2id under the pepper, checked with the same work whether or not there is one.

An account is made without one, so none is ever a default. Costs are those that OWASP's cheat sheet names first.
"""

import asyncio
import base64
import os
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from licensing.database import Connection
from licensing.sentence import say
from service import audit
from service.account_letters import tell_of_change
from service.db.connections import read
from service.errors import Problem
from service.resources import Gateway
from service.sessions import Session, end_all_sessions
from service.sign_in_tries import count_try, forget_tries
from service.who import Who

CHARACTERS_MIN = 10
CHARACTERS_MAX = 200
FRESH = timedelta(minutes=15)
"""So long after signing in by a link, which proves as much, the old password is not asked for: it may be forgotten."""
_MEMORY_KIB, _PASSES, _LANES, _SALT_BYTES, _HASH_BYTES = 19_456, 2, 1, 16, 32
_COSTS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}$"
# Of no password: what is compared where there is none, at the same cost.
_NOBODYS = (
    _COSTS
    + base64.b64encode(bytes(_SALT_BYTES)).decode().rstrip("=")
    + "$"
    + base64.b64encode(bytes(_HASH_BYTES)).decode().rstrip("=")
)
# Words that lists of stolen passwords are full of. What is one of them with digits and signs around it is as common.
_COMMON_WORDS = """
password passwort passw0rd p@ssword p@ssw0rd motdepasse contrasena qwerty qwertyuiop qwertzuiop azertyuiop asdfgh
asdfghjkl zxcvbnm qazwsx qazwsxedc abc abcd abcdef abcdefgh abcdefghij iloveyou loveyou letmein welcome willkommen admin
administrator root user login test testing changeme default secret superman batman pokemon starwars dragon monkey
football baseball princess sunshine shadow master michael jordan hello helloworld whatever trustno freedom summer winter
spring autumn liverpool arsenal chelsea computer internet samsung google facebook ownhand
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_RUNS = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl")


@dataclass(frozen=True, kw_only=True)
class Password:
    """That an account has one, and since when."""

    account_id: str
    set_at: datetime


async def find_password(conn: Connection, account_id: str) -> Password | None:
    row = await conn.fetchrow("SELECT account_id, set_at FROM service.passwords WHERE account_id = $1", account_id)
    return read(Password, row) if row else None


def check_new(password: str, *, email: str, name: str) -> None:
    """Raises Problem where a password is too short, too long, or one that a stranger would try first."""
    plain = _plain(password)
    if len(plain) < CHARACTERS_MIN:
        raise Problem(
            "invalid_request",
            say(
                "The password has {number} characters; take {least} or more. A few words are easy to keep.",
                number=len(plain),
                least=CHARACTERS_MIN,
            ),
        )
    if len(plain) > CHARACTERS_MAX:
        raise Problem(
            "invalid_request",
            say("The password has {number} characters; {most} are the most.", number=len(plain), most=CHARACTERS_MAX),
        )
    word = plain.casefold()
    own = {email, email.partition("@")[0], name.casefold(), re.sub(r"\W", "", name.casefold())} - {""}
    if word in own or _core(word) in own:
        raise Problem(
            "invalid_request", say("The password is your address or name, which others know; take another one.")
        )
    if _is_common(word):
        raise Problem("invalid_request", say("This password is among the first that strangers try; take another one."))


def asks_for_old(session: Session, *, now: datetime) -> bool:
    """Whether a change of password in this session needs the old one, where there is one."""
    return session.way != "link" or now - session.opened_at > FRESH


async def set_password(web: Gateway, session: Session, *, old: str, new: str, by: Who) -> int:
    """Set or change the password of who is signed in; how many other sessions that ended. Raises Problem."""
    account, now = session.account, web.clock()
    async with web.house() as conn:
        kept = await kept_hash(conn, account.id)
        if kept is not None and asks_for_old(session, now=now):
            await count_try(conn, "password", account.email, pepper=web.pepper, now=now)
    if kept is not None and asks_for_old(session, now=now) and not await matches(old, kept, pepper=web.pepper):
        raise Problem(
            "invalid_request",
            say(
                "The old password does not fit. If it is forgotten, sign in by a link; for a quarter of"
                " an hour after that it is not asked for."
            ),
        )
    check_new(new, email=account.email, name=account.name)
    hashed = await hash_password(new, pepper=web.pepper)
    async with web.house() as conn, conn.transaction():
        await keep_password(conn, account_id=account.id, hashed=hashed, now=now)
        await forget_tries(conn, "password", account.email, pepper=web.pepper)
        # Whoever showed the old one and owes a code begins again.
        await conn.execute("DELETE FROM service.sign_in_steps WHERE account_id = $1", account.id)
        await audit.note(conn, "password_set", account_id=account.id, by=by, now=now)
        what = say("Your password was set.") if kept is None else say("Your password was changed.")
        await tell_of_change(conn, account_id=account.id, what=what, now=now)
        return await end_all_sessions(conn, account_id=account.id, now=now, by=by, but=session)


async def hash_password(password: str, *, pepper: bytes) -> str:
    """What is kept of a password, in PHC's form. It takes its time, beside the event loop."""
    kdf = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
        secret=pepper,
    )
    return await asyncio.to_thread(kdf.derive_phc_encoded, _plain(password).encode())


async def matches(password: str, kept: str | None, *, pepper: bytes) -> bool:
    """Whether a password is the one that is kept. Where none is kept it takes as long to say no."""
    plain = _plain(password)
    compared = kept if kept and len(plain) <= CHARACTERS_MAX else _NOBODYS
    try:
        await asyncio.to_thread(Argon2id.verify_phc_encoded, plain[:CHARACTERS_MAX].encode(), compared, secret=pepper)
    except InvalidKey:
        return False
    return compared is not _NOBODYS


def is_outdated(kept: str | None) -> bool:
    """Whether a password is kept at other costs than today's."""
    return kept is not None and not kept.startswith(_COSTS)


async def keep_password(conn: Connection, *, account_id: str, hashed: str, now: datetime) -> None:
    """Keep the hash of a password in place of any before."""
    await conn.execute(
        "INSERT INTO service.passwords (account_id, hash, set_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at",
        *(account_id, hashed, now),
    )


async def kept_hash(conn: Connection, account_id: str | None) -> str | None:
    """The hash of an account's password; None where there is none, or no account."""
    found: str | None = await conn.fetchval("SELECT hash FROM service.passwords WHERE account_id = $1", account_id)
    return found


def _plain(password: str) -> str:
    """The same password however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


def _core(word: str) -> str:
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", word)


def _is_common(word: str) -> bool:
    characters = re.sub(r"\W", "", word)
    halves = {word[: len(word) // 2], word[len(word) // 2 :]}
    return (
        word in _COMMON
        or _core(word) in _COMMON
        or len(set(word)) < 4
        or len(halves) == 1
        or any(characters in run for run in _RUNS)
    )
