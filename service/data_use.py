"""The data-use ledger: the one way in which a creator's file is opened. Who, why, for which job, which bytes, when.

    asked with a purpose -> may this job open it? -> a row, committed -> the bytes
                            no -> a row for the creator whose file it is, FileRefused; nothing was read

A job opens what leads to its own creator's version and nothing else: a training the works of its style, a drawing the
files of the version that was ordered, and the work it starts from. Whose a file is follows from where it lies, never
from what a job says of it.

A row is what a job got at once: a training's 200 works are one row with 200 hashes. What a creator looks at in their
own studio, what somebody sees who is asked for consent, what clients see to choose where to start from, and what a
worker reads with every picture to tell near-copies, would drown the rest; of these there is a row for a style, a day
(UTC) and a reader, with the first file. Rows are never changed or deleted: a trigger refuses.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import asyncpg

from licensing.database import Connection
from licensing.sentence import say
from service.db.conditions import named
from service.db.connections import read
from service.errors import FileRefused, ObjectMissing
from service.resources import Resources
from service.storage import Storage
from service.who import Who, WhoRole
from service.works import IS_START, thumbnail_key

Purpose = Literal[
    "review",
    "description",
    "training",
    "drawing",
    "variation",
    "checking",
    "showing",
    "own",
    "case",
    "consent",
    "export",
    "deletion",
]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
_ONCE_A_DAY = ("own", "checking", "consent", "showing")

# What a purpose allows the job $1, the style $2 or the account $3: whose files (NULL: anybody's, where the keys say it
# all), of which style, under which keys. No row: nothing.
_STYLE = "SELECT creator_id, id AS style_id, ARRAY['works/' || id || '/'] AS may FROM service.styles WHERE id = $2"
_VERSION = (
    "SELECT creator_id, style_id, ARRAY[adapter_key, flat_key, looks_key] AS may FROM service.versions"
    " WHERE id = coalesce((SELECT version_id FROM service.generations WHERE id = $1),"
    "  (SELECT version_id FROM service.tries WHERE id = $1), $1)"
)
_ACCOUNT = (
    "SELECT id AS creator_id, NULL::text AS style_id, ARRAY['works/', 'trainings/'] AS may FROM service.accounts"
    " WHERE id = $3"
)
_MAY_OPEN: dict[Purpose, str] = {
    "review": _STYLE,
    "description": _STYLE,
    "training": "SELECT creator_id, style_id, ARRAY['works/' || style_id || '/', 'trainings/' || id || '/',"
    " 'trainings/' || coalesce(of_training, id) || '/'] AS may FROM service.trainings WHERE id = $1",
    "drawing": _VERSION,
    # Works that their creator offers to start from: whole to the order that names one, small to clients who choose.
    "variation": "SELECT works.creator_id, works.style_id, ARRAY[works.storage_key] AS may FROM service.works"
    " JOIN service.generations g ON g.style_id = works.style_id AND g.request ->> 'start' = works.id"
    f" WHERE g.id = $1 AND {IS_START}",
    "checking": _VERSION,
    "showing": "SELECT creator_id, style_id, array_agg(storage_key || '" + thumbnail_key("") + "') AS may"
    " FROM service.works"
    f" WHERE style_id = $2 AND {IS_START} GROUP BY creator_id, style_id",
    "own": _ACCOUNT,
    "export": _ACCOUNT,
    "consent": "SELECT k.creator_id, k.style_id, array_agg('works/' || w.style_id || '/' || w.id || '.') AS may"
    " FROM service.consents k JOIN service.consent_works c ON c.consent_id = k.id"
    " JOIN service.works w ON w.id = c.work_id WHERE k.id = $1 AND k.revoked_at IS NULL AND k.withdrawn_at IS NULL"
    " AND k.answer IS DISTINCT FROM 'no' GROUP BY k.creator_id, k.style_id",
    "case": "SELECT NULL::text AS creator_id, NULL::text AS style_id,"
    " array_agg('works/' || w.style_id || '/' || w.id || '.') AS may FROM service.works w WHERE w.id IN"
    " (SELECT unnest(ARRAY[subject, evidence->>'other']) FROM service.cases WHERE id = $1"
    "  UNION SELECT work_id FROM service.claims WHERE id = $1)"
    " AND EXISTS (SELECT FROM service.accounts WHERE id = $3 AND role = 'operator')",
}
# A work that a claim locks is opened by nobody but whoever decides.
_IS_LOCKED = (
    "EXISTS (SELECT FROM service.works w JOIN service.claims k ON k.creator_id = w.creator_id AND k.sha256 = w.sha256"
    " WHERE k.in_effect_at IS NOT NULL AND starts_with(f.key, 'works/' || w.style_id || '/' || w.id || '.')"
    " AND w.id = split_part(split_part(f.key, '/', 3), '.', 1))"
)
# A key says whose it is: works/<style>/..., trainings/<training>/... (`given`: no purpose names all three.)
_ASK = """
WITH job AS ({may_open}), given AS (SELECT $1::text, $2::text, $3::text)
SELECT f.key, s.creator_id, s.id AS style_id, coalesce((
    SELECT coalesce(j.creator_id = s.creator_id, true) AND coalesce(j.style_id = s.id, true)
        AND EXISTS (SELECT FROM unnest(j.may) AS m (beginning) WHERE starts_with(f.key, m.beginning))
    FROM job j), false) AND ({opens_locked} OR NOT {is_locked}) AS is_allowed
FROM unnest($4::text[]) AS f (key)
LEFT JOIN service.trainings t ON f.key LIKE 'trainings/%' AND t.id = split_part(f.key, '/', 2)
LEFT JOIN service.styles s
    ON s.id = CASE WHEN f.key LIKE 'works/%' THEN split_part(f.key, '/', 2) ELSE t.style_id END
"""
_NOT_A_JOBS = say("What it was wanted for is no version of this style.")
_NOT_THEIRS = say("They have no right to it.")
_COLUMNS = (
    "u.id, u.at, u.creator_id, u.style_id, s.name AS style_name, u.purpose, u.role, u.actor, u.via, u.job,"
    " u.num_files, u.refused"
)


@dataclass(frozen=True, kw_only=True)
class Use:
    """What files are opened for. `job` is a training, an order (or a version that is brought ahead of orders), a try, a
    case, a consent, a look or a description; the latter two have no row that says of which style they are, so
    `style_id` does."""

    purpose: Purpose
    by: Who
    job: str = ""
    style_id: str = ""


@dataclass(frozen=True, kw_only=True)
class UseEntry:
    """One line of the ledger as the creator sees it; `refused` says why, where the files were not opened."""

    id: str
    at: datetime
    creator_id: str
    style_id: str
    style_name: str
    purpose: Purpose
    role: WhoRole
    actor: str
    via: str
    job: str
    num_files: int
    refused: str | None

    @property
    def is_own(self) -> bool:
        """Whether it was the creator themself."""
        return self.actor == self.creator_id


@dataclass(frozen=True)
class _Owned:
    """A file and whose it is."""

    key: str
    creator_id: str
    style_id: str


class OpenedFiles:
    """Files that the ledger has noted, to be read as often as wanted."""

    def __init__(self, storage: Storage, hashes: Mapping[str, str]) -> None:
        self._storage, self._hashes = storage, hashes

    def read(self, key: str) -> bytes:
        """One of them. Blocks. Raises ObjectMissing; ValueError where its bytes are not those that were noted."""
        sha256 = self._hashes[key]
        return checked(self._storage.get(key), key=key, sha256=sha256)


async def read_file(opened: Resources, use: Use, key: str) -> bytes:
    """One small file, noted with the hash that it has. Raises FileRefused, ObjectMissing."""
    async with opened.house() as conn:
        owned = await _allowed(opened, conn, use, [key])
    content = await asyncio.to_thread(opened.storage.unlocked.get, key)
    async with opened.house() as conn:
        await _note(opened, conn, use, owned, {key: hashlib.sha256(content).hexdigest()})
    return content


async def open_files(opened: Resources, use: Use, hashes: Mapping[str, str]) -> OpenedFiles:
    """Files whose SHA-256 is known, by key: noted together, and then to be read one by one. Raises FileRefused."""
    async with opened.house() as conn:
        await _note(opened, conn, use, await _allowed(opened, conn, use, list(hashes)), hashes)
    return OpenedFiles(opened.storage.unlocked, hashes)


async def check_files(opened: Resources, use: Use, keys: Sequence[str]) -> None:
    """Whether a job may open files that lie at hand from an earlier opening: no row, unless it may not. Raises
    FileRefused, ObjectMissing."""
    async with opened.house() as conn:
        await _allowed(opened, conn, use, keys)


async def note_deleted(
    opened: Resources, conn: Connection, by: Who, *, creator_id: str, style_id: str, hashes: Mapping[str, str]
) -> None:
    """The last line about files, in the transaction that takes their rows away."""
    owned = [_Owned(key, creator_id, style_id) for key in hashes]
    await _note(opened, conn, Use(purpose="deletion", by=by), owned, hashes)


def checked(content: bytes, *, key: str, sha256: str) -> bytes:
    """`content` itself. Raises ValueError where its hash is another."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{key} has the SHA-256 {found[:12]}..., expected was {sha256[:12]}...")
    return content


async def list_uses(
    conn: Connection, *, creator_id: str, style_id: str | None = None, limit: int, before: str | None = None
) -> list[UseEntry]:
    """Who opened a creator's files, newest first; of one style where it is named."""
    further, values = named(("u.style_id = {}", style_id), ("u.id < {}", before), after=2)
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.data_use u JOIN service.styles s ON s.id = u.style_id"
        f" WHERE u.creator_id = $1{further} ORDER BY u.id DESC LIMIT $2",
        *(creator_id, limit, *values),
    )
    return [read(UseEntry, row) for row in rows]


async def find_use(
    conn: Connection, use_id: str, *, creator_id: str
) -> tuple[UseEntry, list[dict[str, str | None]]] | None:
    """One line with its files, each with `key` and `sha256` (None where it was refused unread); None where this creator
    has no such line."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS}, u.files FROM service.data_use u JOIN service.styles s ON s.id = u.style_id"
        " WHERE u.id = $1 AND u.creator_id = $2",
        *(use_id, creator_id),
    )
    return (read(UseEntry, row), json.loads(row["files"])) if row else None


async def _allowed(opened: Resources, conn: Connection, use: Use, keys: Sequence[str]) -> list[_Owned]:
    """Whose these files are. Where the job may not open one of them, none is opened, and their creators are told."""
    rows = await conn.fetch(
        _ASK.format(may_open=_MAY_OPEN[use.purpose], opens_locked=use.purpose == "case", is_locked=_IS_LOCKED),
        use.job,
        use.style_id,
        use.by.actor,
        list(keys),
    )
    foreign = [_owned(row) for row in rows if row["style_id"] is not None and not row["is_allowed"]]
    if foreign:
        await _note(opened, conn, use, foreign, {}, refused=_NOT_A_JOBS if use.by.role == "place" else _NOT_THEIRS)
        asker = f"{use.job or use.by.actor} ({use.purpose})"
        raise FileRefused(f"{asker} asked for {foreign[0].key}, which it may not open; nothing was read")
    nobodys = [row["key"] for row in rows if row["style_id"] is None]
    if nobodys:
        raise ObjectMissing(nobodys[0])
    return [_owned(row) for row in rows]


def _owned(row: asyncpg.Record) -> _Owned:
    return _Owned(row["key"], row["creator_id"], row["style_id"])


async def _note(
    opened: Resources,
    conn: Connection,
    use: Use,
    owned: Sequence[_Owned],
    hashes: Mapping[str, str],
    *,
    refused: str | None = None,
) -> None:
    """A row for each style; committed with the caller's transaction, else at once."""
    now = opened.clock()
    day = now.date() if use.purpose in _ONCE_A_DAY and refused is None else None
    for creator_id, style_id in sorted({(one.creator_id, one.style_id) for one in owned}):
        keys = [one.key for one in owned if one.style_id == style_id]
        files = [{"key": key, "sha256": hashes.get(key)} for key in keys]
        await conn.execute(
            "INSERT INTO service.data_use"
            " (id, at, creator_id, style_id, purpose, role, actor, via, job, num_files, files, day, refused)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
            " ON CONFLICT (creator_id, style_id, purpose, actor, via, day) WHERE day IS NOT NULL DO NOTHING",
            *(opened.new_id("use"), now, creator_id, style_id, use.purpose, use.by.role, use.by.actor, use.by.via),
            *(use.job, len(files), json.dumps(files), day, refused),
        )
