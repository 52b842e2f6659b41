"""People with an account: creators, clients, operators."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import asyncpg

from licensing.database import Connection
from licensing.sentence import Sentence, say
from service.db.connections import read
from service.ids import NewId
from service.languages import ENGLISH, LANGUAGES

Role = Literal["creator", "client", "operator"]
ROLE_NAMES: Mapping[str, Sentence] = {"creator": say("creator"), "client": say("client"), "operator": say("operator")}

_COLUMNS = "id, role, email, name, created_at, disabled_at, ownership_terms, accepted_at, language"


@dataclass(frozen=True, kw_only=True)
class Account:
    """`ownership_terms` is the version of who owns what that the account was opened under, until its person accepts a
    later one; `accepted_at` is when a person last said yes. `language` is the one that their letters are written in;
    None until they first sign in."""

    id: str
    role: Role
    email: str
    name: str
    created_at: datetime
    disabled_at: datetime | None
    ownership_terms: int
    accepted_at: datetime | None
    language: str | None = None


async def ensure_account(
    conn: Connection, *, role: Role, email: str, name: str | None, ownership_terms: int, now: datetime, new_id: NewId
) -> Account:
    """The account of `email`, made if there is none, under the version of who owns what that is in force.

    Raises ValueError for something that is no address, and where the address already has another role.
    """
    address = plain_email(email)
    await conn.execute(
        "INSERT INTO service.accounts (id, role, email, name, created_at, ownership_terms)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email) DO NOTHING",
        *(new_id("acc"), role, address, name or address.split("@")[0], now, ownership_terms),
    )
    account = await account_by_email(conn, address)
    assert account is not None
    if account.role != role:
        raise ValueError(
            say(
                "{address} already has an account as {old_role}; invite another address for the role {role}",
                address=address,
                old_role=ROLE_NAMES[account.role],
                role=ROLE_NAMES[role],
            )
        )
    return account


async def account_by_email(conn: Connection, email: str) -> Account | None:
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.accounts WHERE email = $1", plain_email(email))
    return read(Account, row) if row else None


async def account_by_id(conn: Connection, account_id: str) -> Account | None:
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.accounts WHERE id = $1", account_id)
    return read(Account, row) if row else None


async def accounts_by_id(conn: Connection, account_ids: Collection[str]) -> dict[str, Account]:
    """Accounts by their ids."""
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM service.accounts WHERE id = ANY($1::text[])", list(account_ids))
    return {row["id"]: read(Account, row) for row in rows}


async def list_accounts(conn: Connection, *, role: Role, limit: int, before: str | None = None) -> list[Account]:
    """Those of a role, the newest first, those before the id `before`."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.accounts WHERE role = $1 AND ($2::text IS NULL OR id < $2)"
        " ORDER BY id DESC LIMIT $3",
        *(role, before, limit),
    )
    return [read(Account, row) for row in cast(list[asyncpg.Record], rows)]


async def set_language(conn: Connection, account_id: str, language: str) -> None:
    """What an account is told is written in it from now on."""
    await conn.execute("UPDATE service.accounts SET language = $2 WHERE id = $1", account_id, language)


async def languages_of(conn: Connection, account_ids: Collection[str]) -> dict[str, str]:
    """What each account is told in; English where that is not known."""
    rows = await conn.fetch("SELECT id, language FROM service.accounts WHERE id = ANY($1::text[])", list(account_ids))
    known = {row["id"]: row["language"] for row in rows if row["language"] in LANGUAGES}
    return {account_id: known.get(account_id, ENGLISH) for account_id in account_ids}


async def language_of(conn: Connection, account_id: str) -> str:
    """What an account is told in."""
    return (await languages_of(conn, [account_id]))[account_id]


def plain_email(email: str) -> str:
    """The address without blanks around it, in lower case. Raises ValueError for something that is no address."""
    address = email.strip().lower()
    local, at, host = address.partition("@")
    if not ((local and at and "." in host.strip(".")) or host == "localhost") or any(c.isspace() for c in address):
        raise ValueError(say("{email!r} is no e-mail address; write it like name@example.org", email=email))
    return address
