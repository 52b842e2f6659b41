"""Teams of a client: people who act for it, each with an account, a password and a second factor of their own.

The client invites an address at a level; a link goes there, once and for seven days. Who opens it signs in, or makes an
account by it where the link was in the letter alone: then it proves the address. A membership is looked at with every
request (`service.sessions`), so one that has ended ends what was let in by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from licensing.database import Connection
from licensing.sentence import say
from service import account_letters, audit
from service.accounts import Account, plain_email
from service.areas import Level
from service.db.connections import read
from service.errors import Problem, not_found
from service.passwords import check_new, hash_password
from service.resources import Gateway
from service.secret_words import digest_of_word, make_word
from service.sessions import Team
from service.sign_in_tries import count_try
from service.sign_ups import SignUp, check_name, make_confirmed
from service.who import Who

DAYS = 7
"""How long the link of an invitation is good."""
MEMBERS_MAX = 50
OPEN_MAX = 20
"""Invitations of one client that may be open at once."""

_IS_OPEN = "i.used_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > "


@dataclass(frozen=True, kw_only=True)
class TeamMember:
    """Somebody in a client's team, as the client sees them."""

    id: str
    account_id: str
    name: str
    email: str
    level: Level
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """One that is open, as the client sees it."""

    id: str
    email: str
    level: Level
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An invitation as whoever has its link sees it. `is_mailed`: nobody but the address's owner was told the link."""

    id: str
    client_id: str
    client_name: str
    invited_by: str
    email: str
    level: Level
    is_mailed: bool
    expires_at: datetime
    has_account: bool
    """Whether the address has an account here."""


@dataclass(frozen=True, kw_only=True)
class Invited:
    """A new invitation; `link` is a path with the word in it, empty where an e-mail carries it."""

    invitation: Invitation
    link: str


async def list_members(conn: Connection, client_id: str) -> list[TeamMember]:
    """Who is in a client's team, by name. For the client: on a connection that acts for the house."""
    rows = await conn.fetch(
        "SELECT m.id, m.account_id, a.name, a.email, m.level, m.since FROM service.team_members m"
        " JOIN service.accounts a ON a.id = m.account_id WHERE m.client_id = $1 AND m.ended_at IS NULL"
        " ORDER BY lower(a.name), m.id",
        client_id,
    )
    return [read(TeamMember, row) for row in rows]


async def teams_of(conn: Connection, account_id: str) -> list[Team]:
    """The teams that a person is in now. On a connection that acts for the house."""
    rows = await conn.fetch(
        "SELECT m.client_id, c.name, m.level FROM service.team_members m JOIN service.accounts c ON c.id = m.client_id"
        " WHERE m.account_id = $1 AND m.ended_at IS NULL AND c.disabled_at IS NULL ORDER BY c.name, c.id",
        account_id,
    )
    return [read(Team, row) for row in rows]


async def memberships_of(conn: Connection, account_id: str) -> list[dict[str, Any]]:
    """What is kept of the teams that a person is or was in, for their export. On a connection that acts for the
    house."""
    rows = await conn.fetch(
        "SELECT m.id, c.name AS client, m.level, m.since, m.ended_at FROM service.team_members m"
        " JOIN service.accounts c ON c.id = m.client_id WHERE m.account_id = $1 ORDER BY m.id",
        account_id,
    )
    return [dict(row) for row in rows]


async def list_invitations(conn: Connection, client_id: str, *, now: datetime) -> list[Invitation]:
    """A client's invitations that are open, newest first."""
    rows = await conn.fetch(
        "SELECT id, email, level, created_at, expires_at FROM service.team_invitations i"
        f" WHERE client_id = $1 AND {_IS_OPEN} $2 ORDER BY id DESC",
        *(client_id, now),
    )
    return [read(Invitation, row) for row in rows]


async def names_of_people(conn: Connection, client_id: str, account_ids: set[str]) -> dict[str, str]:
    """The names of those who ordered for a client, by their accounts; nothing where it never had a team. On a
    connection that acts for the house."""
    rows = await conn.fetch(
        "SELECT a.id, a.name FROM service.accounts a WHERE a.id = ANY($2::text[])"
        " AND EXISTS (SELECT FROM service.team_members m WHERE m.client_id = $1 AND $1 = a.id OR m.client_id = $1"
        " AND m.account_id = a.id)",
        *(client_id, list(account_ids)),
    )
    return {row["id"]: row["name"] for row in rows}


async def invite(web: Gateway, *, client_id: str, email: str, level: Level, by: Who, now: datetime) -> Invited:
    """Ask somebody into a client's team. It says the same whether or not the address has an account. Raises Problem."""
    try:
        address = plain_email(email)
    except ValueError as error:
        raise Problem("invalid_request", say("{what}.", what=error.args[0])) from error
    word, is_mailed = make_word(), web.settings.mail_server is not None
    made = Invitation(
        id=web.new_id("inv"), email=address, level=level, created_at=now, expires_at=now + timedelta(days=DAYS)
    )
    if is_mailed:
        async with web.house() as conn:
            await count_try(conn, "letter", address, pepper=web.pepper, now=now)
    async with web.house() as conn, conn.transaction():
        client = await _lock_client(conn, client_id)
        await _check_room(conn, client, address, now=now)
        await conn.execute(
            "INSERT INTO service.team_invitations (id, digest, client_id, invited_by, email, level, is_mailed,"
            " created_at, expires_at) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8)",
            *(made.id, digest_of_word(word), client_id, address, level, is_mailed, now, made.expires_at),
        )
        await audit.note(
            conn, "member_invited", account_id=client_id, by=by, now=now, subject=made.id, team_level=level
        )
        if is_mailed:
            await account_letters.send_invitation(
                conn, web, address=address, client_name=client.name, word=word, until=made.expires_at, now=now
            )
    return Invited(invitation=made, link="" if is_mailed else _path_of(word))


async def withdraw(web: Gateway, *, client_id: str, invitation_id: str, by: Who, now: datetime) -> None:
    """Its link does not work any more. Raises Problem where the client has no such invitation that is open."""
    async with web.house() as conn, conn.transaction():
        status = await conn.execute(
            "UPDATE service.team_invitations i SET withdrawn_at = $3 WHERE id = $2 AND client_id = $1"
            f" AND {_IS_OPEN} $3",
            *(client_id, invitation_id, now),
        )
        if status != "UPDATE 1":
            raise not_found("invitation", invitation_id)
        await audit.note(conn, "member_uninvited", account_id=client_id, by=by, now=now, subject=invitation_id)


async def find_invitation(conn: Connection, word: str, *, now: datetime) -> Opened | None:
    """What a link's word stands for; None where it is unknown, used, withdrawn or too old, or its client is closed."""
    row = await conn.fetchrow(
        "SELECT i.id, i.client_id, c.name AS client_name, i.invited_by, i.email, i.level, i.is_mailed, i.expires_at,"
        " EXISTS (SELECT FROM service.accounts a WHERE a.email = i.email) AS has_account"
        " FROM service.team_invitations i JOIN service.accounts c ON c.id = i.client_id"
        f" WHERE i.digest = $1 AND {_IS_OPEN} $2 AND c.disabled_at IS NULL",
        *(digest_of_word(word), now),
    )
    return read(Opened, row) if row else None


async def accept(web: Gateway, word: str, *, person: Account, via: str, now: datetime) -> Opened:
    """Join, as whoever is signed in. Raises Problem where the link is no good, or is for another address."""
    async with web.house() as conn, conn.transaction():
        found = await _found(conn, word, now=now)
        if found.email != person.email:
            raise Problem(
                "forbidden",
                say(
                    "This invitation is for {email}, and you are signed in as {own}. Sign out, sign in with {email}"
                    " and open the link once more; or ask {client} for an invitation to {own}.",
                    email=found.email,
                    own=person.email,
                    client=found.client_name,
                ),
            )
        await _join(conn, web, found, person, via=via, now=now)
    return found


async def accept_anew(
    web: Gateway, word: str, *, name: str, password: str, terms_version: int, now: datetime
) -> tuple[Account, Opened]:
    """Make a client's account for the invited address, and join with it. Raises Problem; nothing is made then."""
    async with web.house() as conn:
        found = await _found(conn, word, now=now)
    if not found.is_mailed:
        raise Problem(
            "forbidden",
            say(
                "This link did not come by e-mail, so it does not show that {email} is yours. Ask {operator} for an"
                " account, sign in with it, and open the link once more.",
                email=found.email,
                operator=web.settings.operator_name,
            ),
        )
    if terms_version != web.ownership.version:
        raise Problem(
            "conflict", say("Who owns what here has changed since this page was opened; read it and press again.")
        )
    plain, hashed = check_name(name), None
    if password:
        check_new(password, email=found.email, name=plain)
        hashed = await hash_password(password, pepper=web.pepper)
    signed = SignUp(email=found.email, name=plain, role="client", terms_version=terms_version)
    async with web.house() as conn, conn.transaction():
        found = await _found(conn, word, now=now)
        if found.has_account:
            raise Problem("conflict", say("{email} has an account by now; sign in with it.", email=found.email))
        person = await make_confirmed(conn, web, signed, hashed, now=now)
        await _join(conn, web, found, person, via="", now=now)
    return person, found


async def change_level(web: Gateway, *, client_id: str, member_id: str, level: Level, by: Who, now: datetime) -> None:
    """From the member's next request on. Raises Problem where the client has no such member."""
    async with web.house() as conn, conn.transaction():
        account_id = await conn.fetchval(
            "UPDATE service.team_members SET level = $3 WHERE id = $2 AND client_id = $1 AND ended_at IS NULL"
            " RETURNING account_id",
            *(client_id, member_id, level),
        )
        if account_id is None:
            raise not_found("member", member_id)
        await audit.note(
            conn, "member_changed", account_id=client_id, by=by, now=now, subject=member_id, team_level=level
        )
        name = await conn.fetchval("SELECT name FROM service.accounts WHERE id = $1", client_id)
        await account_letters.tell_of_level(
            conn, account_id=account_id, client_name=name, member_id=member_id, level=level, now=now
        )


async def end_membership(web: Gateway, *, client_id: str, member_id: str, by: Who, now: datetime) -> None:
    """None of the member's sessions acts for the client from their next request on. Raises Problem where the client
    has no such member."""
    async with web.house() as conn, conn.transaction():
        account_id = await conn.fetchval(
            "UPDATE service.team_members SET ended_at = $3 WHERE id = $2 AND client_id = $1 AND ended_at IS NULL"
            " RETURNING account_id",
            *(client_id, member_id, now),
        )
        if account_id is None:
            raise not_found("member", member_id)
        await audit.note(conn, "member_ended", account_id=client_id, by=by, now=now, subject=member_id)
        name = await conn.fetchval("SELECT name FROM service.accounts WHERE id = $1", client_id)
        await account_letters.tell_of_ended_membership(
            conn, account_id=account_id, client_name=name, member_id=member_id, now=now
        )


async def leave(web: Gateway, *, client_id: str, person: Account, via: str, now: datetime) -> None:
    """A member goes by themselves; the client is told. Raises Problem where the person is not in its team."""
    async with web.house() as conn, conn.transaction():
        member_id = await conn.fetchval(
            "UPDATE service.team_members SET ended_at = $3 WHERE account_id = $2 AND client_id = $1"
            " AND ended_at IS NULL RETURNING id",
            *(client_id, person.id, now),
        )
        if member_id is None:
            raise not_found("team", client_id)
        by = Who(role="client", actor=client_id, via=via, person=person.id)
        await audit.note(conn, "member_left", account_id=client_id, by=by, now=now, subject=member_id)
        await account_letters.tell_of_leaving(
            conn, account_id=client_id, member_name=person.name, member_id=member_id, now=now
        )


async def _found(conn: Connection, word: str, *, now: datetime) -> Opened:
    found = await find_invitation(conn, word, now=now)
    if found is None:
        raise Problem(
            "conflict",
            say("This invitation was used, was withdrawn or is too old; ask whoever invited you for another one."),
        )
    return found


async def _join(conn: Connection, web: Gateway, found: Opened, person: Account, *, via: str, now: datetime) -> None:
    """Use the invitation up and make its membership, in the caller's transaction. Raises Problem."""
    if person.role == "operator":
        raise Problem(
            "forbidden",
            say("An operator's account joins no team: it sees every client already. Be invited with another address."),
        )
    client = await _lock_client(conn, found.client_id)
    used = await conn.execute(
        f"UPDATE service.team_invitations i SET used_at = $2 WHERE id = $1 AND {_IS_OPEN} $2", *(found.id, now)
    )
    if used != "UPDATE 1":
        raise Problem(
            "conflict",
            say("This invitation was used, was withdrawn or is too old; ask whoever invited you for another one."),
        )
    await _check_members(conn, client)
    member_id = web.new_id("mem")
    status = await conn.execute(
        "INSERT INTO service.team_members (id, client_id, account_id, level, since, invited_by)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id, client_id) WHERE ended_at IS NULL DO NOTHING",
        *(member_id, client.id, person.id, found.level, now, found.invited_by),
    )
    if status != "INSERT 0 1":
        raise Problem("conflict", say("You are in the team of {client} already.", client=client.name))
    by = Who(role="client", actor=client.id, via=via, person=person.id)
    await audit.note(
        conn, "member_joined", account_id=client.id, by=by, now=now, subject=member_id, team_level=found.level
    )
    await account_letters.tell_of_change(
        conn, account_id=client.id, what=say("{name} is in your team now.", name=person.name), now=now
    )


@dataclass(frozen=True, kw_only=True)
class _Client:
    id: str
    name: str
    email: str


async def _lock_client(conn: Connection, client_id: str) -> _Client:
    """The client's row, so that of several who come at once each sees what the others did. Raises Problem."""
    row = await conn.fetchrow(
        "SELECT id, name, email FROM service.accounts WHERE id = $1 AND disabled_at IS NULL FOR NO KEY UPDATE",
        client_id,
    )
    if row is None:
        raise Problem("conflict", say("The account whose team this is was closed."))
    return read(_Client, row)


async def _check_room(conn: Connection, client: _Client, address: str, *, now: datetime) -> None:
    if address == client.email:
        raise Problem("invalid_request", say("{email} is your own address; you act for yourself.", email=address))
    is_in = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM service.team_members m JOIN service.accounts a ON a.id = m.account_id"
        " WHERE m.client_id = $1 AND m.ended_at IS NULL AND a.email = $2)",
        *(client.id, address),
    )
    if is_in:
        raise Problem("conflict", say("{email} is in your team already; change the level there.", email=address))
    waiting = [one.email for one in await list_invitations(conn, client.id, now=now)]
    if address in waiting:
        raise Problem("conflict", say("{email} is invited already; withdraw that invitation first.", email=address))
    if len(waiting) >= OPEN_MAX:
        raise Problem(
            "conflict",
            say(
                "{number} invitations are open, and {most} are the most; withdraw one, or wait until one is used.",
                number=len(waiting),
                most=OPEN_MAX,
            ),
        )
    await _check_members(conn, client)


async def _check_members(conn: Connection, client: _Client) -> None:
    number = await conn.fetchval(
        "SELECT count(*) FROM service.team_members WHERE client_id = $1 AND ended_at IS NULL", client.id
    )
    if number >= MEMBERS_MAX:
        raise Problem(
            "conflict",
            say(
                "{number} people are in the team of {client}, and {most} are the most; a membership has to be ended"
                " first.",
                number=number,
                client=client.name,
                most=MEMBERS_MAX,
            ),
        )


def _path_of(word: str) -> str:
    return f"/team/join?word={word}"
