"""Uploads of many or large files that survive a cut connection: name the files, then bring each in pieces."""

import base64
import binascii
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import ClientDisconnect

from licensing.errors import Refusal
from licensing.sentence import say
from service import arriving, works
from service.api.styles import check_exists, own_style
from service.arriving import PIECE_BYTES, ArrivingFile, NamedFile, OpenUpload
from service.auth import Creator, CreatorReading, Web, check_terms
from service.describing import ask_for_words
from service.errors import Problem, not_found, refused

router = APIRouter(tags=["works"])

_NAME_CHARACTERS_MAX = 400
_FILES_MAX = 10_000
_BYTES_MAX = 2**40
_MS_MAX = 2**53
_PIECE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "RFC 9530, `sha-256=:…:` of the piece; a piece that does not fit it is not kept",
        }
    ],
}


class FileNamed(BaseModel):
    """A file that is to come. `modified` is when it was last changed, in milliseconds since 1970: path, size and this
    together tell it again."""

    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, StringConstraints(min_length=1, max_length=_NAME_CHARACTERS_MAX)]
    bytes: int = Field(ge=0, le=_BYTES_MAX)
    modified: int = Field(default=0, ge=0, le=_MS_MAX)


class FilesNamed(BaseModel):
    """`rights` hold for every work that comes of it; without them works are `unsure`, and unsure works never train."""

    model_config = ConfigDict(extra="forbid")

    files: list[FileNamed] = Field(min_length=1, max_length=_FILES_MAX)
    rights: works.Rights = "unsure"


@router.post("/styles/{style_id}/uploads", status_code=201)
async def name_files(web: Web, asker: Creator, style_id: str, body: FilesNamed) -> dict[str, Any]:
    """Name the files that are to come. Named again, a file is the one that was named before: what has come of it stays.

    Bring each `waiting` item by `PUT /v1/uploads/{id}?offset=`, from its `received` on, in pieces of at most
    `piece_bytes`. A file that was refused and is named again may be tried anew.
    """
    check_terms(web, asker)
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        check_exists(style)
        named = [NamedFile(filename=one.filename, num_bytes=one.bytes, modified_ms=one.modified) for one in body.files]
        opened = await arriving.name_files(
            conn,
            style,
            named,
            rights=body.rights,
            by=asker.who,
            most=web.settings.max_files_per_upload,
            new_id=web.new_id,
            now=web.clock(),
        )
    if isinstance(opened, Refusal):
        raise refused(opened)
    return upload_document(opened)


@router.get("/styles/{style_id}/uploads")
async def get_uploads(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """The upload that is open for a style, with how much of each file has come; no item where there is none."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        opened = await arriving.find_upload(conn, style_id, creator_id=asker.account_id)
    return {"items": [upload_document(opened)] if opened else [], "next_cursor": None}


@router.put("/uploads/{upload_file_id}", openapi_extra=_PIECE)
async def put_piece(
    web: Web,
    asker: Creator,
    upload_file_id: str,
    request: Request,
    offset: Annotated[int, Query(ge=0, description="Where in the file the piece begins: its `received`")] = 0,
) -> dict[str, Any]:
    """Bring a piece of a file. With the last one the file becomes a work, or `problem` says why not.

    A piece that begins elsewhere than at `received` is a conflict that names it, so whoever does not know whether a
    piece arrived asks by sending it again. Of a file that has come or was refused nothing more is taken.
    """
    check_terms(web, asker)
    async with web.pool.acquire() as conn:
        file = await arriving.find_file(conn, upload_file_id, creator_id=asker.account_id)
        if file is None:
            raise not_found("upload", upload_file_id)
        style = await own_style(conn, file.style_id, asker.account_id)
    check_exists(style)
    piece = await _read_piece(request)
    if file.state != "waiting":
        return file_document(file)
    _check_fits(file, offset, piece)
    taken = await arriving.take_piece(web, style, file, piece)
    if taken.state == "arrived":
        await ask_for_words(web, style.id)
    return file_document(taken)


@router.delete("/styles/{style_id}/uploads", status_code=204)
async def give_up(web: Web, asker: Creator, style_id: str) -> None:
    """Forget what did not come of a style's open upload. What arrived stays."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        opened = await arriving.find_upload(conn, style_id, creator_id=asker.account_id)
    if opened is not None:
        await arriving.give_up(web, opened)


def upload_document(upload: OpenUpload) -> dict[str, Any]:
    """An upload as its creator sees it."""
    return {
        "id": upload.id,
        "style": upload.style_id,
        "rights": upload.rights,
        "bytes": upload.num_bytes,
        "received": upload.num_bytes_done,
        "arrived": upload.count("arrived"),
        "refused": upload.count("refused"),
        "waiting": upload.count("waiting"),
        "piece_bytes": PIECE_BYTES,
        "items": [file_document(file) for file in upload.files],
    }


def file_document(file: ArrivingFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "filename": file.filename,
        "bytes": file.num_bytes,
        "modified": file.modified_ms,
        "received": file.num_done,
        "state": file.state,
        "work": file.work_id,
        "problem": file.problem,
    }


async def _read_piece(request: Request) -> bytes:
    try:
        piece = await request.body()
    except ClientDisconnect as error:
        raise Problem(
            "invalid_request", say("The connection ended before the whole piece was here; send it again.")
        ) from error
    for part in request.headers.get("content-digest", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "sha-256" and _digest(value) != hashlib.sha256(piece).digest():
            said = "The piece is not the one that Content-Digest names, so it was damaged on its way; send it again."
            raise Problem("invalid_request", said, extra={"kind": "damaged"})
    return piece


def _digest(value: str) -> bytes:
    """The bytes of `:…:`, as structured fields write them; nothing for what is none."""
    try:
        return base64.b64decode(value.strip().strip(":"), validate=True)
    except binascii.Error:
        return b""


def _check_fits(file: ArrivingFile, offset: int, piece: bytes) -> None:
    if offset != file.received:
        said = say(
            "{received} bytes of {filename} are here, and the piece begins at {offset}; go on from there.",
            received=file.received,
            filename=file.filename,
            offset=offset,
        )
        raise Problem("conflict", said, extra={"received": file.received})
    if not piece or offset + len(piece) > file.num_bytes:
        said = say(
            "{filename} was named with {num_bytes} bytes; {missing} are missing and {came}"
            " came. If the file has changed, name it again.",
            filename=file.filename,
            num_bytes=file.num_bytes,
            missing=file.num_bytes - offset,
            came=len(piece),
        )
        raise Problem("invalid_request", said)
