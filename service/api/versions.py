"""Versions of a style: their scores and reports, and publishing one."""

import asyncio
import base64
import hashlib
import re
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.errors import Refusal
from service import audit, versions
from service.api.shapes import Cursor, Limit, bytes_of, page
from service.api.styles import own_style
from service.auth import Creator, CreatorReading, Identity, Web, check_terms
from service.bases import base_here, require_for_sale
from service.data_use import Purpose, Use, read_file
from service.errors import ObjectMissing, not_found, refused
from service.languages.retold import retell
from service.resources import Gateway
from service.versions import Version
from training import wording
from training.review import wording as of_works

router = APIRouter(tags=["versions"])

_NOTHING = "'none'"
OF_REPORTS = (*wording.TEMPLATES, *of_works.TEMPLATES)
"""Every sentence that a report may hold, by its template."""


@router.get("/styles/{style_id}/versions")
async def get_versions(
    web: Web, asker: CreatorReading, style_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """A style's versions, newest first."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        found = await versions.list_versions(
            conn, style_id=style_id, creator_id=asker.account_id, limit=limit + 1, before=cursor
        )
    return page(found, limit, version_document)


@router.get("/versions/{version_id}")
async def get_version(web: Web, asker: CreatorReading, version_id: str) -> dict[str, Any]:
    """One version."""
    return version_document(await _own(web, asker, version_id))


@router.post("/versions/{version_id}/publish")
async def publish_version(web: Web, asker: Creator, version_id: str) -> dict[str, Any]:
    """Make it the version that new orders get."""
    check_terms(web, asker)
    require_for_sale(base_here(web.settings, (await _own(web, asker, version_id)).base))
    now = web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        found = await versions.publish(conn, version_id=version_id, creator_id=asker.account_id, now=now)
        if isinstance(found, Refusal):
            raise refused(found)
        await audit.note(
            conn,
            "version_published",
            account_id=asker.account_id,
            by=asker.who,
            now=now,
            style_id=found.style_id,
            subject=found.id,
            number=found.number,
        )
    return version_document(found)


@router.get("/versions/{version_id}/report", response_class=Response, responses=bytes_of("text/html"))
async def get_report(web: Web, asker: CreatorReading, version_id: str) -> Response:
    """The gate's report, a page that stands alone; its pictures are inside it."""
    version = await _own(web, asker, version_id)
    written = (await _content(web, asker, version.report_key)).decode()
    # As a trainer wrote it, and for whoever reads another language in that: known sentence by sentence.
    page = (await asyncio.to_thread(retell, written, OF_REPORTS)).encode()
    headers = {"Content-Security-Policy": report_policy(page), "Vary": "Cookie, Accept-Language"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/versions/{version_id}/sheet", response_class=Response, responses=bytes_of("image/png"))
async def get_sheet(web: Web, asker: CreatorReading, version_id: str) -> Response:
    """The same prompts and seeds with and without the adapter, side by side."""
    version = await _own(web, asker, version_id)
    if version.sheet_key is None:
        raise not_found("sheet of version", version_id)
    return await _object(web, asker, version.sheet_key, "image/png", {"Cache-Control": "private, max-age=86400"})


@router.get("/versions/{version_id}/receipt", response_class=Response, responses=bytes_of("application/json"))
async def get_receipt(web: Web, asker: CreatorReading, version_id: str) -> Response:
    """The signed receipt: what it was made from, and how."""
    return await _object(web, asker, (await _own(web, asker, version_id)).receipt_key, "application/json", {})


@router.get("/versions/{version_id}/adapter", response_class=Response, responses=bytes_of("application/octet-stream"))
async def get_adapter(web: Web, asker: CreatorReading, version_id: str) -> Response:
    """The adapter itself. It is the creator's, to keep and to use elsewhere."""
    version = await _own(web, asker, version_id)
    name = f'attachment; filename="{version.id}.safetensors"'
    headers = {"Content-Disposition": name}
    return await _object(web, asker, version.adapter_key, "application/octet-stream", headers, "export")


def report_policy(page: bytes) -> str:
    """Lets a report that stands alone have its pictures and its own style sheet, named by hash, and nothing else."""
    sheets = re.findall(rb"<style[^>]*>(.*?)</style>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(sheet).digest()).decode()}'" for sheet in sheets)
    return f"default-src 'none'; img-src data:; style-src {hashes or _NOTHING}; sandbox"


def version_document(version: Version) -> dict[str, Any]:
    """A version as its creator sees it. `near_copies` counts pictures that were refused because they were nearly the
    same as a work; null where that is not looked for."""
    own = f"/v1/versions/{version.id}"
    return {
        "id": version.id,
        "style": version.style_id,
        "training": version.training_id,
        "number": version.number,
        "state": version.state,
        "base": version.base,
        "trigger": version.trigger,
        "gate_passed": version.gate_passed,
        "scores": version.scores,
        "works": len(version.work_ids),
        "near_copies": None if version.looks_key is None else version.near_copies,
        "adapter": {"url": f"{own}/adapter", "sha256": version.adapter_sha256},
        "report_url": f"{own}/report",
        "sheet_url": f"{own}/sheet" if version.sheet_key else None,
        "receipt_url": f"{own}/receipt",
        "created_at": version.created_at,
        "published_at": version.published_at,
    }


async def _own(web: Gateway, asker: Identity, version_id: str) -> Version:
    async with web.pool.acquire() as conn:
        version = await versions.find_version(conn, version_id, creator_id=asker.account_id)
    if version is None:
        raise not_found("version", version_id)
    return version


async def _object(
    web: Gateway, asker: Identity, key: str, media_type: str, headers: dict[str, str], purpose: Purpose = "own"
) -> Response:
    return Response(await _content(web, asker, key, purpose), media_type=media_type, headers=headers)


async def _content(web: Gateway, asker: Identity, key: str, purpose: Purpose = "own") -> bytes:
    try:
        return await read_file(web, Use(purpose=purpose, by=asker.who), key)
    except ObjectMissing as error:
        raise not_found("file", key.rsplit("/", 1)[-1]) from error
