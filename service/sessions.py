"""Signing in: one-time links, and sessions as rows that can be ended.

Links and cookies are random words; the database holds their SHA-256, so a stolen copy of it signs nobody in. A link's
page only shows a button (programs that fetch links in advance do not use it up); pressing it redeems the link.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from licensing.database import Connection
from service import audit
from service.accounts import Account, account_by_id
from service.who import Who

# A session that is used is noted this often, not at every request.
_SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody signed in. `word` is the cookie's content; `csrf` goes into forms and the header X-CSRF-Token."""

    account: Account
    word: str
    expires_at: datetime

    @property
    def csrf(self) -> str:
        return hmac.new(self.word.encode(), b"csrf", hashlib.sha256).hexdigest()

    @property
    def mark(self) -> str:
        """Tells it from the account's other sessions; signs nobody in."""
        return _mark_of(_digest(self.word))


async def make_link(conn: Connection, *, account_id: str, now: datetime, minutes: int) -> str:
    """The word of a new sign-in link, good once and for `minutes`."""
    word = secrets.token_urlsafe(32)
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO service.sign_in_links (digest, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            *(_digest(word), account_id, now, now + timedelta(minutes=minutes)),
        )
        # Whoever may run commands here makes them, and nobody else.
        await audit.note(conn, "link_made", account_id=account_id, by=Who(role="operator", actor=""), now=now)
    return word


async def redeem_link(conn: Connection, *, word: str, now: datetime, days: int) -> Session | None:
    """A session for a link's word, which is used up; None for a word that is unknown, used or too old."""
    async with conn.transaction():
        account_id = await conn.fetchval(
            "UPDATE service.sign_in_links SET used_at = $2"
            " WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 RETURNING account_id",
            *(_digest(word), now),
        )
        return await open_session(conn, account_id=account_id, now=now, days=days) if account_id else None


async def open_session(conn: Connection, *, account_id: str, now: datetime, days: int) -> Session | None:
    """A new session of an account; None where the account is disabled or gone."""
    account = await account_by_id(conn, account_id)
    if account is None or account.disabled_at is not None:
        return None
    word, expires_at = secrets.token_urlsafe(32), now + timedelta(days=days)
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO service.sessions (digest, account_id, created_at, expires_at, seen_at)"
            " VALUES ($1, $2, $3, $4, $3)",
            *(_digest(word), account_id, now, expires_at),
        )
        by = Who(role=account.role, actor=account_id, via=_mark_of(_digest(word)))
        await audit.note(conn, "signed_in", account_id=account_id, by=by, now=now)
    return Session(account=account, word=word, expires_at=expires_at)


async def find_session(conn: Connection, *, word: str, now: datetime) -> Session | None:
    """The session of a cookie; None where it is unknown, ended, too old, or its account is disabled."""
    row = await conn.fetchrow(
        "SELECT s.account_id, s.expires_at, s.seen_at FROM service.sessions s"
        " WHERE s.digest = $1 AND s.ended_at IS NULL AND s.expires_at > $2",
        *(_digest(word), now),
    )
    if row is None:
        return None
    account = await account_by_id(conn, row["account_id"])
    if account is None or account.disabled_at is not None:
        return None
    if now - row["seen_at"] > _SEEN_EVERY:
        await conn.execute("UPDATE service.sessions SET seen_at = $2 WHERE digest = $1", _digest(word), now)
    return Session(account=account, word=word, expires_at=row["expires_at"])


async def end_session(conn: Connection, session: Session, *, now: datetime) -> None:
    async with conn.transaction():
        status = await conn.execute(
            "UPDATE service.sessions SET ended_at = $2 WHERE digest = $1 AND ended_at IS NULL",
            *(_digest(session.word), now),
        )
        if status == "UPDATE 1":
            account = session.account
            by = Who(role=account.role, actor=account.id, via=session.mark)
            await audit.note(conn, "signed_out", account_id=account.id, by=by, now=now)


async def end_all_sessions(conn: Connection, *, account_id: str, now: datetime) -> int:
    """Sign an account out everywhere; how many sessions that ended."""
    async with conn.transaction():
        rows = await conn.fetch(
            "UPDATE service.sessions SET ended_at = $2 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2"
            " RETURNING digest",
            *(account_id, now),
        )
        for row in rows:
            by = Who(role="place", actor="", via=_mark_of(row["digest"]))
            await audit.note(conn, "signed_out", account_id=account_id, by=by, now=now)
    return len(rows)


def _mark_of(digest: bytes) -> str:
    return f"ses_{digest.hex()[:8]}"


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()
