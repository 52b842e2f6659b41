"""Nothing of an adapter stays with a worker once it is no longer sold: not on its disk, not in its memory.

At every notice of a switch what went off is forgotten at once. Notices can be lost, so a worker also looks when it
starts and every minute. What is being drawn with then is left to those who draw: their own watch stops them within the
lease, and then it is forgotten.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg

from service.adapter_files import AdapterFiles
from service.beside import beside
from service.heartbeats import this_process
from service.inventory import DeletedFile, note_files
from service.resources import Resources
from service.versions import still_sold

log = logging.getLogger("ownhand.purging")

_EVERY_S = 60.0
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What is raised where the database cannot be asked."""


class Keeps(Protocol):
    """What keeps adapters (`service.drawing.Studio`)."""

    @property
    def files(self) -> AdapterFiles: ...

    def forget(self, adapter_sha256: str) -> dict[str, int]: ...

    def adapter_tiers(self) -> str: ...


@asynccontextmanager
async def purging(opened: Resources, keeps: Keeps) -> AsyncIterator[None]:
    """Purge now, and every minute until the end of the block."""
    async with beside(_go_on(opened, keeps)):
        yield


async def purge(opened: Resources, keeps: Keeps) -> None:
    """Forget whatever is no longer sold and not being drawn with, and delete what killed processes left unfinished."""
    await asyncio.to_thread(keeps.files.sweep)
    await forget_unsold(opened, keeps, keeps.files.idle())


async def forget_switched(opened: Resources, keeps: Keeps, name: str) -> None:
    """A switch of this style or creator changed: forget what went off by it. What pauses or winds down stays."""
    try:
        async with opened.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT adapter_sha256 FROM service.versions WHERE style_id = $1 OR creator_id = $1", name
            )
        await forget_unsold(opened, keeps, {row["adapter_sha256"] for row in rows})
    except _AWAY:
        log.exception("the adapters of %s could not be looked up; what went off is forgotten within a minute", name)


async def forget_unsold(opened: Resources, keeps: Keeps, adapters: Collection[str]) -> None:
    """Forget those of these adapters that are no longer sold."""
    if not adapters:
        return
    async with opened.pool.acquire() as conn:
        sold = await still_sold(conn, adapters, now=opened.clock())
    deleted = {adapter_sha256: keeps.forget(adapter_sha256) for adapter_sha256 in set(adapters) - sold}
    await _note_destroyed(opened, {sha256: files for sha256, files in deleted.items() if files})


async def _note_destroyed(opened: Resources, deleted: Mapping[str, Mapping[str, int]]) -> None:
    """Of the files, by adapter, that were just deleted, note those of destroyed styles: their creators are told."""
    if not deleted:
        return
    async with opened.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT v.style_id, v.adapter_sha256, v.flat_sha256 FROM service.versions v"
            " JOIN service.styles s ON s.id = v.style_id"
            " WHERE v.adapter_sha256 = ANY($1::text[]) AND s.destroyed_at IS NOT NULL",
            list(deleted),
        )
        for row in rows:
            sha256 = row["adapter_sha256"]
            files = [
                DeletedFile(
                    place=this_process().actor,
                    key=f"cache/adapters/{name}",
                    version="",
                    num_bytes=num_bytes,
                    sha256=(row["flat_sha256"] or "") if name.endswith(".flat") else sha256,
                )
                for name, num_bytes in deleted[sha256].items()
            ]
            await note_files(conn, row["style_id"], files, now=opened.clock())


async def _go_on(opened: Resources, keeps: Keeps) -> None:
    told = ""
    while True:
        try:
            await purge(opened, keeps)
        except _AWAY:
            log.warning("what is no longer sold could not be looked up now; it is tried again", exc_info=True)
        if (tiers := keeps.adapter_tiers()) != told:
            log.info("adapters: %s", tiers)
        told = tiers
        await asyncio.sleep(_EVERY_S)
