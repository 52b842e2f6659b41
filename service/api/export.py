"""Everything that is a creator's, in one archive: to keep, to look through, or to leave with."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import StreamingResponse

from licensing import statements
from licensing.authority import sign_document
from licensing.sentence import say
from service import versions, works
from service.accounts import Account, account_by_id
from service.api.authorships import get_authorships
from service.api.consents import get_consents
from service.api.earnings import statement_document
from service.api.record import get_audit, get_uses
from service.api.rules import get_default_rules, get_rules
from service.api.shapes import bytes_of
from service.api.styles import style_document
from service.api.switch import get_history
from service.api.trainings import get_trainings
from service.api.versions import version_document
from service.api.works import work_document
from service.archives import Archive
from service.auth import CreatorReading, Identity, Web, is_let_in
from service.data_use import OpenedFiles, Use, open_files, read_file
from service.errors import ObjectMissing, Problem
from service.resources import Gateway
from service.styles import Style, list_styles
from service.teams import memberships_of
from service.versions import Version
from service.works import StoredWork

router = APIRouter(tags=["account"])

FORMAT = "ownhand-export/1"
_PER_PAGE = 200
_WORKS_AT_ONCE = 1000
_ASKED_EVERY_S = 1
_READ_ME = """\
Everything that was yours at {operator} on {day}, as {name} ({email}).

manifest.json    every file of this archive with its size and SHA-256; manifest.jws is the same, signed
account.json     who you are here
rules.json       what you will not have drawn, and for whom, in all styles without rules of their own
statements/      each month's earnings, line by line, in whole minor units
record.json      what was done with what is yours, by whom
data-use.json    who opened your files, and why
shared.json      styles of several authors, and how they share
styles/ID/       one style: style.json (its words, prices and terms), rules.json, switch.json, trainings.json,
                 works.json with rights, captions and hashes, works/ with the files as you uploaded them,
                 consents.json with what was asked and answered, and versions/N/ with the trained file
                 (adapter.safetensors opens in stock tools), its signed receipt, its report and its pictures

A work that a claim locks is listed and its file is not here. `missing` in the manifest names what should be here and
was not found.
"""

Parts = AsyncIterator[tuple[str, bytes]]


@router.get("/export", response_class=StreamingResponse, responses=bytes_of("application/zip"))
async def get_export(web: Web, asker: CreatorReading, request: Request) -> StreamingResponse:
    """One ZIP of everything that is yours: works, captions, rights, consents, terms, rules, versions with their files,
    statements, record and data use. It is made while it is sent; one that breaks off has no manifest at its end.

    One at a time for each account.
    """
    running: set[str] = request.app.state.exports
    if asker.account_id in running:
        raise Problem("conflict", say("An export of your account is running; wait for its end, or end it."))
    async with web.pool.acquire() as conn:
        account = await account_by_id(conn, asker.account_id)
    assert account is not None, "whoever asks has an account"
    name = f"ownhand-export-{web.clock():%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(_sent(web, asker, account, running), media_type="application/zip", headers=headers)


async def _sent(web: Gateway, asker: Identity, account: Account, running: set[str]) -> AsyncIterator[bytes]:
    running.add(account.id)
    try:
        async for part in _archive(web, asker, account, now=web.clock()):
            yield part
    finally:
        running.discard(account.id)


async def _archive(web: Gateway, asker: Identity, account: Account, *, now: datetime) -> AsyncIterator[bytes]:
    """The archive's bytes; it breaks off where whoever asks is no longer let in."""
    archive, missing, asked_at = Archive(now), list[str](), time.monotonic()
    async for path, content in _contents(web, asker, account, missing, now=now):
        yield await asyncio.to_thread(archive.add, path, content)
        if time.monotonic() - asked_at > _ASKED_EVERY_S:
            asked_at = time.monotonic()
            if not await is_let_in(web, asker):
                raise Problem(
                    "unauthenticated", say("The key or the session ended meanwhile; the export is not whole.")
                )
    manifest = {
        "format": FORMAT,
        "account": account.id,
        "made_at": now.isoformat(),
        "files": list(archive.files),
        "missing": missing,
    }
    yield archive.add("manifest.json", _json(manifest))
    yield archive.add("manifest.jws", sign_document(web.authority, manifest).encode())
    yield archive.close()


async def _contents(web: Gateway, asker: Identity, account: Account, missing: list[str], *, now: datetime) -> Parts:
    words = {"operator": web.settings.operator_name, "name": account.name, "email": account.email}
    yield "README.txt", _READ_ME.format(day=f"{now:%Y-%m-%d}", **words).encode()
    yield "account.json", _json(account)
    async with web.house() as conn:
        teams = await memberships_of(conn, account.id)
    yield "teams.json", _json(teams)
    yield "rules.json", _json(await get_default_rules(web, asker))
    yield "shared.json", _json(await get_authorships(web, asker))
    async for month in _months(web, account, now=now):
        yield month
    yield "record.json", _json(await _all(lambda cursor: get_audit(web, asker, None, _PER_PAGE, cursor)))
    yield "data-use.json", _json(await _all(lambda cursor: get_uses(web, asker, None, _PER_PAGE, cursor)))
    async with web.pool.acquire() as conn:
        styles = await list_styles(conn, creator_id=account.id)
    for style in styles:
        async for part in _style(web, asker, style, missing):
            yield part


async def _months(web: Gateway, account: Account, *, now: datetime) -> Parts:
    month = account.created_at.year * 12 + account.created_at.month - 1
    while month <= now.year * 12 + now.month - 1:
        name = f"{month // 12:04}-{month % 12 + 1:02}"
        async with web.pool.acquire() as conn:
            found = await statements.statement(conn, creator_id=account.id, month=name, currency=web.prices.currency)
        yield f"statements/{name}.json", _json(statement_document(found))
        month += 1


async def _style(web: Gateway, asker: Identity, style: Style, missing: list[str]) -> Parts:
    at = f"styles/{style.id}"
    async with web.pool.acquire() as conn:
        document = await style_document(conn, web, style)
        found = await _every_work(conn, style)
        made = await versions.list_versions(conn, style_id=style.id, creator_id=style.creator_id, limit=1000)
    yield f"{at}/style.json", _json(document | {"deletion": style.deletion})
    yield f"{at}/rules.json", _json(await get_rules(web, asker, style.id))
    yield f"{at}/switch.json", _json(await _all(lambda cursor: get_history(web, asker, style.id, 200, cursor)))
    yield f"{at}/trainings.json", _json(await _all(lambda cursor: get_trainings(web, asker, style.id, 200, cursor)))
    yield f"{at}/consents.json", _json(await _all(lambda cursor: get_consents(web, asker, style.id, 200, cursor)))
    yield f"{at}/works.json", _json([work_document(work) for work in found])
    there = [work for work in found if not work.is_locked]
    if there:
        opened = await open_files(web, Use(purpose="export", by=asker.who), works.hashes_of(there))
        for work in there:
            path = f"{at}/works/{work.id}.{work.storage_key.rsplit('.', 1)[-1]}"
            content = await _read(opened, work.storage_key, path, missing)
            if content is not None:
                yield path, content
    for version in made:
        async for part in _version(web, asker, version, f"{at}/versions/{version.number}", missing):
            yield part


async def _version(web: Gateway, asker: Identity, version: Version, at: str, missing: list[str]) -> Parts:
    yield f"{at}/version.json", _json(version_document(version))
    keys = {
        versions.ADAPTER: version.adapter_key,
        versions.RECEIPT: version.receipt_key,
        versions.REPORT: version.report_key,
        versions.SHEET: version.sheet_key,
    }
    for name, key in keys.items():
        if key is None:
            continue
        try:
            content = await read_file(web, Use(purpose="export", by=asker.who, job=version.id), key)
        except ObjectMissing:
            missing.append(f"{at}/{name}")
            continue
        yield f"{at}/{name}", content
    for key in version.examples:
        path = f"{at}/examples/{key.rsplit('/', 1)[-1]}"
        try:
            yield path, await asyncio.to_thread(web.storage.get, key)
        except ObjectMissing:
            missing.append(path)


async def _read(opened: OpenedFiles, key: str, path: str, missing: list[str]) -> bytes | None:
    try:
        return await asyncio.to_thread(opened.read, key)
    except (ObjectMissing, ValueError):
        # Gone, or other bytes than were uploaded: the archive goes on and says so.
        missing.append(path)
        return None


async def _every_work(conn: Any, style: Style) -> list[StoredWork]:
    found: list[StoredWork] = []
    while True:
        more = await works.list_works(
            conn,
            style_id=style.id,
            creator_id=style.creator_id,
            limit=_WORKS_AT_ONCE,
            after=found[-1].id if found else None,
        )
        found += more
        if len(more) < _WORKS_AT_ONCE:
            return found


async def _all(ask: Callable[[str | None], Awaitable[Mapping[str, Any]]]) -> list[Any]:
    """Every item of a list that comes by pages."""
    items: list[Any] = []
    cursor = None
    while True:
        page = await ask(cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = str(page["next_cursor"])


def _json(value: Any) -> bytes:
    return (json.dumps(jsonable_encoder(value), indent=1, ensure_ascii=False) + "\n").encode()
