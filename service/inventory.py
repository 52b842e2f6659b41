"""What a destroyed style had, noted where it lay before it was deleted: objects with all their versions, and files on
workers' disks. The signed list of a deletion is made of these rows, and a later search looks for them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from licensing.database import Connection
from service.db.connections import read
from service.storage import Storage

OBJECTS = "objects"
"""The place of what lay in the object storage; all others are names of processes."""


@dataclass(frozen=True, kw_only=True)
class DeletedFile:
    """`place` is OBJECTS or the worker on whose disk it lay; `version` is empty where there was one alone."""

    place: str
    key: str
    version: str
    num_bytes: int
    sha256: str


def objects_under(storage: Storage, prefixes: Iterable[str]) -> list[DeletedFile]:
    """Everything that lies there, read to be hashed. Blocks."""
    return [
        DeletedFile(
            place=OBJECTS,
            key=version.key,
            version=version.name,
            num_bytes=version.num_bytes,
            sha256=storage.digest(version),
        )
        for prefix in prefixes
        for version in storage.list_versions(prefix)
    ]


def files_under(folder: Path, *, place: str, home: Path) -> list[DeletedFile]:
    """Every file in a folder of this machine's, read to be hashed. Blocks."""
    return [
        DeletedFile(
            place=place,
            key=path.relative_to(home).as_posix(),
            version="",
            num_bytes=path.stat().st_size,
            sha256=file_digest(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size
    ]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def note_files(conn: Connection, style_id: str, files: Sequence[DeletedFile], *, now: datetime) -> None:
    """Remember files that are about to be deleted; twice is once."""
    await conn.execute(
        "INSERT INTO service.deleted_files (style_id, place, key, version, num_bytes, sha256, noted_at)"
        " SELECT $1, f.place, f.key, f.version, f.num_bytes, f.sha256, $2"
        " FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])"
        "  AS f (place, key, version, num_bytes, sha256) ON CONFLICT DO NOTHING",
        *(style_id, now, [file.place for file in files], [file.key for file in files]),
        *([file.version for file in files], [file.num_bytes for file in files], [file.sha256 for file in files]),
    )


async def list_files(conn: Connection, style_id: str) -> list[DeletedFile]:
    """What was noted of a style."""
    rows = await conn.fetch(
        "SELECT place, key, version, num_bytes, sha256 FROM service.deleted_files WHERE style_id = $1"
        " ORDER BY place <> $2, place, key, version",
        *(style_id, OBJECTS),
    )
    return [read(DeletedFile, row) for row in rows]
