"""A place is made of a backup again: on another machine, with an empty database and an empty storage.

What was switched off or destroyed after the backup stays so: `switches.jsonl` beside the keys says it. What a destroyed
style had cannot be read, for its key is gone. Nothing runs while this is done, so nobody is written to or charged.
"""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import psycopg

from licensing import switch
from licensing.authority import open_authority, verify_document
from licensing.database import Connection
from licensing.errors import Refusal
from service.backups.dumps import bring_back
from service.backups.shelf import DATABASE, MANIFEST, SECRETS, Shelf, StoredObject
from service.backups.switches import FILE, read_switches, stricter_since
from service.db.connections import connect
from service.db.prepare import prepare_database
from service.destruction import mark_destroyed
from service.errors import NotStarted
from service.inventory import file_digest
from service.orders import mark_withdrawn
from service.resources import authority_folder
from service.settings import Settings
from service.storage import Storage, open_storage

_SCHEMAS = ("service", "licensing", "dbos")
_BY = "restore"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was made of a backup. `lost`: objects whose key is gone; `switched`: switches that are stricter than they
    were when the backup was taken."""

    at: datetime
    num_objects: int
    num_lost: int
    num_switched: int


def restore(settings: Settings, database_url: str, shelf: Shelf, backup: Path, *, now: datetime) -> Restored:
    """Make the place of `settings` out of a backup. Blocks. The database is filled last, so that it can be done again
    after a crash. Raises NotStarted where the place is not empty or the backup not whole."""
    secrets = json.loads(shelf.read_text(backup / SECRETS))
    _require_empty(database_url)
    _write_secrets(settings, secrets)
    manifest = _manifest(settings, shelf, backup)
    objects = shelf.read_objects(backup)
    storage = open_storage(settings.storage_url, settings.home)
    _require_no_others(storage, objects)
    lost = [one for one in objects if not _bring_object(shelf, storage, one)]
    with tempfile.NamedTemporaryFile(dir=settings.home, suffix=".dump") as file:
        shelf.read(backup / DATABASE, cast(BinaryIO, file))
        file.flush()
        _empty_schemas(database_url)
        bring_back(database_url, Path(file.name))
    # A backup of an earlier version is brought up to date.
    prepare_database(database_url)
    num_switched = asyncio.run(_switch(database_url, shelf, manifest, lost, now=now))
    return Restored(
        at=datetime.fromisoformat(manifest["at"]),
        num_objects=len(objects) - len(lost),
        num_lost=len(lost),
        num_switched=num_switched,
    )


def _require_empty(database_url: str) -> None:
    """The application's role is made on the way, which the dump names. Raises NotStarted."""
    prepare_database(database_url)
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT count(*) FROM service.accounts").fetchone()
    if row is None or row[0]:
        raise NotStarted("this place has accounts already; a backup is restored into an empty one: name another --home")


def _write_secrets(settings: Settings, files: dict[str, str]) -> None:
    if settings.pepper is not None and settings.pepper != files["keys/pepper"]:
        raise NotStarted("OWNHAND_PEPPER is not the backup's; with it no token or webhook of before would be known")
    for name, text in files.items():
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)


def _manifest(settings: Settings, shelf: Shelf, backup: Path) -> dict[str, Any]:
    """What the backup says it holds, which its files are held against. Raises NotStarted."""
    authority = open_authority(authority_folder(settings))
    manifest = verify_document(authority, shelf.read_text(backup / MANIFEST))
    if manifest is None:
        raise NotStarted(f"{backup / MANIFEST} is not signed with the keys of this backup; take another backup")
    for name, sha256 in manifest["files"].items():
        if file_digest(backup / name) != sha256:
            raise NotStarted(f"{backup / name} is not what the backup was signed for; take another backup")
    return manifest


def _require_no_others(storage: Storage, objects: Sequence[StoredObject]) -> None:
    known = {one.key for one in objects}
    others = [key for key in storage.list_keys("") if key not in known]
    if others:
        raise NotStarted(f"the storage holds {len(others)} objects of something else ({others[0]}); name an empty one")


def _bring_object(shelf: Shelf, storage: Storage, one: StoredObject) -> bool:
    """Put one object where it was; False where its key is gone. Raises NotStarted where it is damaged."""
    with tempfile.TemporaryFile() as content:
        if not shelf.read(shelf.content(one), cast(BinaryIO, content), one.owner):
            return False
        content.seek(0)
        if hashlib.file_digest(content, "sha256").hexdigest() != one.sha256:
            raise NotStarted(f"{shelf.content(one)} is not what the backup has as {one.key}; take another backup")
        content.seek(0)
        storage.put(one.key, cast(BinaryIO, content))
    return True


def _empty_schemas(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        for schema in _SCHEMAS:
            conn.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


async def _switch(
    database_url: str, shelf: Shelf, manifest: dict[str, Any], lost: Sequence[StoredObject], *, now: datetime
) -> int:
    """Set what was made stricter since; destroy what cannot be read. How many switches that were."""
    noted = await asyncio.to_thread(read_switches, shelf.keys.folder / FILE)
    conn = await connect(database_url)
    try:
        rows = await conn.fetch("SELECT creator_id, style_id, client_id, level FROM licensing.switch")
        levels = {(row["creator_id"], row["style_id"], row["client_id"]): row["level"] for row in rows}
        changes = [
            (one.creator_id, one.style_id, one.client_id, one.level)
            for one in stricter_since(noted, after=manifest["switch_event"], now=levels)
        ]
        # Where the file beside the keys is lost, what cannot be read says it.
        owners = await conn.fetch(
            "SELECT id, creator_id FROM service.styles WHERE id = ANY($1::text[]) AND destroyed_at IS NULL",
            sorted({one.owner for one in lost}),
        )
        said = {(creator_id, style_id) for creator_id, style_id, _, level in changes if level == "destroyed"}
        gone = [(row["creator_id"], row["id"]) for row in owners]
        changes += [(*one, "", "destroyed") for one in gone if one not in said and (one[0], "") not in said]
        for change in changes:
            await _set(conn, *change, now=now)
    finally:
        await conn.close()
    return len(changes)


async def _set(
    conn: Connection, creator_id: str, style_id: str, client_id: str, level: switch.Level, *, now: datetime
) -> None:
    """One switch, with what it means for orders that were open. What is destroyed is emptied at the first start."""
    async with conn.transaction():
        change = await switch.set_level(
            conn,
            creator_id=creator_id,
            style_id=style_id or None,
            client_id=client_id or None,
            level=level,
            reason="Set after the backup that this place was restored from.",
            by=_BY,
            now=now,
        )
        if isinstance(change, Refusal):
            # A style that was made after the backup is in none of its rows.
            return
        await mark_withdrawn(conn, change.order_ids, now=now)
        if level == "destroyed":
            await mark_destroyed(conn, creator_id, style_id or None, now=now)
