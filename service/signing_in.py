"""The ways in: a link, a password, and after either of them a code where the account has a second factor.

An answer to a password says the same, and takes the same work, whether the address, the password or nothing at all is
known here (`passwords.matches`, `tries.count_try`). Whoever owes a code holds a word that is good for ten minutes.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from licensing.database import Connection
from licensing.sentence import say
from service.accounts import account_by_id, plain_email
from service.errors import Problem
from service.passwords import hash_password, is_outdated, keep_password, kept_hash, matches
from service.resources import Gateway
from service.second_factors import check_code, find_factor
from service.sessions import Session, Way, open_session, use_link
from service.sign_in_tries import count_try, forget_tries
from service.who import Who

STEP_MINUTES = 10


@dataclass(frozen=True, kw_only=True)
class SecondStep:
    """Somebody who owes a code. `word` goes into the form that takes it."""

    word: str


async def enter(
    conn: Connection, web: Gateway, *, account_id: str, way: Way, device: str, now: datetime
) -> Session | SecondStep | None:
    """Let in whoever has shown a link or a password, or ask for a code first. None where the account is closed."""
    factor = await find_factor(conn, account_id)
    if factor is not None and (way == "password" or factor.at_links or await _must(conn, web, account_id)):
        word = secrets.token_urlsafe(32)
        await conn.execute(
            "INSERT INTO service.sign_in_steps (digest, account_id, way, created_at, expires_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            *(_digest(word), account_id, way, now, now + timedelta(minutes=STEP_MINUTES)),
        )
        return SecondStep(word=word)
    return await open_session(
        conn, account_id=account_id, now=now, days=web.settings.session_days, way=way, device=device
    )


async def by_link(web: Gateway, *, word: str, device: str, now: datetime) -> Session | SecondStep | None:
    """Redeem a link's word; None for one that is unknown, used or too old."""
    async with web.house() as conn, conn.transaction():
        account_id = await use_link(conn, word=word, now=now)
        account = await account_by_id(conn, account_id) if account_id else None
        if account is None:
            return None
        await forget_tries(conn, "letter", account.email, pepper=web.pepper)
        return await enter(conn, web, account_id=account.id, way="link", device=device, now=now)


async def by_password(web: Gateway, *, email: str, password: str, device: str, now: datetime) -> Session | SecondStep:
    """Raises Problem where address and password do not go together, or where the next try has to wait."""
    try:
        address = plain_email(email)
    except ValueError as error:
        raise Problem("invalid_request", say("{what}.", what=error.args[0])) from error
    async with web.house() as conn:
        await count_try(conn, "password", address, pepper=web.pepper, now=now)
        account_id = await conn.fetchval(
            "SELECT id FROM service.accounts WHERE email = $1 AND disabled_at IS NULL", address
        )
        kept = await kept_hash(conn, account_id)
    # Without a connection in hand: it takes a while.
    if not await matches(password, kept, pepper=web.pepper):
        raise Problem(
            "invalid_request",
            say(
                "No account here goes by {address} and this password. Check both, or have a link sent to the address.",
                address=address,
            ),
        )
    renewed = await hash_password(password, pepper=web.pepper) if is_outdated(kept) else None
    async with web.house() as conn, conn.transaction():
        await forget_tries(conn, "password", address, pepper=web.pepper)
        if renewed is not None:
            await keep_password(conn, account_id=account_id, hashed=renewed, now=now)
        entered = await enter(conn, web, account_id=account_id, way="password", device=device, now=now)
    if entered is None:
        raise Problem("forbidden", say("The account of {address} was closed a moment ago.", address=address))
    return entered


async def by_code(web: Gateway, *, word: str, code: str, device: str, now: datetime) -> Session:
    """The second step. Raises Problem where the word ran out, or the code is not good."""
    async with web.house() as conn:
        row = await conn.fetchrow(
            "SELECT s.account_id, s.way, a.role FROM service.sign_in_steps s JOIN service.accounts a"
            " ON a.id = s.account_id WHERE s.digest = $1 AND s.expires_at > $2",
            *(_digest(word), now),
        )
    if row is None:
        raise Problem(
            "conflict",
            say(
                "A code is taken within {step_minutes} minutes; begin again with the first step.",
                step_minutes=STEP_MINUTES,
            ),
        )
    account_id = row["account_id"]
    await check_code(web, account_id=account_id, code=code, by=Who(role=row["role"], actor=account_id))
    async with web.house() as conn, conn.transaction():
        await conn.execute("DELETE FROM service.sign_in_steps WHERE account_id = $1", account_id)
        session = await open_session(
            conn, account_id=account_id, now=now, days=web.settings.session_days, way=row["way"], device=device
        )
    if session is None:
        raise Problem("forbidden", say("The account was closed a moment ago."))
    return session


async def _must(conn: Connection, web: Gateway, account_id: str) -> bool:
    """Whether this place asks for a code whatever the account chose."""
    role = await conn.fetchval("SELECT role FROM service.accounts WHERE id = $1", account_id)
    return web.settings.operators_need_second_factor and role == "operator"


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()
