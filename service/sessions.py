"""Signing in: one-time links, and sessions as rows that can be ended.

Links and cookies are random words; the database holds their SHA-256, so a stolen copy of it signs nobody in. A link's
page only shows a button (programs that fetch links in advance do not use it up); pressing it redeems the link.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from licensing.database import Connection
from service import audit
from service.accounts import Account, account_by_id, accounts_by_id, set_language
from service.areas import Level
from service.db.connections import read
from service.languages import spoken
from service.secret_words import digest_of_word, make_word
from service.who import PLACE, Who

LISTED_MAX = 100
"""Sessions of an account that its page lists."""
# A session that is used is noted this often, not at every request.
_SEEN_EVERY = timedelta(minutes=5)
_WHOEVER_RUNS_COMMANDS = Who(role="operator", actor="")
_ID = "'ses_' || left(encode(digest, 'hex'), 8)"
_ID_OF_S = "'ses_' || left(encode(s.digest, 'hex'), 8)"
# Whose team its person is in, by name; one that was ended, or whose client is closed, is not there.
_TEAMS = (
    "(SELECT jsonb_agg(jsonb_build_object('client_id', c.id, 'name', c.name, 'level', m.level) ORDER BY c.name, c.id)"
    " FROM service.team_members m JOIN service.accounts c ON c.id = m.client_id"
    " WHERE m.account_id = sessions.account_id AND m.ended_at IS NULL AND c.disabled_at IS NULL)"
)
_HAS_FACTOR = (
    "EXISTS (SELECT FROM service.second_factors f WHERE f.account_id = sessions.account_id AND f.on_since IS NOT NULL)"
)


Way = Literal["link", "password"]
"""How a session was opened."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """A client's team that a person is in, and as what."""

    client_id: str
    name: str
    level: Level


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody signed in. `word` is the cookie's content; `csrf` goes into forms and the header X-CSRF-Token.

    `person` is who signed in, `account` for whom this request acts: the person, or a client of whose team they are.
    `acts_for` is the client that the session was switched to; it stays when the membership ends, so that nothing that
    was meant for the client is done in the person's own name.
    """

    account: Account
    person: Account
    acts_for: str | None = None
    teams: tuple[Team, ...] = ()
    word: str
    opened_at: datetime
    expires_at: datetime
    way: Way
    has_second_factor: bool
    """Whether the account has one that is on."""

    @property
    def csrf(self) -> str:
        """It names for whom the page acts, so that one of before a switch does nothing for another."""
        own = hmac.new(self.word.encode(), b"csrf", hashlib.sha256).hexdigest()
        return f"{own}.{self.acts_for}" if self.acts_for else own

    @property
    def team(self) -> Team | None:
        """The membership by which it acts, or would; None where it acts for its person, or it has ended."""
        return next((team for team in self.teams if team.client_id == self.acts_for), None)

    @property
    def level(self) -> Level | None:
        """As what this request acts for a client; None where it acts for the person."""
        return self.team.level if self.team is not None and self.account.id == self.acts_for else None

    @property
    def as_person(self) -> "Session":
        """The same for what is the person's own."""
        return replace(self, account=self.person)

    @property
    def is_persons(self) -> bool:
        """Whether this request acts for the person."""
        return self.account.id == self.person.id

    @property
    def mark(self) -> str:
        """Tells it from the account's other sessions; signs nobody in."""
        return _mark_of(digest_of_word(self.word))


@dataclass(frozen=True, kw_only=True)
class ListedSession:
    """A session that lets somebody in, as its owner sees it. `device` is a browser in words, empty where it is unknown;
    `seen_at` is some minutes behind."""

    id: str
    way: Way
    device: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


async def make_link(
    conn: Connection, *, account_id: str, now: datetime, minutes: int, by: Who = _WHOEVER_RUNS_COMMANDS
) -> str:
    """The word of a new sign-in link, good once and for `minutes`."""
    word = make_word()
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO service.sign_in_links (digest, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            *(digest_of_word(word), account_id, now, now + timedelta(minutes=minutes)),
        )
        await audit.note(conn, "link_made", account_id=account_id, by=by, now=now)
    return word


async def use_link(conn: Connection, *, word: str, now: datetime) -> str | None:
    """Whose link this is, which is used up; None for a word that is unknown, used or too old."""
    account_id: str | None = await conn.fetchval(
        "UPDATE service.sign_in_links SET used_at = $2"
        " WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 RETURNING account_id",
        *(digest_of_word(word), now),
    )
    return account_id


async def open_session(
    conn: Connection, *, account_id: str, now: datetime, days: int, way: Way = "link", device: str = ""
) -> Session | None:
    """A new session of an account; None where the account is disabled or gone. The first one tells which language its
    person reads."""
    account = await account_by_id(conn, account_id)
    if account is None or account.disabled_at is not None:
        return None
    if account.language is None:
        account = replace(account, language=spoken())
        await set_language(conn, account_id, spoken())
    word, expires_at = make_word(), now + timedelta(days=days)
    async with conn.transaction():
        has_factor = await conn.fetchval(
            "INSERT INTO service.sessions (digest, account_id, created_at, expires_at, seen_at, way, device)"
            f" VALUES ($1, $2, $3, $4, $3, $5, $6) RETURNING {_HAS_FACTOR}",
            *(digest_of_word(word), account_id, now, expires_at, way, device),
        )
        by = Who(role=account.role, actor=account_id, via=_mark_of(digest_of_word(word)))
        await audit.note(conn, "signed_in", account_id=account_id, by=by, now=now, way=way)
    return Session(
        account=account,
        person=account,
        word=word,
        opened_at=now,
        expires_at=expires_at,
        way=way,
        has_second_factor=has_factor,
    )


async def find_session(conn: Connection, *, word: str, now: datetime) -> Session | None:
    """The session of a cookie, as it acts now; None where it is unknown, ended, too old, or its person's account is
    disabled. On a connection that acts for the house."""
    row = await conn.fetchrow(
        f"SELECT account_id, acts_for, created_at, expires_at, seen_at, way, {_HAS_FACTOR} AS has_factor,"
        f" {_TEAMS} AS teams FROM service.sessions WHERE digest = $1 AND ended_at IS NULL AND expires_at > $2",
        *(digest_of_word(word), now),
    )
    if row is None:
        return None
    found = await accounts_by_id(conn, {row["account_id"], row["acts_for"]} - {None})
    person = found.get(row["account_id"])
    if person is None or person.disabled_at is not None:
        return None
    teams = _teams(row["teams"])
    acts = any(team.client_id == row["acts_for"] for team in teams)
    if now - row["seen_at"] > _SEEN_EVERY:
        await conn.execute("UPDATE service.sessions SET seen_at = $2 WHERE digest = $1", digest_of_word(word), now)
    return Session(
        account=found[row["acts_for"]] if acts else person,
        person=person,
        acts_for=row["acts_for"],
        teams=teams,
        word=word,
        opened_at=row["created_at"],
        expires_at=row["expires_at"],
        way=row["way"],
        has_second_factor=row["has_factor"],
    )


async def switch_acting(conn: Connection, session: Session, client_id: str | None) -> bool:
    """From its next request on the session acts for a client, or with None for its person. False where the person is
    not in that client's team."""
    if client_id is not None and all(team.client_id != client_id for team in session.teams):
        return False
    await conn.execute(
        "UPDATE service.sessions SET acts_for = $2 WHERE digest = $1", *(digest_of_word(session.word), client_id)
    )
    return True


async def list_sessions(
    conn: Connection, account_id: str, *, now: datetime, limit: int = LISTED_MAX, after: str = ""
) -> list[ListedSession]:
    """The sessions that let an account's owner in, newest first, those after the id `after`."""
    rows = await conn.fetch(
        f"SELECT {_ID} AS id, way, device, created_at, seen_at, expires_at FROM service.sessions"
        " WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2 AND ($3 = '' OR (created_at, digest) <"
        f" (SELECT s.created_at, s.digest FROM service.sessions s WHERE s.account_id = $1 AND {_ID_OF_S} = $3))"
        " ORDER BY created_at DESC, digest DESC LIMIT $4",
        *(account_id, now, after, limit),
    )
    return [read(ListedSession, row) for row in rows]


async def end_session(conn: Connection, session: Session, *, now: datetime) -> None:
    """Sign out."""
    account = session.person
    by = Who(role=account.role, actor=account.id, via=session.mark)
    await end_listed(conn, session.mark, account_id=account.id, by=by, now=now)


async def end_listed(conn: Connection, session_id: str, *, account_id: str, by: Who, now: datetime) -> bool:
    """End one session of an account. False where it has none of this id that lets anybody in."""
    return await _end(conn, f"{_ID} = $3", session_id, account_id=account_id, by=by, now=now) > 0


async def end_all_sessions(
    conn: Connection, *, account_id: str, now: datetime, by: Who = PLACE, but: Session | None = None
) -> int:
    """Sign an account out everywhere, `but` in one browser; how many sessions that ended."""
    kept = digest_of_word(but.word) if but else b""
    return await _end(conn, "digest <> $3", kept, account_id=account_id, by=by, now=now)


async def _end(conn: Connection, which: str, value: object, *, account_id: str, by: Who, now: datetime) -> int:
    async with conn.transaction():
        rows = await conn.fetch(
            "UPDATE service.sessions SET ended_at = $2 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2"
            f" AND {which} RETURNING digest",
            *(account_id, now, value),
        )
        for row in rows:
            ended = _mark_of(row["digest"])
            who = by if by.via else replace(by, via=ended)
            await audit.note(conn, "signed_out", account_id=account_id, by=who, now=now, subject=ended)
    return len(rows)


def _teams(told: Any) -> tuple[Team, ...]:
    rows = json.loads(told) if isinstance(told, str) else told or []
    return tuple(Team(**row) for row in rows)


def _mark_of(digest: bytes) -> str:
    return f"ses_{digest.hex()[:8]}"
