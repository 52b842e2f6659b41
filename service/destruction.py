"""What `destroyed` does beyond refusing orders: works, weights, samples and checkpoints are deleted for good.

Pictures that were sold stay their buyers', and the ledger and certificates stay. A signed list of what was deleted, by
key and hash, stays too, for the creator to show; `service.leftovers` looks whether any of it is left somewhere.
"""

import asyncio
import logging
from dataclasses import asdict
from datetime import datetime, timedelta

import asyncpg

from licensing.authority import sign_document, verify_document
from licensing.database import Connection
from service.arriving import pieces_of
from service.backups.keys import BackupKeys
from service.data_use import note_deleted
from service.heartbeats import this_process
from service.inventory import DeletedFile, list_files, note_files, objects_under
from service.resources import Gateway
from service.telling.of_styles import tell_emptied
from service.workflows import SIGNING, durable_step, gateway, start, story

log = logging.getLogger("ownhand.destruction")


async def mark_destroyed(conn: Connection, creator_id: str, style_id: str | None, *, now: datetime) -> list[str]:
    """Note in the switch's own transaction that a style (None: every style of the creator) is destroyed; which ones.

    From its commit on nothing can be added, and trainings can no longer write: their fence has risen.
    """
    rows = await conn.fetch(
        "UPDATE service.styles SET destroyed_at = coalesce(destroyed_at, $3), published_version_id = NULL,"
        " updated_at = $3 WHERE creator_id = $1 AND ($2::text IS NULL OR id = $2) RETURNING id",
        *(creator_id, style_id, now),
    )
    style_ids = [row["id"] for row in rows]
    await conn.execute(
        "UPDATE service.trainings SET state = 'canceled', fence = fence + 1, updated_at = $2, ended_at = $2,"
        " message = 'The style was destroyed.'"
        " WHERE style_id = ANY($1::text[]) AND state NOT IN ('passed', 'refused', 'canceled')",
        *(style_ids, now),
    )
    await conn.execute("UPDATE service.versions SET state = 'retired' WHERE style_id = ANY($1::text[])", style_ids)
    return style_ids


async def start_emptying(style_id: str, *, attempt: int = 1) -> None:
    """Delete what a destroyed style had. Doing it twice is harmless."""
    await start(SIGNING, f"{style_id}.empty.{attempt}", tell_emptying, style_id)


@story("empty_style")
async def tell_emptying(style_id: str) -> None:
    """Everything a destroyed style had is deleted, and the list of it is signed."""
    await empty(style_id)


@durable_step()
async def empty(style_id: str) -> None:
    """Delete the files first and the rows that name them last, so that a kill in between loses no name."""
    opened = gateway()
    async with opened.pool.acquire() as conn:
        works = await conn.fetch(
            "SELECT storage_key, sha256 FROM service.works WHERE style_id = $1 ORDER BY sha256", style_id
        )
        trainings = await conn.fetch("SELECT id FROM service.trainings WHERE style_id = $1", style_id)
        adapters = await conn.fetch(
            "SELECT adapter_key, adapter_sha256, flat_key, flat_sha256 FROM service.versions"
            " WHERE style_id = $1 ORDER BY number",
            style_id,
        )
        style = await conn.fetchrow("SELECT creator_id, destroyed_at FROM service.styles WHERE id = $1", style_id)
    assert style is not None, f"there is no style {style_id}"
    assert style["destroyed_at"] is not None, f"style {style_id} is not destroyed"
    prefixes = [f"works/{style_id}/", pieces_of(style_id), *(f"trainings/{row['id']}/" for row in trainings)]
    async with opened.pool.acquire() as conn:
        # Whoever brings a piece now finds that nobody wants it.
        await conn.execute(
            "DELETE FROM service.upload_files WHERE upload_id IN (SELECT id FROM service.uploads WHERE style_id = $1)",
            style_id,
        )
        await conn.execute("DELETE FROM service.tries WHERE style_id = $1", style_id)
    # What backups hold of it is noise from here on.
    keys = BackupKeys(folder=opened.settings.backup_keys_folder)
    await asyncio.to_thread(keys.forget, style_id)
    files = await asyncio.to_thread(objects_under, opened.storage, prefixes)
    async with opened.pool.acquire() as conn:
        # Before they are gone: after a kill in the middle nobody could hash them any more.
        await note_files(conn, style_id, files, now=opened.clock())
    await asyncio.to_thread(_delete_all, opened, prefixes, files)
    async with opened.pool.acquire() as conn, conn.transaction():
        status = await conn.execute(
            "UPDATE service.styles SET emptied_at = $2, review = '{}' WHERE id = $1 AND emptied_at IS NULL",
            *(style_id, opened.clock()),
        )
        if status == "UPDATE 1":
            hashes = _hashes(works, adapters)
            by = this_process()
            await note_deleted(opened, conn, by, creator_id=style["creator_id"], style_id=style_id, hashes=hashes)
            await _sign(opened, conn, style_id, works=sorted(row["sha256"] for row in works))
            await tell_emptied(
                conn, style_id=style_id, creator_id=style["creator_id"], num_files=len(files), now=opened.clock()
            )
        await conn.execute(
            "DELETE FROM service.appearances WHERE version_id IN (SELECT id FROM service.versions WHERE style_id = $1)",
            style_id,
        )
        await conn.execute("DELETE FROM service.works WHERE style_id = $1", style_id)
    log.info("style %s was destroyed: %s objects deleted", style_id, len(files))


async def _sign(opened: Gateway, conn: Connection, style_id: str, *, works: list[str]) -> None:
    """Sign the list of all that was noted, and of the hashes that the rows had."""
    destroyed_at = await conn.fetchval("SELECT destroyed_at FROM service.styles WHERE id = $1", style_id)
    adapters = await conn.fetch(
        "SELECT adapter_sha256 FROM service.versions WHERE style_id = $1 ORDER BY number", style_id
    )
    files = await list_files(conn, style_id)
    document = {
        "format": "ownhand-deletion/1",
        "style": style_id,
        "destroyed_at": destroyed_at.isoformat(),
        "works": works,
        "adapters": [row["adapter_sha256"] for row in adapters],
        "files": [asdict(file) for file in files],
    }
    await conn.execute(
        "UPDATE service.styles SET deletion = $2, deletion_lists = $3 WHERE id = $1",
        *(style_id, sign_document(opened.authority, document), len(files)),
    )


def _hashes(works: list[asyncpg.Record], adapters: list[asyncpg.Record]) -> dict[str, str]:
    files = [(row["storage_key"], row["sha256"]) for row in works]
    files += [(row["adapter_key"], row["adapter_sha256"]) for row in adapters]
    files += [(row["flat_key"], row["flat_sha256"]) for row in adapters if row["flat_key"] is not None]
    return dict(files)


async def mend_destructions(web: Gateway) -> None:
    """Start the emptyings that a crash kept from starting, and once an hour again what did not get to its end.

    A sweep of the web role.
    """
    now = web.clock()
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id, destroyed_at FROM service.styles"
            " WHERE destroyed_at IS NOT NULL AND emptied_at IS NULL ORDER BY id"
        )
    for row in rows:
        await start_emptying(row["id"], attempt=1 + (now - row["destroyed_at"]) // timedelta(hours=1))


async def list_late_deletions(web: Gateway) -> None:
    """Sign the lists anew to which workers have added what lay on their disks. A sweep of the web role."""
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT s.id, s.deletion FROM service.styles s WHERE s.deletion IS NOT NULL AND s.deletion_lists <"
            " (SELECT count(*) FROM service.deleted_files f WHERE f.style_id = s.id) ORDER BY s.id"
        )
        for row in rows:
            before = verify_document(web.authority, row["deletion"])
            assert before is not None, f"the list of style {row['id']} was signed by others"
            async with conn.transaction():
                await _sign(web, conn, row["id"], works=before["works"])


def _delete_all(opened: Gateway, prefixes: list[str], files: list[DeletedFile]) -> None:
    """Raises OSError where something is there after that, as in a bucket that is locked: then nothing is signed."""
    for prefix in prefixes:
        opened.storage.drop_unfinished(prefix)
    for key in {file.key for file in files}:
        opened.storage.delete(key)
    left = [version.key for prefix in prefixes for version in opened.storage.list_versions(prefix)]
    if left:
        raise OSError(
            f"{left[0]} and {len(left) - 1} more were to be deleted and are still there; look at the rules by which the"
            " storage keeps objects"
        )
