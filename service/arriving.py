"""Uploads that outlive a cut connection and a closed tab: which files somebody means to bring, and how much has come.

    named (path, bytes, modified) -> pieces, each at its offset -> all bytes here
                                  -> looked at (`service.uploads`) -> a work, or a sentence why not

A style has one open upload. Named again, a file is the one that was named before, so whoever drops the same folder
again sends what is missing and nothing else. Pieces of a file lie under `arriving/` until it is whole; nothing there
is a work yet. An upload that nobody goes on with is forgotten after some days, with its pieces; what arrived stays.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service.db.connections import read
from service.errors import Problem
from service.ids import NewId
from service.resources import Gateway
from service.styles import Style
from service.uploads import Taken, Upload, plain_filename, take_upload
from service.who import Who
from service.works import Rights
from training.works import MAX_WORK_BYTES

log = logging.getLogger("ownhand.arriving")

PIECE_BYTES = 8 * 1024**2
"""The most that one request brings: what a cut connection costs."""
FileState = Literal["waiting", "arrived", "refused"]
_COLUMNS = (
    "f.id, f.upload_id, u.style_id, f.creator_id, u.rights, f.filename, f.num_bytes, f.modified_ms, f.received,"
    " f.state, f.work_id, f.problem"
)
_FILES = "service.upload_files f JOIN service.uploads u ON u.id = f.upload_id"
# The same file again: what was refused may be tried anew, and what came and was deleted since may come again.
_NAME = """
INSERT INTO service.upload_files AS f (id, upload_id, creator_id, filename, num_bytes, modified_ms, state, problem)
SELECT n.id, $1, $2, n.filename, n.num_bytes, n.modified_ms,
    CASE WHEN n.problem IS NULL THEN 'waiting' ELSE 'refused' END, n.problem
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::jsonb[])
    AS n (id, filename, num_bytes, modified_ms, problem)
ON CONFLICT ON CONSTRAINT a_file_once_per_upload DO UPDATE
SET state = EXCLUDED.state, received = 0, problem = EXCLUDED.problem, work_id = NULL
WHERE f.state = 'refused' OR (f.state = 'arrived' AND NOT EXISTS (SELECT FROM service.works w WHERE w.id = f.work_id))
"""


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file that somebody means to bring. `modified_ms` is when it was changed last, as its browser says."""

    filename: str
    num_bytes: int
    modified_ms: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from other files, and that it is the same one again."""
        return self.filename, self.num_bytes, self.modified_ms


@dataclass(frozen=True, kw_only=True)
class ArrivingFile:
    """One of them. `received` bytes of it are here; `problem` is the document of why it became no work."""

    id: str
    upload_id: str
    style_id: str
    creator_id: str
    rights: Rights
    filename: str
    num_bytes: int
    modified_ms: int
    received: int
    state: FileState
    work_id: str | None
    problem: dict[str, Any] | None

    @property
    def key(self) -> tuple[str, int, int]:
        """As in `NamedFile`."""
        return self.filename, self.num_bytes, self.modified_ms

    @property
    def num_done(self) -> int:
        """Bytes of it that need not be sent any more."""
        return self.received if self.state == "waiting" else self.num_bytes


@dataclass(frozen=True, kw_only=True)
class OpenUpload:
    """What is on its way to a style, by its files' names."""

    id: str
    style_id: str
    rights: Rights
    files: tuple[ArrivingFile, ...]

    def count(self, state: FileState) -> int:
        return sum(file.state == state for file in self.files)

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def num_bytes_done(self) -> int:
        return sum(file.num_done for file in self.files)

    @property
    def refused(self) -> list[ArrivingFile]:
        return [file for file in self.files if file.state == "refused"]


async def name_files(
    conn: Connection,
    style: Style,
    named: Sequence[NamedFile],
    *,
    rights: Rights,
    by: Who,
    most: int,
    new_id: NewId,
    now: datetime,
) -> OpenUpload | Refusal:
    """Add files to the style's open upload, or begin one; `rights` hold for all that have not come yet.

    Where nothing of the open one is on its way any more a new one begins, which keeps what is named again. Refusal:
    payload_too_large, for more than `most` files at a time.
    """
    files = {one.key: one for one in named}
    async with conn.transaction():
        await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", style.id)
        before = await find_upload(conn, style.id, creator_id=style.creator_id)
        if before is not None and before.count("waiting"):
            num_others = sum(file.key not in files for file in before.files)
            upload_id = before.id
        else:
            num_others, upload_id = 0, new_id("upl")
        if num_others + len(files) > most:
            said = say(
                "{num_others} files would be on their way at once; bring at most {most} at a time.",
                num_others=num_others + len(files),
                most=most,
            )
            return Refusal(slug="payload_too_large", message=said)
        if before is None or upload_id != before.id:
            await _begin(conn, style, upload_id, before, list(files), rights=rights, by=by, now=now)
        await conn.execute(
            "UPDATE service.uploads SET rights = $2, touched_at = $3 WHERE id = $1", *(upload_id, rights, now)
        )
        await conn.execute(
            _NAME,
            *(upload_id, style.creator_id, [new_id("upf") for _ in files], [one.filename for one in files.values()]),
            *([one.num_bytes for one in files.values()], [one.modified_ms for one in files.values()]),
            [_problem_of(one) for one in files.values()],
        )
        opened = await find_upload(conn, style.id, creator_id=style.creator_id)
    assert opened is not None
    return opened


async def find_upload(conn: Connection, style_id: str, *, creator_id: str) -> OpenUpload | None:
    """The open upload of a creator's style."""
    row = await conn.fetchrow(
        "SELECT id, style_id, rights FROM service.uploads"
        " WHERE style_id = $1 AND creator_id = $2 AND closed_at IS NULL",
        *(style_id, creator_id),
    )
    if row is None:
        return None
    files = await conn.fetch(
        f"SELECT {_COLUMNS} FROM {_FILES} WHERE f.upload_id = $1 ORDER BY f.filename, f.id", row["id"]
    )
    return OpenUpload(**dict(row), files=tuple(read(ArrivingFile, file) for file in files))


async def find_file(conn: Connection, file_id: str, *, creator_id: str) -> ArrivingFile | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM {_FILES} WHERE f.id = $1 AND f.creator_id = $2", file_id, creator_id
    )
    return read(ArrivingFile, row) if row else None


async def take_piece(web: Gateway, style: Style, file: ArrivingFile, piece: bytes) -> ArrivingFile:
    """Keep the piece that follows what is here of a file; the last one makes it a work or has it refused.

    Taken twice at the same moment, it counts once.
    """
    end = file.received + len(piece)
    if end == file.num_bytes:
        content = b"".join([*await asyncio.to_thread(_read_pieces, web, file), piece])
        taken = await take_upload(
            web, style, Upload(filename=plain_filename(file.filename), content=content), rights=file.rights
        )
        await _note_end(web, file, taken)
        await asyncio.to_thread(_delete_pieces, web, file.style_id, [file.id])
    else:
        key = _piece_key(file.style_id, file.id, file.received)
        await asyncio.to_thread(web.storage.put, key, piece)
        if not await _note_received(web, file, end):
            # Another request was first, or nobody wants the file any more.
            left = await _again(web, file)
            if left is None:
                await asyncio.to_thread(web.storage.delete, key)
    found = await _again(web, file)
    if found is None:
        raise Problem(
            "not_found",
            say("The upload of {filename} was given up meanwhile; name its files again.", filename=file.filename),
        )
    return found


async def give_up(web: Gateway, upload: OpenUpload) -> None:
    """Forget what did not come of an open upload, with its pieces. What arrived stays."""
    async with web.house() as conn, conn.transaction():
        await _forget(conn, [upload.id], now=web.clock())
    await asyncio.to_thread(_delete_pieces, web, upload.style_id, [file.id for file in upload.files])


async def forget_uploads(web: Gateway) -> None:
    """Give up uploads that nobody went on with for `upload_days`. A sweep of the web role."""
    before = web.clock() - timedelta(days=web.settings.upload_days)
    async with web.house() as conn:
        rows = await conn.fetch(
            "SELECT style_id, creator_id FROM service.uploads WHERE closed_at IS NULL AND touched_at < $1", before
        )
        found = [await find_upload(conn, row["style_id"], creator_id=row["creator_id"]) for row in rows]
    for upload in found:
        if upload is not None:
            await give_up(web, upload)
    if rows:
        log.info("%s uploads that nobody went on with were forgotten", len(rows))


def pieces_of(style_id: str) -> str:
    """Where pieces of files on their way to a style lie: the beginning of their keys."""
    return f"arriving/{style_id}/"


async def _begin(
    conn: Connection,
    style: Style,
    upload_id: str,
    before: OpenUpload | None,
    named: Sequence[tuple[str, int, int]],
    *,
    rights: Rights,
    by: Who,
    now: datetime,
) -> None:
    """A new upload in the place of one that has come to its end; of that one it keeps what is named again."""
    if before is not None:
        await _close(conn, [before.id], now=now)
    await conn.execute(
        "INSERT INTO service.uploads (id, style_id, creator_id, rights, via, started_at, touched_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $6)",
        *(upload_id, style.id, style.creator_id, rights, by.via, now),
    )
    if before is not None:
        again = [file.id for file in before.files if file.key in named]
        await conn.execute(
            "UPDATE service.upload_files SET upload_id = $2 WHERE id = ANY($1::text[])", again, upload_id
        )
        await conn.execute("DELETE FROM service.upload_files WHERE upload_id = $1", before.id)


async def _close(conn: Connection, upload_ids: Sequence[str], *, now: datetime) -> None:
    await conn.execute("UPDATE service.uploads SET closed_at = $2 WHERE id = ANY($1::text[])", list(upload_ids), now)


async def _forget(conn: Connection, upload_ids: Sequence[str], *, now: datetime) -> None:
    await _close(conn, upload_ids, now=now)
    await conn.execute("DELETE FROM service.upload_files WHERE upload_id = ANY($1::text[])", list(upload_ids))


async def _note_received(web: Gateway, file: ArrivingFile, received: int) -> bool:
    async with web.pool.acquire() as conn:
        status = await conn.execute(
            "WITH here AS (UPDATE service.upload_files SET received = $3 WHERE id = $1 AND received = $2"
            " AND state = 'waiting' RETURNING upload_id)"
            " UPDATE service.uploads SET touched_at = $4 WHERE id IN (SELECT upload_id FROM here)",
            *(file.id, file.received, received, web.clock()),
        )
    return bool(status == "UPDATE 1")


async def _note_end(web: Gateway, file: ArrivingFile, taken: Taken) -> None:
    problem = None if taken.problem is None else json.dumps(taken.problem.document)
    async with web.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "UPDATE service.upload_files SET state = $2, work_id = $3, problem = $4, received = num_bytes"
            " WHERE id = $1 AND state = 'waiting'",
            *(file.id, "arrived" if taken.work else "refused", taken.work.id if taken.work else None, problem),
        )
        await conn.execute(
            "UPDATE service.uploads SET touched_at = $2, num_new = num_new + $3 WHERE id = $1",
            *(file.upload_id, web.clock(), int(taken.is_new)),
        )


async def _again(web: Gateway, file: ArrivingFile) -> ArrivingFile | None:
    async with web.pool.acquire() as conn:
        return await find_file(conn, file.id, creator_id=file.creator_id)


def _problem_of(file: NamedFile) -> str | None:
    """What can be said of a file before a byte of it came."""
    name = plain_filename(file.filename)
    if not file.num_bytes:
        return json.dumps(
            Problem("image_refused", say("{name} is empty: there is no picture in it.", name=name)).document
        )
    if file.num_bytes > MAX_WORK_BYTES:
        said = say(
            "{name} has {num_bytes:.0f} MiB, at most {most} MiB are taken. Save it smaller, as a JPEG"
            " or with fewer pixels.",
            name=name,
            num_bytes=file.num_bytes / 1024**2,
            most=MAX_WORK_BYTES // 1024**2,
        )
        return json.dumps(Problem("payload_too_large", said, extra={"max_bytes": MAX_WORK_BYTES}).document)
    return None


def _piece_key(style_id: str, file_id: str, offset: int) -> str:
    return f"{pieces_of(style_id)}{file_id}/{offset:012d}"


def _read_pieces(web: Gateway, file: ArrivingFile) -> list[bytes]:
    """What is here of a file. Only the pieces that were noted: one may lie behind them that another request brought."""
    keys = sorted(web.storage.list_keys(f"{pieces_of(file.style_id)}{file.id}/"))
    return [web.storage.get(key) for key in keys if int(key.rsplit("/", 1)[-1]) < file.received]


def _delete_pieces(web: Gateway, style_id: str, file_ids: Sequence[str]) -> None:
    for file_id in file_ids:
        for key in list(web.storage.list_keys(f"{pieces_of(style_id)}{file_id}/")):
            web.storage.delete(key)
