"""Signing up: an account is made when the link is used that went to its address, and not before.

So nothing is sold or published by anybody whose address was not confirmed, and nobody can take up another's address.
Whoever types an address that has an account gets the same answer; its owner is told by a letter. The password is
chosen behind the link: one that a stranger typed first would be the stranger's.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from licensing.database import Connection
from licensing.sentence import say
from service import account_letters
from service.accounts import Account, Role, account_by_email, ensure_account, plain_email
from service.db.connections import read
from service.errors import Problem
from service.ownership import accept
from service.passwords import check_new, hash_password, keep_password
from service.resources import Gateway
from service.secret_words import digest_of_word, make_word
from service.settings import SIGN_UP_ROLES, Settings
from service.sign_in_tries import count_try, forget_tries
from service.who import Who

HOURS = 24
"""How long the link in the letter is good."""
NAME_CHARACTERS_MAX = 80
SignUpRole = Literal["creator", "client"]


@dataclass(frozen=True, kw_only=True)
class SignUp:
    """An account to be. `terms_version` of who owns what was said yes to in the form."""

    email: str
    name: str
    role: SignUpRole
    terms_version: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A form that may be acted on: checked, and counted."""

    email: str
    name: str
    role: SignUpRole


async def check_form(web: Gateway, *, role: str, name: str, email: str, has_accepted: bool, now: datetime) -> Asked:
    """What was typed, where it can be acted on. It says the same whether or not the address has an account. Raises
    Problem."""
    check_open(web.settings, role)
    known = next(one for one in SIGN_UP_ROLES["everyone"] if one == role)
    try:
        address = plain_email(email)
    except ValueError as error:
        raise Problem("invalid_request", say("{what}.", what=error.args[0])) from error
    plain = check_name(name)
    if not has_accepted:
        raise Problem("invalid_request", say("Read who owns what here and say yes to it; there is no account without."))
    async with web.house() as conn:
        await count_try(conn, "letter", address, pepper=web.pepper, now=now)
    return Asked(email=address, name=plain, role=known)


async def write_to(web: Gateway, asked: Asked, *, now: datetime) -> None:
    """Send the letter: a link that makes the account, or word to the owner of the one there is. Called when the form's
    answer is on its way, so that how long it takes tells nobody which."""
    word, until = make_word(), now + timedelta(hours=HOURS)
    async with web.house() as conn, conn.transaction():
        account = await account_by_email(conn, asked.email)
        if account is not None:
            await account_letters.tell_of_sign_up(conn, account, now=now)
            return
        await conn.execute(
            "INSERT INTO service.sign_ups (digest, email, name, role, terms_version, created_at, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *(digest_of_word(word), asked.email, asked.name, asked.role, web.ownership.version, now, until),
        )
        await account_letters.send_sign_up(conn, web, address=asked.email, word=word, until=until, now=now)


async def find_sign_up(conn: Connection, word: str, *, now: datetime) -> SignUp | None:
    """What a link's word stands for; None where it is unknown, used or too old."""
    row = await conn.fetchrow(
        "SELECT email, name, role, terms_version FROM service.sign_ups WHERE digest = $1 AND expires_at > $2",
        *(digest_of_word(word), now),
    )
    return read(SignUp, row) if row else None


async def make_account(
    web: Gateway, word: str, *, name: str, password: str, terms_version: int, now: datetime
) -> Account:
    """The account, by whoever reads its address's mail; with a password where one was chosen. Raises Problem."""
    async with web.house() as conn:
        found = await find_sign_up(conn, word, now=now)
    if found is None:
        raise Problem("conflict", say("This link was used before or is too old; sign in, or sign up once more."))
    check_open(web.settings, found.role)
    plain = check_name(name)
    hashed = None
    if password:
        check_new(password, email=found.email, name=plain)
        hashed = await hash_password(password, pepper=web.pepper)
    if terms_version != web.ownership.version:
        raise Problem(
            "conflict", say("Who owns what here has changed since this page was opened; read it and press again.")
        )
    async with web.house() as conn, conn.transaction():
        used = await conn.execute("DELETE FROM service.sign_ups WHERE digest = $1", digest_of_word(word))
        if used != "DELETE 1" or await account_by_email(conn, found.email) is not None:
            raise Problem("conflict", say("{email} has an account by now; sign in with it.", email=found.email))
        signed = replace(found, name=plain, terms_version=terms_version)
        return await make_confirmed(conn, web, signed, hashed, now=now)


def check_open(settings: Settings, role: str) -> None:
    """Raises Problem where accounts of this role are by invitation."""
    if role not in SIGN_UP_ROLES["everyone"]:
        raise Problem("invalid_request", say("Say what you are here for: to sell a style, or to buy pictures."))
    if role not in SIGN_UP_ROLES[settings.sign_up]:
        operator = settings.operator_name
        said = (
            say("A creator's account comes by invitation here; ask {operator} for one.", operator=operator)
            if role == "creator"
            else say("A client's account comes by invitation here; ask {operator} for one.", operator=operator)
        )
        raise Problem("forbidden", said)


def check_name(name: str) -> str:
    """A name without blanks around it. Raises Problem."""
    plain = " ".join(name.split())
    if not plain:
        raise Problem("invalid_request", say("Give a name; the other side of a sale reads it."))
    if len(plain) > NAME_CHARACTERS_MAX:
        raise Problem(
            "invalid_request",
            say("The name has {number} characters; {most} are the most.", number=len(plain), most=NAME_CHARACTERS_MAX),
        )
    return plain


async def make_confirmed(
    conn: Connection, web: Gateway, found: SignUp, hashed: str | None, *, now: datetime
) -> Account:
    """The account of an address that was confirmed, in the caller's transaction. hashed: of its password, where it has
    one."""
    role: Role = found.role
    version = found.terms_version
    account = await ensure_account(
        conn, role=role, email=found.email, name=found.name, ownership_terms=version, now=now, new_id=web.new_id
    )
    by = Who(role=role, actor=account.id)
    await accept(conn, account_id=account.id, version=version, by=by, now=now)
    if hashed is not None:
        await keep_password(conn, account_id=account.id, hashed=hashed, now=now)
    await conn.execute("DELETE FROM service.sign_ups WHERE email = $1", found.email)
    await forget_tries(conn, "letter", found.email, pepper=web.pepper)
    return account
