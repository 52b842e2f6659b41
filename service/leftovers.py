"""Whether anything of a destroyed style is left: in the object storage with its older versions, on this machine's disk,
in the database. By key where its things lay, and everywhere by size and hash of what was noted (`service.inventory`).

What it cannot see: other machines' disks, backups, what was downloaded, and parts of files.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from licensing.database import Connection
from service.arriving import pieces_of
from service.inventory import file_digest, list_files
from service.storage import Storage

# Where rows of a style lie that tell of its works; each counts those that are left.
_ROWS = {
    "service.works": "SELECT count(*) FROM service.works WHERE style_id = $1",
    "service.looks": "SELECT count(*) FROM service.looks l JOIN service.works w ON w.id = l.work_id"
    " WHERE w.style_id = $1",
    "service.upload_files": "SELECT count(*) FROM service.upload_files f JOIN service.uploads u ON u.id = f.upload_id"
    " WHERE u.style_id = $1",
    "service.tries": "SELECT count(*) FROM service.tries WHERE style_id = $1",
    "the review in service.styles": "SELECT count(*) FROM service.styles WHERE id = $1 AND review <> '{}'",
}
_BYTES_COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS place, quote_ident(a.attname) AS name
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.atttypid = 'bytea'::regtype AND c.relkind = 'r' AND NOT a.attisdropped
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_CACHES = ("cache", "scratch")


@dataclass(frozen=True, kw_only=True)
class Search:
    """How much was looked through, and what was found, each by its place and name.

    `elsewhere` are the same bytes where they are another style's own: a work may have been put into several.
    """

    num_hashes: int
    num_objects: int
    num_files: int
    num_columns: int
    found: tuple[str, ...]
    elsewhere: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    style_id: str
    prefixes: tuple[str, ...]
    """Keys of objects that begin so are the style's."""
    names: frozenset[str]
    """What files and folders on a worker are called that are: trainings, adapters."""
    hashes: frozenset[str]
    sizes: frozenset[int]


async def look_for(conn: Connection, storage: Storage, home: Path, style_id: str) -> Search:
    """Search for what a style had. Raises ValueError where it is unknown or was not destroyed."""
    wanted = await _wanted(conn, style_id)
    num_objects, found, elsewhere = await asyncio.to_thread(_look_through_objects, storage, wanted)
    num_files, on_disk = await asyncio.to_thread(_look_through_files, home, wanted)
    num_columns, in_rows = await _look_through_rows(conn, wanted)
    return Search(
        num_hashes=len(wanted.hashes),
        num_objects=num_objects,
        num_files=num_files,
        num_columns=num_columns,
        found=(*found, *on_disk, *in_rows),
        elsewhere=tuple(elsewhere),
    )


async def _wanted(conn: Connection, style_id: str) -> _Wanted:
    style = await conn.fetchrow("SELECT destroyed_at FROM service.styles WHERE id = $1", style_id)
    if style is None:
        raise ValueError(f"there is no style {style_id!r}; its id begins with sty_ and stands in its page's address")
    if style["destroyed_at"] is None:
        raise ValueError(f"{style_id} is not destroyed, so nothing of it was to be deleted")
    noted = await list_files(conn, style_id)
    trainings = await conn.fetch("SELECT id FROM service.trainings WHERE style_id = $1", style_id)
    adapters = await conn.fetch("SELECT adapter_sha256 FROM service.versions WHERE style_id = $1", style_id)
    return _Wanted(
        style_id=style_id,
        prefixes=(f"works/{style_id}/", pieces_of(style_id), *(f"trainings/{row['id']}/" for row in trainings)),
        names=frozenset([row["id"] for row in trainings] + [row["adapter_sha256"] for row in adapters]),
        hashes=frozenset(file.sha256 for file in noted if file.num_bytes),
        sizes=frozenset(file.num_bytes for file in noted if file.num_bytes),
    )


def _look_through_objects(storage: Storage, wanted: _Wanted) -> tuple[int, list[str], list[str]]:
    count, found, elsewhere = 0, list[str](), list[str]()
    for version in storage.list_versions(""):
        count += 1
        name = f"object {version.key}" + (f" version {version.name}" if version.name else "")
        if version.key.startswith(wanted.prefixes):
            found.append(name)
        elif version.num_bytes in wanted.sizes and storage.digest(version) in wanted.hashes:
            (elsewhere if version.key.startswith(("works/", "trainings/")) else found).append(name)
    return count, found, elsewhere


def _look_through_files(home: Path, wanted: _Wanted) -> tuple[int, list[str]]:
    count, found = 0, list[str]()
    for path in (path for name in _CACHES for path in sorted((home / name).rglob("*")) if path.is_file()):
        count += 1
        is_named = bool(wanted.names & {path.stem, *path.relative_to(home).parts})
        if is_named or (path.stat().st_size in wanted.sizes and file_digest(path) in wanted.hashes):
            found.append(f"file {path}")
    return count, found


async def _look_through_rows(conn: Connection, wanted: _Wanted) -> tuple[int, list[str]]:
    """Rows that tell of works, and any column of bytes that holds one of the files."""
    found = list[str]()
    for place, question in _ROWS.items():
        if left := await conn.fetchval(question, wanted.style_id):
            found.append(f"{left} rows of {place}")
    columns = await conn.fetch(_BYTES_COLUMNS)
    for column in columns:
        left = await conn.fetchval(
            f"SELECT count(*) FROM {column['place']} WHERE octet_length({column['name']}) = ANY($1::bigint[])"
            f" AND encode(sha256({column['name']}), 'hex') = ANY($2::text[])",
            *(list(wanted.sizes), list(wanted.hashes)),
        )
        if left:
            found.append(f"{left} rows of {column['place']} ({column['name']})")
    return len(columns), found
