"""A second proof of who signs in: codes of an app (`totp.py`), and recovery codes for whoever lost it.

It is on once a first code has shown that the app has the secret. A code counts once, also where it is sent twice at the
same moment; recovery codes are shown once, kept as keyed hashes, and good once each.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import InvalidToken

from licensing.database import Connection
from licensing.sentence import say
from service import audit, totp
from service.account_letters import tell_of_change
from service.db.connections import read
from service.errors import Problem, SecretLost
from service.resources import Gateway
from service.safe import open_safe
from service.sign_in_tries import count_try, forget_tries
from service.who import Who

RECOVERY_CODES = 8
_RECOVERY_CHARACTERS = 12
# No letter that is read as another one: 60 bits a code.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_OF = "secrets of second factors"


@dataclass(frozen=True, kw_only=True)
class SecondFactor:
    """One that is on. `at_links`: asked for at sign-in links, too; after a password it always is."""

    account_id: str
    at_links: bool
    on_since: datetime
    codes_left: int


async def find_factor(conn: Connection, account_id: str) -> SecondFactor | None:
    """An account's second factor; None where it has none that is on."""
    row = await conn.fetchrow(
        "SELECT account_id, at_links, on_since, (SELECT count(*) FROM service.recovery_codes c"
        "  WHERE c.account_id = f.account_id AND c.used_at IS NULL) AS codes_left"
        " FROM service.second_factors f WHERE account_id = $1 AND on_since IS NOT NULL",
        account_id,
    )
    return read(SecondFactor, row) if row else None


async def begin_factor(conn: Connection, *, account_id: str, pepper: bytes, now: datetime) -> bytes:
    """The secret that waits for its first code, made if there is none. Raises Problem where a second factor is on."""
    made = open_safe(pepper, _OF).encrypt(secrets.token_bytes(totp.SECRET_BYTES)).decode()
    await conn.execute(
        "INSERT INTO service.second_factors (account_id, secret, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        *(account_id, made, now),
    )
    row = await conn.fetchrow("SELECT secret, on_since FROM service.second_factors WHERE account_id = $1", account_id)
    assert row is not None
    if row["on_since"] is not None:
        raise Problem("conflict", say("The second factor is on already; switch it off before you set up another app."))
    return _open(row["secret"], pepper)


async def confirm_factor(web: Gateway, *, account_id: str, code: str, by: Who) -> list[str]:
    """Switch it on by a first code of the app; recovery codes, which nobody sees again. Raises Problem."""
    now = web.clock()
    async with web.house() as conn, conn.transaction():
        secret = await begin_factor(conn, account_id=account_id, pepper=web.pepper, now=now)
        step = totp.matching_step(secret, _digits(code), now=now)
        if step is None:
            raise Problem(
                "invalid_request",
                say(
                    "{code!r} is not the code of this moment; type the one that the app shows now. If it"
                    " never fits, set the phone's clock to automatic.",
                    code=code[:20],
                ),
            )
        await conn.execute(
            "UPDATE service.second_factors SET on_since = $2, last_step = $3 WHERE account_id = $1",
            *(account_id, now, step),
        )
        await audit.note(conn, "second_factor_on", account_id=account_id, by=by, now=now)
        await tell_of_change(conn, account_id=account_id, what=say("A second factor was switched on."), now=now)
        return await _new_codes(conn, account_id=account_id, pepper=web.pepper, now=now)


async def check_code(web: Gateway, *, account_id: str, code: str, by: Who) -> None:
    """Use up a code of the app, or a recovery code. Raises Problem where it is neither, was used before, or too many
    were tried."""
    now = web.clock()
    async with web.house() as conn:
        await count_try(conn, "code", account_id, pepper=web.pepper, now=now)
        if not await _use(conn, web, account_id, code, by, now=now):
            raise Problem(
                "invalid_request",
                say(
                    "This code does not fit, or was used before. Wait for the app's next one, or take a recovery code."
                ),
            )
        await forget_tries(conn, "code", account_id, pepper=web.pepper)


async def switch_off(web: Gateway, *, account_id: str, code: str, by: Who) -> None:
    """Sign in without it from now on. Raises Problem unless a code shows who asks."""
    await check_code(web, account_id=account_id, code=code, by=by)
    async with web.house() as conn:
        await take_away_factor(conn, account_id=account_id, by=by, now=web.clock())


async def take_away_factor(conn: Connection, *, account_id: str, by: Who, now: datetime) -> None:
    """The same without a code: by the operator, for somebody who lost app and recovery codes."""
    async with conn.transaction():
        await conn.execute("DELETE FROM service.recovery_codes WHERE account_id = $1", account_id)
        await conn.execute("DELETE FROM service.second_factors WHERE account_id = $1", account_id)
        await audit.note(conn, "second_factor_off", account_id=account_id, by=by, now=now)
        await tell_of_change(conn, account_id=account_id, what=say("Your second factor was switched off."), now=now)


async def renew_codes(web: Gateway, *, account_id: str, code: str, by: Who) -> list[str]:
    """New recovery codes in place of those before. Raises Problem unless a code shows who asks."""
    await check_code(web, account_id=account_id, code=code, by=by)
    now = web.clock()
    async with web.house() as conn, conn.transaction():
        await audit.note(conn, "recovery_codes_made", account_id=account_id, by=by, now=now)
        return await _new_codes(conn, account_id=account_id, pepper=web.pepper, now=now)


async def ask_at_links(web: Gateway, *, account_id: str, code: str, at_links: bool, by: Who) -> None:
    """Whether links ask for a code as well. Raises Problem unless a code shows who asks."""
    await check_code(web, account_id=account_id, code=code, by=by)
    async with web.house() as conn:
        await conn.execute(
            "UPDATE service.second_factors SET at_links = $2 WHERE account_id = $1", account_id, at_links
        )


async def _use(conn: Connection, web: Gateway, account_id: str, code: str, by: Who, *, now: datetime) -> bool:
    """Whether this code is good now; it is not any more then."""
    digits = _digits(code)
    if len(digits) == totp.DIGITS and digits.isdecimal():
        secret = await conn.fetchval(
            "SELECT secret FROM service.second_factors WHERE account_id = $1 AND on_since IS NOT NULL", account_id
        )
        step = totp.matching_step(_open(secret, web.pepper), digits, now=now) if secret else None
        status = await conn.execute(
            "UPDATE service.second_factors SET last_step = $2 WHERE account_id = $1 AND last_step < $2",
            *(account_id, step if step is not None else -1),
        )
        return bool(status == "UPDATE 1")
    async with conn.transaction():
        status = await conn.execute(
            "UPDATE service.recovery_codes SET used_at = $3 WHERE account_id = $1 AND digest = $2 AND used_at IS NULL",
            *(account_id, _digest(account_id, digits, web.pepper), now),
        )
        if status == "UPDATE 1":
            await audit.note(conn, "recovery_code_used", account_id=account_id, by=by, now=now)
            await tell_of_change(
                conn, account_id=account_id, what=say("A recovery code of your account was used."), now=now
            )
    return bool(status == "UPDATE 1")


async def _new_codes(conn: Connection, *, account_id: str, pepper: bytes, now: datetime) -> list[str]:
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_CHARACTERS)) for _ in range(RECOVERY_CODES)]
    await conn.execute("DELETE FROM service.recovery_codes WHERE account_id = $1", account_id)
    await conn.executemany(
        "INSERT INTO service.recovery_codes (account_id, digest, made_at) VALUES ($1, $2, $3)",
        [(account_id, _digest(account_id, code, pepper), now) for code in codes],
    )
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def _digits(code: str) -> str:
    """What was typed without blanks and dashes."""
    return re.sub(r"[^0-9a-z]", "", code.lower())


def _digest(account_id: str, code: str, pepper: bytes) -> bytes:
    return hmac.new(pepper, f"recovery {account_id} {code}".encode(), hashlib.sha256).digest()


def _open(kept: str, pepper: bytes) -> bytes:
    try:
        return open_safe(pepper, _OF).decrypt(kept.encode())
    except InvalidToken as error:
        raise SecretLost(
            "The second factor's secret cannot be read any more, because this place's own secret was replaced."
        ) from error
