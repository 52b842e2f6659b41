"""A backup is taken, while everything runs: one snapshot of the database, and the objects that lie there.

The database comes first. An object that is deleted before its turn was to be deleted; one that came later is in no row
of the snapshot and does no harm. There are two exceptions. A checkpoint of the ledger that came later names links that
the snapshot does not have, so only those are taken that lay there before it. And a picture that was paid for, and that
was on its way to where it stays, is taken from wherever it is then, under the name that its row in the snapshot has.
"""

import hashlib
import importlib.metadata
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import psycopg

from licensing.authority import open_authority, sign_document
from licensing.tenancy import ACTING, HOUSE
from service import pending
from service.auditing import PREFIX as CHECKPOINTS
from service.backups.dumps import dumping
from service.backups.keys import PLACE
from service.backups.shelf import DATABASE, FORMAT, MANIFEST, SECRETS, Shelf, StoredObject
from service.errors import ObjectMissing
from service.inventory import file_digest
from service.resources import authority_folder, read_pepper
from service.settings import Settings
from service.storage import Storage, open_storage

# Contents under these never change, so what was read for the backup before need not be read again.
_KEPT = ("works/", "outputs/", CHECKPOINTS)
_PIECE_BYTES = 1024**2
# Above this a content is on the disk, not in memory, between being hashed and being encrypted.
_IN_MEMORY_BYTES = 64 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A backup that was just taken. `num_new` contents, `num_bytes` of them, lay in none before."""

    folder: Path
    num_objects: int
    num_new: int
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the snapshot says."""

    id: str
    styles: frozenset[str]
    """That are not destroyed."""
    style_of: Mapping[str, str]
    """By training."""
    on_their_way: Mapping[str, str]
    """Sold pictures that lie where they were made, by the key that the snapshot has: which output each is."""
    facts: Mapping[str, Any]


def take_backup(settings: Settings, database_url: str, shelf: Shelf, *, now: datetime) -> Taken:
    """Take one. Blocks. Raises NotStarted where PostgreSQL's tools fail, OSError where the disk does."""
    authority = open_authority(authority_folder(settings))
    storage = open_storage(settings.storage_url, settings.home)
    with shelf.alone():
        checkpoints = set(storage.list_keys(CHECKPOINTS))
        before = {one.key: one for backup in shelf.backups()[-1:] for one in shelf.read_objects(backup)}
        aside = shelf.begin(now)
        with _snapshot(database_url) as seen, dumping(database_url, seen.id) as dump:
            shelf.write(aside / DATABASE, dump)
        shelf.write(aside / SECRETS, io.BytesIO(json.dumps(_secrets(settings)).encode()))
        objects, new = list[StoredObject](), list[int]()
        for key in storage.list_keys(""):
            if key.startswith(CHECKPOINTS) and key not in checkpoints:
                continue
            one = _store(shelf, storage, key, _owner(key, seen), before.get(key), new)
            if one is not None:
                objects.append(one)
        known = {one.key for one in objects}
        for key, output_id in seen.on_their_way.items():
            if key not in known:
                objects += _store_moving(shelf, storage, key, pending.final_key(output_id), before, new)
        shelf.write_objects(aside, objects)
        manifest = {
            "format": FORMAT,
            "at": now.isoformat(),
            "software": importlib.metadata.version("ownhand"),
            "files": {path.name: file_digest(path) for path in sorted(aside.iterdir())},
            "num_objects": len(objects),
            **seen.facts,
        }
        shelf.write(aside / MANIFEST, io.BytesIO(sign_document(authority, manifest).encode()))
        folder = shelf.finish(aside, at=now)
    return Taken(folder=folder, num_objects=len(objects), num_new=len(new), num_bytes=sum(new))


@contextmanager
def _snapshot(database_url: str) -> Iterator[_Seen]:
    """One moment of the database, held until the end of the block."""
    with psycopg.connect(database_url, options=f"-c {ACTING}={HOUSE}") as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True

        def column(question: str) -> list[Any]:
            return [row[0] for row in conn.execute(question.encode()).fetchall()]

        yield _Seen(
            id=column("SELECT pg_export_snapshot()")[0],
            styles=frozenset(column("SELECT id FROM service.styles WHERE destroyed_at IS NULL")),
            on_their_way=dict(
                conn.execute(
                    "SELECT storage_key, id FROM service.outputs WHERE storage_key LIKE %s", (f"{pending.PREFIX}%",)
                ).fetchall()
            ),
            style_of=dict(conn.execute("SELECT id, style_id FROM service.trainings").fetchall()),
            facts={
                "switch_event": column("SELECT coalesce(max(event_no), 0) FROM licensing.switch_event")[0],
                "num_entries": column("SELECT count(*) FROM licensing.entry")[0],
            },
        )


def _owner(key: str, seen: _Seen) -> str | None:
    """Whose an object is. None for what is of a style that the snapshot does not have: no row of it is in the dump."""
    kind, _, rest = key.partition("/")
    if kind not in ("works", "arriving", "trainings"):
        return PLACE
    name = rest.partition("/")[0]
    style_id = seen.style_of.get(name, "") if kind == "trainings" else name
    return style_id if style_id in seen.styles else None


def _store(
    shelf: Shelf, storage: Storage, key: str, owner: str | None, before: StoredObject | None, new: list[int]
) -> StoredObject | None:
    """The object as the catalogue has it, its content on the shelf; None where it was deleted meanwhile or is to be."""
    if owner is None or shelf.keys.of(owner) is None:
        return None
    if before is not None and before.owner == owner and key.startswith(_KEPT) and shelf.content(before).exists():
        return before
    try:
        source = storage.open(key)
    except ObjectMissing:
        return None
    with source, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as content:
        digest = hashlib.sha256()
        while piece := source.read(_PIECE_BYTES):
            digest.update(piece)
            content.write(piece)
        one = StoredObject(key=key, num_bytes=content.tell(), sha256=digest.hexdigest(), owner=owner)
        if not shelf.content(one).exists():
            content.seek(0)
            if not shelf.write(shelf.content(one), cast(BinaryIO, content), owner):
                return None
            new.append(one.num_bytes)
    return one


def _store_moving(
    shelf: Shelf, storage: Storage, key: str, target: str, before: Mapping[str, StoredObject], new: list[int]
) -> list[StoredObject]:
    """A picture from where it was made or, if it is there no more, from where it stays; as if it were still there."""
    # Copied before it is deleted: whoever does not find it at the first place finds it at the second.
    for place in (key, target):
        one = _store(shelf, storage, place, PLACE, before.get(place), new)
        if one is not None:
            return [replace(one, key=key)]
    return []


def _secrets(settings: Settings) -> dict[str, str]:
    """The files that make this place itself, by their path in `home`; texts."""
    files = {f"authority/{path.name}": path.read_text() for path in sorted(authority_folder(settings).iterdir())}
    return {**files, "keys/pepper": read_pepper(settings).decode()}
