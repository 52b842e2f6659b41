"""Whether a restored place is what it was: its ledger, what it sold, its switches. Nothing of it runs meanwhile."""

import asyncio
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import asyncpg

from licensing.authority import open_authority
from licensing.verify import verify
from licensing.watermarks import open_watermark
from service.backups.keys import BackupKeys
from service.backups.restoring import Restored, restore
from service.backups.shelf import Shelf
from service.db.connections import connect
from service.doctor import Finding, look_at_ledger
from service.errors import ObjectMissing
from service.postgres import database
from service.resources import authority_folder
from service.settings import Settings
from service.storage import open_storage

VERIFIED_MOST = 200
"""Sold pictures whose seals are looked at, the newest first."""


def restore_and_look(settings: Settings, backup: Path, *, is_drill: bool, now: datetime) -> list[Finding]:
    """Restore `backup` into the place of `settings` and look it over. A drill leaves that place alone: it takes an
    embedded database and a storage in a folder of their own, and deletes it. Raises NotStarted."""
    shelf = Shelf(folder=backup.resolve().parent, keys=BackupKeys(folder=settings.backup_keys_folder))
    if not is_drill:
        return _restore_and_look(settings, shelf, backup, now=now)
    with tempfile.TemporaryDirectory(prefix="ownhand-drill-") as folder:
        apart = replace(settings, home=Path(folder), database_url=None, storage_url=None, pepper=None)
        return _restore_and_look(apart, shelf, backup, now=now)


def _restore_and_look(settings: Settings, shelf: Shelf, backup: Path, *, now: datetime) -> list[Finding]:
    with database(settings) as url:
        restored = restore(settings, url, shelf, backup, now=now)
        return asyncio.run(look_after(settings, url, restored, now=now))


async def look_after(settings: Settings, database_url: str, restored: Restored, *, now: datetime) -> list[Finding]:
    """What a person wants to know before the place is started."""
    conn = await connect(database_url)
    try:
        return [
            _objects(restored),
            await look_at_ledger(settings, None, conn),
            await _pictures(settings, conn, now=now),
            await _switches(conn, restored),
        ]
    finally:
        await conn.close()


def _objects(restored: Restored) -> Finding:
    lost = f"; {restored.num_lost} of styles that were destroyed since cannot be read any more" * bool(
        restored.num_lost
    )
    sentence = f"{restored.num_objects} are back as they were on {restored.at:%Y-%m-%d at %H:%M} UTC{lost}"
    return Finding(subject="objects", is_well=True, sentence=sentence)


async def _pictures(settings: Settings, conn: asyncpg.Connection, *, now: datetime) -> Finding:
    """Sold pictures come out of the storage whole, and their certificates verify."""
    rows = await conn.fetch(
        "SELECT id, storage_key FROM service.outputs ORDER BY id DESC LIMIT $1",
        VERIFIED_MOST,
    )
    storage, authority = open_storage(settings.storage_url, settings.home), open_authority(authority_folder(settings))
    watermark = open_watermark(settings.watermark) if settings.watermark else None
    wrong = list[str]()
    for row in rows:
        try:
            content = await asyncio.to_thread(storage.get, row["storage_key"])
        except ObjectMissing:
            wrong.append(f"{row['id']} is missing")
            continue
        found = await verify(conn, authority, content, now=now, watermark=watermark)
        if found.certificate is None:
            wrong.append(f"{row['id']}: {found.verdict}")
    said = f"{len(wrong)} of {len(rows)} are not well: {'; '.join(wrong[:5])}"
    well = f"the {len(rows)} newest are there, and their certificates verify" if rows else "none was sold yet"
    sentence = said if wrong else well
    return Finding(subject="sold pictures", is_well=not wrong, sentence=sentence)


async def _switches(conn: asyncpg.Connection, restored: Restored) -> Finding:
    rows = await conn.fetch("SELECT level, count(*) FROM licensing.switch GROUP BY level ORDER BY level")
    levels = ", ".join(f"{row['count']} {row['level']}" for row in rows) or "none was ever set"
    sentence = f"{levels}; {restored.num_switched} of them set again as they were after the backup"
    return Finding(subject="switches", is_well=True, sentence=sentence)
