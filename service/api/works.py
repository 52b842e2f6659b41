"""Works of a style: upload many at once, set rights and captions, look at the review."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from inference.messages import MAX_IMAGE_BYTES
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service import audit, reviews, works
from service.api.shapes import Cursor, Limit, bytes_of, page
from service.api.styles import check_exists, own_style
from service.api.trainings import find_recipe
from service.auth import Creator, CreatorReading, Identity, Web, check_terms
from service.cases import SENTENCE_CHARACTERS_MAX, appeal, cases_about
from service.data_use import Purpose, Use, note_deleted, read_file
from service.describing import ask_for_words
from service.ending_starts import end_orders_without_start
from service.errors import ObjectMissing, Problem, not_found, refused
from service.resources import Gateway
from service.styles import Style
from service.uploads import Taken, Upload, findings_document, take_upload
from service.works import StoredWork, thumbnail_key
from training.messages import MAX_CAPTION_CHARACTERS, MAX_CAPTIONS_PER_WORK
from training.review.messages import JUDGEMENTS
from training.works import MAX_WORK_BYTES

router = APIRouter(tags=["works"])

RIGHTS = ("mine", "client_consented", "licensed", "unsure")
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "rights": {"type": "string", "enum": list(RIGHTS), "default": "unsure"},
                    },
                }
            }
        },
    }
}

Caption = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CAPTION_CHARACTERS)]


class WorkChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    rights: works.Rights | None = None
    captions: list[Caption] | None = Field(default=None, max_length=MAX_CAPTIONS_PER_WORK)
    include: bool | None = None
    start: bool | None = Field(default=None, description="Whether clients may start variations from it")


class Answer(BaseModel):
    """`kind` is that of the finding; `reason` says why the work stays."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=SENTENCE_CHARACTERS_MAX)]


@router.post("/styles/{style_id}/works", status_code=201, openapi_extra=_FORM)
async def add_works(web: Web, asker: Creator, style_id: str, request: Request) -> dict[str, Any]:
    """Upload works. Each file is kept or refused by itself: `items` names a `work` or a `problem` for every file.

    Files that are there already are not doubled, so an upload that was cut off can simply be sent again. `rights` holds
    for all files of the upload; without it they are `unsure`, and unsure works never train. Where not one file could be
    kept, the answer is the first one's problem.
    """
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
    check_exists(style)
    async with upload_form(request, web) as form:
        taken = await take_files(web, asker, style, form)
    items = [_taken_document(one) for one in taken]
    problems = [one.problem for one in taken if one.problem is not None]
    if problems and len(problems) == len(taken):
        raise Problem(problems[0].slug, problems[0].detail, extra={**problems[0].extra, "items": items})
    return {"items": items, "next_cursor": None}


@asynccontextmanager
async def upload_form(request: Request, web: Gateway) -> AsyncIterator[FormData]:
    """The request's form, its files on disk as long as this is open. Raises Problem for what is no upload."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem("unsupported_media_type", say("Send the files as multipart/form-data, in the field `files`."))
    most = web.settings.max_files_per_upload
    try:
        async with request.form(max_files=most, max_fields=most) as form:
            yield form
    except HTTPException as error:
        if "Too many" not in str(error.detail):
            raise Problem("invalid_request", say("The upload cannot be read: {detail}", detail=error.detail)) from error
        sentence = say(
            "More than {most} files came at once; send at most {most} at a time. None of these was kept.", most=most
        )
        raise Problem("payload_too_large", sentence) from error


async def take_files(web: Gateway, asker: Identity, style: Style, form: FormData) -> list[Taken]:
    """Every file of the form's field `files`, one after the other. Raises Problem where there is none."""
    check_terms(web, asker)
    rights = form.get("rights") or "unsure"
    if rights not in RIGHTS:
        raise Problem(
            "invalid_request",
            say("rights is {rights!r}; it is one of {known}.", rights=rights, known=", ".join(RIGHTS)),
        )
    known = cast(works.Rights, rights)
    files = [value for value in form.getlist("files") if isinstance(value, UploadFile) and value.filename]
    if not files:
        raise Problem("invalid_request", say("No file came; send at least one, in the field `files`."))
    taken = []
    for file in files:
        # One byte more than allowed is enough to know; the look at it then says so.
        content = await file.read(MAX_WORK_BYTES + 1)
        upload = Upload(filename=file.filename or "", content=content)
        taken.append(await take_upload(web, style, upload, rights=known))
    num_new = sum(one.is_new for one in taken)
    if num_new:
        async with web.pool.acquire() as conn:
            await audit.note(
                conn,
                "works_added",
                account_id=style.creator_id,
                by=asker.who,
                now=web.clock(),
                style_id=style.id,
                works=num_new,
            )
        await ask_for_words(web, style.id)
    return taken


@router.get("/styles/{style_id}/works")
async def get_works(
    web: Web, asker: CreatorReading, style_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """A style's works in the order they came."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        found = await works.list_works(
            conn, style_id=style_id, creator_id=asker.account_id, limit=limit + 1, after=cursor
        )
    return page(found, limit, work_document)


@router.get("/styles/{style_id}/review")
async def get_review(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """What stands in the way of a good training, per work and for the set, and what mends it.

    `state` is `looking` while the works as they are now are still being looked at: ask again in a few seconds; what is
    known already is there. Else it is `current`.
    """
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
    seen = await reviews.see(web, style, find_recipe(web, style, None), wait_s=web.settings.review_wait_s)
    return {"state": seen.state, "items": [shown.document for shown in seen.shown], "next_cursor": None}


@router.post("/works/{work_id}/answers")
async def answer_finding(web: Web, asker: Creator, work_id: str, body: Answer) -> dict[str, Any]:
    """Keep a work in spite of a finding, because ...: for what is a matter of taste that settles it; an empty reason
    takes the answer back. Against `others_work` it is an appeal, which a person of the operator's decides."""
    now = web.clock()
    work = await _own(web, asker, work_id)
    check_not_locked(work)
    async with web.pool.acquire() as conn:
        if body.kind == reviews.OTHERS_WORK:
            if not body.reason:
                raise Problem("invalid_request", say("reason is empty; say in a sentence why the picture is yours."))
            said = await appeal(conn, subject=work_id, creator_id=asker.account_id, sentence=body.reason, now=now)
            if isinstance(said, Refusal):
                raise refused(said)
            return work_document(work)
        if body.kind not in JUDGEMENTS:
            known = ", ".join(sorted({*JUDGEMENTS, reviews.OTHERS_WORK}))
            raise Problem(
                "invalid_request",
                say("kind is {kind!r}; what can be answered is {known}.", kind=body.kind, known=known),
            )
        kept = await works.keep_work(
            conn, work_id=work_id, creator_id=asker.account_id, kind=body.kind, reason=body.reason, now=now
        )
    if kept is None:
        raise not_found("work", work_id)
    return work_document(kept)


@router.patch("/works/{work_id}")
async def patch_work(web: Web, asker: Creator, work_id: str, body: WorkChange) -> dict[str, Any]:
    """Set rights, captions, or whether it trains. Withdrawing a right unpublishes what learnt from the work.

    A work without captions trains with `suggested`, what a captioning model says of it where one is configured; without
    either, with its file's name. To change a suggestion, send it as `captions`.

    With `start`, clients see it small and may order variations that start from it; so only works whose rights are
    `mine`, or whose consent covers that, can be offered. Other rights take the offer back. Open orders that started
    from a work that is no longer offered end without a charge.
    """
    async with web.pool.acquire() as conn, conn.transaction():
        if body.rights not in (None, "unsure"):
            await _check_not_held(conn, work_id, asker)
        before = await works.find_work(conn, work_id, creator_id=asker.account_id)
        if before is not None:
            check_not_locked(before)
            if body.rights not in (None, "unsure"):
                _check_not_refused(before)
        work = await works.change_work(
            conn,
            work_id=work_id,
            creator_id=asker.account_id,
            now=web.clock(),
            rights=body.rights,
            captions=body.captions,
            include=body.include,
        )
        if before is None or work is None:
            raise not_found("work", work_id)
        await note_rights(conn, asker, [(before, work)], now=web.clock())
        if body.start is not None:
            work = await _offer(conn, web, work, is_offered=body.start)
        await _note_offer(conn, asker, before, work, now=web.clock())
    if before.offered_at is not None:
        await end_orders_without_start(web)
    return work_document(work)


async def _offer(conn: Connection, web: Gateway, work: StoredWork, *, is_offered: bool) -> StoredWork:
    """Raises Problem for a work that may be no starting point."""
    if is_offered and work.num_bytes > MAX_IMAGE_BYTES:
        raise Problem(
            "conflict",
            say(
                "Work {id} has {size:.1f} MiB, and a variation starts from at most {most} MiB; upload it smaller.",
                id=work.id,
                size=work.num_bytes / 1024**2,
                most=MAX_IMAGE_BYTES // 1024**2,
            ),
        )
    own = {"work_id": work.id, "creator_id": work.creator_id}
    offered = await works.offer_work(conn, **own, is_offered=is_offered, now=web.clock())
    if offered is None:
        raise Problem(
            "conflict",
            say(
                "Work {id} can be no starting point: clients would see it, so its rights must be `mine`, or whoever you"
                " asked must have said yes to that as well. Its rights are {rights}.",
                id=work.id,
                rights=work.rights,
            ),
        )
    return offered


async def _note_offer(
    conn: Connection, asker: Identity, before: StoredWork, after: StoredWork, *, now: datetime
) -> None:
    if (before.offered_at is None) is (after.offered_at is None):
        return
    await audit.note(
        conn,
        "start_offered" if after.offered_at else "start_taken_back",
        account_id=after.creator_id,
        by=asker.who,
        now=now,
        style_id=after.style_id,
        subject=after.id,
    )


@router.delete("/works/{work_id}", status_code=204)
async def delete_work(web: Web, asker: Creator, work_id: str) -> None:
    """Delete a work and its file. What learnt from it is unpublished until it is trained again without it."""
    now = web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        work = await works.delete_work(conn, work_id=work_id, creator_id=asker.account_id, now=now)
        if work is None:
            raise not_found("work", work_id)
        own = {"creator_id": work.creator_id, "style_id": work.style_id}
        await note_deleted(web, conn, asker.who, hashes=works.hashes_of([work]), **own)
    if work.offered_at is not None:
        await end_orders_without_start(web)
    for key in (work.storage_key, thumbnail_key(work.storage_key)):
        await asyncio.to_thread(web.storage.delete, key)


@router.get("/works/{work_id}/file", response_class=Response, responses=bytes_of("image/*"))
async def get_file(web: Web, asker: CreatorReading, work_id: str) -> Response:
    """The file as it was uploaded."""
    work = await _own(web, asker, work_id)
    check_not_locked(work)
    name = f'attachment; filename="{work.id}.{work.storage_key.rsplit(".", 1)[-1]}"'
    return await _object(web, asker, work, work.storage_key, work.mime, {"Content-Disposition": name}, "export")


@router.get("/works/{work_id}/thumbnail", response_class=Response, responses=bytes_of("image/jpeg"))
async def get_thumbnail(web: Web, asker: CreatorReading, work_id: str) -> Response:
    """A small JPEG of it."""
    work = await _own(web, asker, work_id)
    check_not_locked(work)
    return await _object(web, asker, work, thumbnail_key(work.storage_key), "image/jpeg", {}, "own")


def work_document(work: StoredWork) -> dict[str, Any]:
    """A work as its creator sees it."""
    return {
        "id": work.id,
        "style": work.style_id,
        "filename": work.filename,
        "mime": work.mime,
        "width": work.width,
        "height": work.height,
        "bytes": work.num_bytes,
        "sha256": work.sha256,
        "rights": work.rights,
        "captions": list(work.captions),
        "suggested": list(work.suggested),
        "include": work.include,
        "start": work.offered_at is not None,
        "locked": work.is_locked,
        "consent_refused": work.is_refused,
        "kept": work.kept,
        "file_url": f"/v1/works/{work.id}/file",
        "thumbnail_url": f"/v1/works/{work.id}/thumbnail",
        "created_at": work.created_at,
        "updated_at": work.updated_at,
    }


def _taken_document(taken: Taken) -> dict[str, Any]:
    document: dict[str, Any] = {"filename": taken.filename}
    if taken.problem is not None:
        return {**document, "problem": taken.problem.document}
    assert taken.work is not None
    findings = findings_document(taken.findings)
    return {**document, "work": work_document(taken.work), "is_new": taken.is_new, "findings": findings}


async def _own(web: Gateway, asker: Identity, work_id: str) -> StoredWork:
    async with web.pool.acquire() as conn:
        work = await works.find_work(conn, work_id, creator_id=asker.account_id)
    if work is None:
        raise not_found("work", work_id)
    return work


def check_not_locked(work: StoredWork) -> None:
    """Raises Problem for a work that a claim locks."""
    if work.is_locked:
        raise Problem(
            "conflict",
            say("Work {id} is locked: the operator upheld a claim to it. Your claims say what you can do.", id=work.id),
        )


def _check_not_refused(work: StoredWork) -> None:
    if work.is_refused:
        raise Problem(
            "conflict",
            say(
                "The rights of work {id} stay unsure: whoever you asked for consent said no, or took a"
                " yes back. Ask again by a new link, or leave the work out.",
                id=work.id,
            ),
        )


async def _check_not_held(conn: Connection, work_id: str, asker: Identity) -> None:
    case = (await cases_about(conn, [work_id])).get(work_id)
    if case is not None and case.holds and case.creator_id == asker.account_id:
        sentence = say(
            "The rights of work {work_id} stay unsure: it looks like a picture that somebody else had"
            " uploaded here before. If it is yours, say so in a sentence; a person decides.",
            work_id=work_id,
        )
        raise Problem("conflict", sentence, extra={"case": case.id})


async def note_rights(
    conn: Connection, asker: Identity, changed: Sequence[tuple[StoredWork, StoredWork]], *, now: datetime
) -> None:
    """Write down whose rights are others now, of works of one style before and after; in the transaction that changes
    them."""
    others = [after for before, after in changed if before.rights != after.rights]
    for rights in sorted({work.rights for work in others}):
        alike = [work.id for work in others if work.rights == rights]
        await audit.note(
            conn,
            "rights_changed",
            account_id=asker.account_id,
            by=asker.who,
            now=now,
            style_id=others[0].style_id,
            subject=alike[0] if len(alike) == 1 else "",
            rights=rights,
            works=len(alike),
        )


async def _object(
    web: Gateway,
    asker: Identity,
    work: StoredWork,
    key: str,
    media_type: str,
    headers: dict[str, str],
    purpose: Purpose,
) -> Response:
    try:
        content = await read_file(web, Use(purpose=purpose, by=asker.who), key)
    except ObjectMissing as error:
        raise not_found("file of work", work.id) from error
    return Response(content, media_type=media_type, headers={"Cache-Control": "private, max-age=86400", **headers})
