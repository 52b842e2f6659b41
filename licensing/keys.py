"""API keys: shown once, kept as keyed hashes, checked against the database every time.

A token is `oh_<kind>_`, 43 random letters and digits (256 bits), and 6 that are the checksum of what stands before
them, so that secret scanners can tell a token from a word and a typing mistake costs no look-up.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from licensing.database import Connection
from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.sentence import say

KeyKind = Literal["live", "test", "creator", "operator"]

_ALPHABET = string.digits + string.ascii_letters
_RANDOM_LENGTH, _CHECKSUM_LENGTH, _HINT_LENGTH = 43, 6, 4
_TOKEN = re.compile(rf"oh_({'|'.join(get_args(KeyKind))})_[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")
# How stale `last_used_at` may be: a write at every request would cost more than the request.
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


KEY_COLUMNS = "k.digest, k.key_id, k.account_id, k.kind, k.scopes, k.cap, k.last_used_at"
"""In SQL: what `callers_of` reads of a live key `k`."""


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key. `token` is known here and nowhere else: it cannot be shown again."""

    id: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a valid token belongs to and what it may do. `cap` is the key's lifetime spending limit in minor units;
    `is_first_use` is true of one call, the first that came with the token."""

    key_id: str
    account_id: str
    kind: KeyKind
    scopes: frozenset[str]
    cap: int | None
    is_first_use: bool = False

    @property
    def test(self) -> bool:
        return self.kind == "test"


@dataclass(frozen=True, kw_only=True)
class ListedKey:
    """A key as its owner sees it. `hint` is the token's beginning; `spent` and `held` (minor units) count to `cap`."""

    id: str
    kind: KeyKind
    hint: str
    scopes: frozenset[str]
    cap: int | None
    spent: int
    held: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


async def issue(
    conn: Connection,
    *,
    account_id: str,
    kind: KeyKind,
    scopes: Iterable[str] = (),
    cap: int | None = None,
    expires_at: datetime | None = None,
    new_id: Callable[[str], str],
    now: datetime,
    pepper: bytes,
) -> IssuedKey:
    """Make a key for an account; only HMAC-SHA256(pepper, token) is stored. `new_id("key")` names it."""
    key_id = new_id("key")
    body = f"oh_{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    token = body + _checksum(body)
    hint = body[: len(f"oh_{kind}_") + _HINT_LENGTH]
    async with conn.transaction():
        await conn.execute(
            """
            INSERT INTO licensing.api_key (key_id, account_id, kind, hint, digest, scopes, cap, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            *(key_id, account_id, kind, hint, _digest(token, pepper), sorted(set(scopes)), cap, now, expires_at),
        )
        if cap is not None:
            await conn.execute(
                """
                INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
                VALUES ('cap:' || $1, $2, 'cap', 'minor', $3)
                """,
                *(key_id, account_id, cap),
            )
    return IssuedKey(id=key_id, token=token)


async def rotate(
    conn: Connection,
    *,
    key_id: str,
    account_id: str,
    overlap: timedelta,
    new_id: Callable[[str], str],
    now: datetime,
    pepper: bytes,
) -> IssuedKey | None:
    """A key in another's place, of the same kind, scopes and end; the old one works on for `overlap`.

    What is left of a spending limit goes over at once, so that two keys never spend it twice: until its end the old one
    may still order what a plan or a licence pays. None where the account has no such key, or it has ended.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('key', $1))", key_id)
        old = await conn.fetchrow(
            """
            UPDATE licensing.api_key SET expires_at = least(api_key.expires_at, $3) FROM
                (SELECT kind, scopes, cap, expires_at FROM licensing.api_key WHERE key_id = $1) AS before
            WHERE api_key.key_id = $1 AND api_key.account_id = $2 AND api_key.revoked_at IS NULL
              AND (api_key.expires_at IS NULL OR api_key.expires_at > $4)
            RETURNING before.*
            """,
            *(key_id, account_id, now + overlap, now),
        )
        if old is None:
            return None
        left = await conn.fetchval(
            """
            UPDATE licensing.budget SET granted = posted + pending FROM
                (SELECT granted - posted - pending AS left FROM licensing.budget
                 WHERE budget_id = 'cap:' || $1 FOR UPDATE) AS before
            WHERE budget_id = 'cap:' || $1 RETURNING before.left
            """,
            key_id,
        )
        return await issue(
            conn,
            account_id=account_id,
            kind=old["kind"],
            scopes=old["scopes"],
            cap=left,
            expires_at=old["expires_at"],
            new_id=new_id,
            now=now,
            pepper=pepper,
        )


async def authenticate(conn: Connection, token: str, *, now: datetime, pepper: bytes) -> Caller | None:
    """Who holds `token`; None for a mistyped, unknown, expired or revoked one."""
    return (await authenticate_all(conn, [token], now=now, pepper=pepper))[0]


async def authenticate_all(
    conn: Connection, tokens: Sequence[str], *, now: datetime, pepper: bytes
) -> list[Caller | None]:
    """`authenticate` for many: an answer for each, in their order."""
    digests = digests_of(tokens, pepper=pepper)
    rows = await conn.fetch(f"SELECT {KEY_COLUMNS} FROM licensing.live_keys($1, $2) k", list(set(digests)), now)
    return await callers_of(conn, digests, rows, now=now)


def digests_of(tokens: Sequence[str], *, pepper: bytes) -> list[bytes]:
    """Under which tokens are kept; nothing for one that is none."""
    return [_digest(token, pepper) if well_formed(token) else b"" for token in tokens]


async def callers_of(
    conn: Connection, digests: Sequence[bytes], rows: Sequence[Mapping[str, Any]], *, now: datetime
) -> list[Caller | None]:
    """The callers whom digests are of, by the rows that `licensing.live_keys` found for them. Notes that they came."""
    noted_before = now - _USE_IS_NOTED_EVERY
    used = [row["key_id"] for row in rows if row["last_used_at"] is None or row["last_used_at"] <= noted_before]
    noted = await _note_use(conn, used, now=now, before=noted_before) if used else set()
    # Of many calls at once one writes it; the first to write is the first.
    first = {row["key_id"] for row in rows if row["last_used_at"] is None} & noted
    known = {row["digest"]: _caller(row) for row in rows}
    answers = list[Caller | None]()
    for caller in map(known.get, digests):
        if caller is not None and caller.key_id in first:
            first.remove(caller.key_id)
            answers.append(replace(caller, is_first_use=True))
        else:
            answers.append(caller)
    return answers


async def works(conn: Connection, *, key_id: str, now: datetime) -> bool:
    """Whether a key that was let in before is neither revoked nor over since."""
    found: bool = await conn.fetchval(
        """
        SELECT EXISTS (SELECT FROM licensing.api_key
                       WHERE key_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2))
        """,
        *(key_id, now),
    )
    return found


async def _note_use(conn: Connection, key_ids: Sequence[str], *, now: datetime, before: datetime) -> set[str]:
    """Write when keys were used last; which. Who finds it written, or being written, goes on."""
    rows = await conn.fetch(
        """
        UPDATE licensing.api_key SET last_used_at = $2 WHERE key_id IN (
            SELECT key_id FROM licensing.api_key
            WHERE key_id = ANY ($1) AND (last_used_at IS NULL OR last_used_at <= $3) FOR UPDATE SKIP LOCKED)
        RETURNING key_id
        """,
        *(list(key_ids), now, before),
    )
    return {row["key_id"] for row in rows}


def _caller(row: Mapping[str, Any]) -> Caller:
    return Caller(
        key_id=row["key_id"],
        account_id=row["account_id"],
        kind=row["kind"],
        scopes=frozenset(row["scopes"]),
        cap=row["cap"],
    )


async def change_cap(conn: Connection, *, key_id: str, account_id: str, cap: Money, now: datetime) -> Refusal | None:
    """Raise or lower a key's lifetime spending limit, from the next order on. Refusals: not_found (no such key of this
    account, one that ended, or one without a limit), conflict (more than that is spent and held)."""
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('key', $1))", key_id)
        row = await conn.fetchrow(
            """
            SELECT b.posted + b.pending AS used FROM licensing.api_key k
            JOIN licensing.budget b ON b.budget_id = 'cap:' || k.key_id
            WHERE k.key_id = $1 AND k.account_id = $2 AND k.revoked_at IS NULL
              AND (k.expires_at IS NULL OR k.expires_at > $3) FOR UPDATE OF b
            """,
            *(key_id, account_id, now),
        )
        if row is None:
            return refuse("not_found", what=say("key with a spending limit"), id=key_id)
        if row["used"] > cap.amount:
            used = Money(row["used"], cap.currency)
            return refuse(
                "conflict",
                what=say(
                    "{used} are spent and held with key {key_id}, more than {cap}", used=used, key_id=key_id, cap=cap
                ),
            )
        await conn.execute("UPDATE licensing.api_key SET cap = $2 WHERE key_id = $1", key_id, cap.amount)
        await conn.execute(
            "UPDATE licensing.budget SET granted = $2 WHERE budget_id = 'cap:' || $1", key_id, cap.amount
        )
    return None


async def check_cap(conn: Connection, *, key_id: str, amount: Money) -> Refusal | None:
    """Whether a key may spend so much, as an order with it would be answered now. Holds nothing."""
    row = await conn.fetchrow(
        "SELECT granted, granted - posted - pending AS left FROM licensing.budget WHERE budget_id = 'cap:' || $1",
        key_id,
    )
    if row is None or amount.amount <= row["left"]:
        return None
    return refuse(
        "spend_cap_reached",
        amount=amount.amount,
        currency=amount.currency,
        key_id=key_id,
        cap=row["granted"],
        left=row["left"],
    )


async def revoke(conn: Connection, *, key_id: str, account_id: str, now: datetime) -> bool:
    """End a key: once this is committed, no order is reserved with it. False where the account has no such key."""
    async with conn.transaction():
        # Waits for the orders that are being reserved with the key at this moment; `reserve` holds the shared side.
        await conn.execute("SELECT pg_advisory_xact_lock(licensing.lock_no('key', $1))", key_id)
        row = await conn.fetchrow(
            """
            UPDATE licensing.api_key SET revoked_at = coalesce(revoked_at, $3)
            WHERE key_id = $1 AND account_id = $2 RETURNING key_id
            """,
            *(key_id, account_id, now),
        )
    return row is not None


async def listing(conn: Connection, *, account_id: str) -> list[ListedKey]:
    """All keys of an account, newest first, revoked ones included."""
    rows = await conn.fetch(
        """
        SELECT k.*, coalesce(b.posted, 0) AS spent, coalesce(b.pending, 0) AS held
        FROM licensing.api_key k LEFT JOIN licensing.budget b ON b.budget_id = 'cap:' || k.key_id
        WHERE k.account_id = $1 ORDER BY k.created_at DESC, k.key_id
        """,
        account_id,
    )
    return [
        ListedKey(
            id=row["key_id"],
            kind=row["kind"],
            hint=row["hint"],
            scopes=frozenset(row["scopes"]),
            cap=row["cap"],
            spent=row["spent"],
            held=row["held"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            last_used_at=row["last_used_at"],
        )
        for row in rows
    ]


def well_formed(token: str) -> bool:
    """True if the prefix is known and the checksum fits: tells a typing mistake from a revoked key, offline."""
    if not _TOKEN.fullmatch(token):
        return False
    body, checksum = token[:-_CHECKSUM_LENGTH], token[-_CHECKSUM_LENGTH:]
    return hmac.compare_digest(checksum, _checksum(body))


def _digest(token: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, token.encode(), hashlib.sha256)


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
