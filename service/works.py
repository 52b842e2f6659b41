"""Works: the files of a portfolio, and the right to each of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from licensing.database import Connection
from service.db.connections import read

Rights = Literal["mine", "client_consented", "licensed", "unsure"]

_IS_LOCKED = (
    "EXISTS (SELECT FROM service.claims k WHERE k.sha256 = works.sha256 AND k.creator_id = works.creator_id"
    " AND k.in_effect_at IS NOT NULL)"
)
IS_REFUSED = (
    "coalesce((SELECT k.answer = 'no' OR k.withdrawn_at IS NOT NULL FROM service.consent_works c"
    " JOIN service.consents k ON k.id = c.consent_id"
    " WHERE c.creator_id = works.creator_id AND c.sha256 = works.sha256 AND k.answer IS NOT NULL"
    " ORDER BY coalesce(k.withdrawn_at, k.answered_at) DESC, k.id DESC LIMIT 1), false)"
)
"""SQL over `works`: whoever was asked last for consent to the file said no, or took the yes back."""
_COLUMNS = (
    "id, style_id, creator_id, filename, mime, width, height, num_bytes, sha256, storage_key, rights, captions,"
    " suggested, include, kept, offered_at, created_at, updated_at,"
    f" {_IS_LOCKED} AS is_locked, {IS_REFUSED} AS is_refused"
)
_IS_HELD = (
    f"({_IS_LOCKED} OR {IS_REFUSED} OR EXISTS (SELECT FROM service.cases c WHERE c.subject = works.id"
    " AND c.outcome IS DISTINCT FROM 'allowed'"
    " AND c.id = (SELECT max(id) FROM service.cases WHERE subject = works.id)))"
)
# What the last answer about the file allows beside training; NULL where nobody was asked, or nobody has answered.
_IS_COVERED = (
    "(SELECT k.answer = 'yes' AND k.withdrawn_at IS NULL AND k.covers_starts FROM service.consent_works c"
    " JOIN service.consents k ON k.id = c.consent_id"
    " WHERE c.creator_id = works.creator_id AND c.sha256 = works.sha256 AND k.answer IS NOT NULL"
    " ORDER BY coalesce(k.withdrawn_at, k.answered_at) DESC, k.id DESC LIMIT 1)"
)
MAY_BE_START = (
    f"(CASE works.rights WHEN 'mine' THEN coalesce({_IS_COVERED}, true)"
    f" WHEN 'client_consented' THEN coalesce({_IS_COVERED}, false) ELSE false END AND NOT {_IS_HELD})"
)
"""SQL over `works`: clients may start from it, if its creator offers that. Whoever was asked about the file and said
yes to training alone was told that no client sees it."""
IS_START = (
    f"(works.offered_at IS NOT NULL AND {MAY_BE_START} AND EXISTS (SELECT FROM service.styles s"
    " WHERE s.id = works.style_id AND s.destroyed_at IS NULL))"
)
"""SQL over `works`: clients may start from it now (`service.starting_points`)."""


@dataclass(frozen=True, kw_only=True)
class StoredWork:
    """One file. Only a work with `include` and rights other than `unsure` ever reaches a training."""

    id: str
    style_id: str
    creator_id: str
    filename: str
    mime: str
    width: int
    height: int
    num_bytes: int
    sha256: str
    storage_key: str
    rights: Rights
    captions: tuple[str, ...]
    """The creator's own words for it."""
    suggested: tuple[str, ...]
    """What a captioning model says of it; empty where none is configured, or nobody needed its words."""
    include: bool
    kept: dict[str, str]
    """What its creator answered to findings: kind -> why the work stays."""
    offered_at: datetime | None
    """Since when its creator offers it as a starting point; whether clients may start from it now, `IS_START` says."""
    created_at: datetime
    updated_at: datetime
    is_locked: bool
    """A claim to it was upheld: nobody opens its file but whoever decides."""
    is_refused: bool
    """Whoever was asked for consent said no or took a yes back: its rights stay `unsure` until somebody says yes."""

    @property
    def may_train(self) -> bool:
        return self.include and self.rights != "unsure" and not self.is_locked

    @property
    def words(self) -> tuple[str, ...]:
        """What it trains with: the creator's own words, else suggested ones; without either its name speaks."""
        return self.captions or self.suggested


@dataclass(frozen=True, kw_only=True)
class NewWork:
    """A file that passed the checks and lies in storage."""

    id: str
    style_id: str
    creator_id: str
    filename: str
    mime: str
    width: int
    height: int
    num_bytes: int
    sha256: str
    storage_key: str
    rights: Rights


def thumbnail_key(storage_key: str) -> str:
    """Where the small JPEG beside a work's file lies."""
    return f"{storage_key}.thumbnail.jpg"


def hashes_of(works: Sequence[StoredWork]) -> dict[str, str]:
    """SHA-256 by storage key."""
    return {work.storage_key: work.sha256 for work in works}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def add_work(conn: Connection, work: NewWork, *, most: int, now: datetime) -> StoredWork | int:
    """The stored work; or how many there are, where the style already has `most`.

    The same file again returns what is there: an upload that was cut off can simply be repeated.
    """
    async with conn.transaction():
        # Two uploads at once count one after the other.
        await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", work.style_id)
        there = await work_with_digest(conn, style_id=work.style_id, sha256=work.sha256)
        if there is not None:
            return there
        count: int = await conn.fetchval("SELECT count(*) FROM service.works WHERE style_id = $1", work.style_id)
        if count >= most:
            return count
        row = await conn.fetchrow(
            "INSERT INTO service.works (id, style_id, creator_id, filename, mime, width, height, num_bytes, sha256,"
            " storage_key, rights, created_at, updated_at)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING {_COLUMNS}",
            *(work.id, work.style_id, work.creator_id, work.filename, work.mime, work.width, work.height),
            *(work.num_bytes, work.sha256, work.storage_key, work.rights, now),
        )
    assert row is not None
    return _read(row)


async def work_with_digest(conn: Connection, *, style_id: str, sha256: str) -> StoredWork | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.works WHERE style_id = $1 AND sha256 = $2", style_id, sha256
    )
    return _read(row) if row else None


async def find_work(conn: Connection, work_id: str, *, creator_id: str) -> StoredWork | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.works WHERE id = $1 AND creator_id = $2", work_id, creator_id
    )
    return _read(row) if row else None


async def work_by_id(conn: Connection, work_id: str) -> StoredWork | None:
    """Anybody's work: for the operator alone."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM service.works WHERE id = $1", work_id)
    return _read(row) if row else None


async def list_works(
    conn: Connection, *, style_id: str, creator_id: str, limit: int = 1000, after: str | None = None
) -> list[StoredWork]:
    """A style's works in the order they came."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.works WHERE style_id = $1 AND creator_id = $2"
        " AND ($3::text IS NULL OR id > $3) ORDER BY id LIMIT $4",
        *(style_id, creator_id, after, limit),
    )
    return [_read(row) for row in rows]


async def list_wordless(conn: Connection, style_id: str) -> list[StoredWork]:
    """The works of a style that nobody has words for yet; none of a style that is destroyed."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.works WHERE style_id = $1 AND include AND captions = '{{}}'"
        " AND suggested = '{}'"
        " AND EXISTS (SELECT FROM service.styles s WHERE s.id = style_id AND s.destroyed_at IS NULL) ORDER BY id",
        style_id,
    )
    return [_read(row) for row in rows]


async def change_work(
    conn: Connection,
    *,
    work_id: str,
    creator_id: str,
    now: datetime,
    rights: Rights | None = None,
    captions: Sequence[str] | None = None,
    include: bool | None = None,
) -> StoredWork | None:
    """The work after the change; None where this creator has no such work. None leaves a field as it is.

    A work whose right is withdrawn takes every published version that learnt from it out of the catalogue. The rights
    of a work that a case, a claim or a refused consent holds stay `unsure` whatever is asked, and one that a claim
    locks is not used. With other rights it is no starting point any more, until its creator offers it again.
    """
    async with conn.transaction():
        row = await conn.fetchrow(
            f"UPDATE service.works SET rights = CASE WHEN {_IS_HELD} THEN 'unsure' ELSE coalesce($3, rights) END,"
            "  offered_at = CASE WHEN coalesce($3, rights) = rights THEN offered_at END,"
            "  captions = coalesce($4, captions),"
            f" include = coalesce($5, include) AND NOT {_IS_LOCKED}, updated_at = $6"
            f" WHERE id = $1 AND creator_id = $2 RETURNING {_COLUMNS}",
            *(work_id, creator_id, rights, None if captions is None else list(captions), include, now),
        )
        if row is None:
            return None
        if row["rights"] == "unsure":
            await _unpublish_versions_with(conn, work_id=work_id, now=now)
    return _read(row)


async def offer_work(
    conn: Connection, *, work_id: str, creator_id: str, is_offered: bool, now: datetime
) -> StoredWork | None:
    """Let clients start variations from a work, or no more; the work after it. None where it may be no starting point
    (`MAY_BE_START`), or this creator has no such work."""
    row = await conn.fetchrow(
        "UPDATE service.works SET offered_at = CASE WHEN $3::boolean THEN coalesce(offered_at, $4) END, updated_at = $4"
        f" WHERE id = $1 AND creator_id = $2 AND (NOT $3::boolean OR {MAY_BE_START}) RETURNING {_COLUMNS}",
        *(work_id, creator_id, is_offered, now),
    )
    return _read(row) if row else None


async def suggest(conn: Connection, *, work_id: str, captions: Sequence[str], now: datetime) -> None:
    """Keep what a captioning model says of a work, beside the creator's own words."""
    await conn.execute(
        "UPDATE service.works SET suggested = $2, updated_at = $3 WHERE id = $1", *(work_id, list(captions), now)
    )


async def take_suggested(conn: Connection, *, work_id: str, creator_id: str, now: datetime) -> None:
    """Make the suggested words of a work its creator's own; where there are own words already they stay."""
    await conn.execute(
        "UPDATE service.works SET captions = suggested, updated_at = $3"
        " WHERE id = $1 AND creator_id = $2 AND captions = '{}'",
        *(work_id, creator_id, now),
    )


async def release_work(conn: Connection, *, work_id: str, rights: Rights, now: datetime) -> None:
    """Give a work that a case held the rights back that its creator had named."""
    await conn.execute(
        "UPDATE service.works SET rights = $2, updated_at = $3"
        f" WHERE id = $1 AND NOT {_IS_LOCKED} AND NOT {IS_REFUSED}",
        *(work_id, rights, now),
    )


async def keep_work(
    conn: Connection, *, work_id: str, creator_id: str, kind: str, reason: str, now: datetime
) -> StoredWork | None:
    """Note why a work stays in spite of a finding of a kind; an empty reason takes the answer back. None where this
    creator has no such work."""
    row = await conn.fetchrow(
        "UPDATE service.works SET kept = CASE WHEN $4::text = '' THEN kept - $3::text"
        " ELSE kept || jsonb_build_object($3::text, $4::text) END,"
        f" updated_at = $5 WHERE id = $1 AND creator_id = $2 RETURNING {_COLUMNS}",
        *(work_id, creator_id, kind, reason, now),
    )
    return _read(row) if row else None


async def delete_work(conn: Connection, *, work_id: str, creator_id: str, now: datetime) -> StoredWork | None:
    """Forget a work and take every published version that learnt from it out of the catalogue.

    Returns what was deleted, so that the caller can delete its file; None where this creator has no such work.
    """
    async with conn.transaction():
        row = await conn.fetchrow(
            f"DELETE FROM service.works WHERE id = $1 AND creator_id = $2 RETURNING {_COLUMNS}", work_id, creator_id
        )
        if row is None:
            return None
        await _unpublish_versions_with(conn, work_id=work_id, now=now)
    return _read(row)


async def _unpublish_versions_with(conn: Connection, *, work_id: str, now: datetime) -> None:
    rows = await conn.fetch("SELECT id FROM service.versions WHERE state = 'published' AND work_ids ? $1", work_id)
    await unpublish(conn, [row["id"] for row in rows], now=now)


async def unpublish(conn: Connection, version_ids: Sequence[str], *, now: datetime) -> None:
    """Take those of these versions off sale that are published, because a work in them lost its right."""
    await conn.execute(
        "WITH gone AS (UPDATE service.versions SET state = 'retired'"
        " WHERE state = 'published' AND id = ANY($1::text[]) RETURNING id, creator_id, style_id, number),"
        " noted AS (INSERT INTO service.audit (at, account_id, style_id, kind, subject, role, data)"
        " SELECT $2, creator_id, style_id, 'version_unpublished', id, 'place', jsonb_build_object('number', number)"
        " FROM gone)"
        " UPDATE service.styles SET published_version_id = NULL, updated_at = $2"
        " WHERE published_version_id IN (SELECT id FROM gone)",
        *(list(version_ids), now),
    )


def _read(row: asyncpg.Record) -> StoredWork:
    words = {name: tuple(row[name]) for name in ("captions", "suggested")}
    return read(StoredWork, dict(row) | words)
