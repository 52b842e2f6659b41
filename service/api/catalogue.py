"""`/v1/styles` for everybody: the published styles, their prices and terms."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from inference.catalog import base_spec
from licensing import plans, switch
from licensing.database import Connection
from licensing.rulebooks import current_rules
from licensing.terms import current_terms
from service.api.shapes import Cursor, Limit, bytes_of, page, permissions_document
from service.api.styles import style_document, tiers_document
from service.auth import Anyone, Web
from service.catalogue import Listed, list_published, published_style
from service.errors import ObjectMissing, not_found
from service.resources import Gateway
from service.styles import find_style

router = APIRouter(tags=["catalogue"])

Words = Annotated[str, Query(max_length=200, description="Words that must all be in name, summary or creator")]


@router.get("/styles")
async def get_styles(web: Web, query: Words = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Published styles, newest first. Styles that are switched off are left out."""
    async with web.pool.acquire() as conn:
        found = await list_published(conn, query=query, limit=limit + 1, before=cursor)
        levels = await switch.states(conn, style_ids=[style.id for style in found], now=web.clock())
        documents = {style.id: await _document(conn, web, style, levels.get(style.id)) for style in found}
    listed = page(found, limit, lambda style: documents[style.id])
    listed["items"] = [one for one in listed["items"] if one["switch"]["level"] not in ("off", "destroyed")]
    return listed


@router.get("/styles/{style_id}")
async def get_style(web: Web, asker: Anyone, style_id: str) -> dict[str, Any]:
    """One published style, at any level of its switch but destroyed. Its creator sees it before that, too."""
    async with web.pool.acquire() as conn:
        own = await find_style(conn, style_id, creator_id=asker.account_id) if asker else None
        if own is not None:
            return await style_document(conn, web, own)
        style = await published_style(conn, style_id)
        state = await switch.state(conn, style_id=style_id, now=web.clock())
        return await _document(conn, web, style, state)


@router.get("/styles/{style_id}/examples/{number}", response_class=Response, responses=bytes_of("image/png"))
async def get_example(web: Web, style_id: str, number: int) -> Response:
    """An example picture of the published version, counted from 1: drawn with the style. Works are never shown."""
    async with web.pool.acquire() as conn:
        style = await published_style(conn, style_id)
    try:
        key = dict(enumerate(style.examples, 1))[number]
        content = await asyncio.to_thread(web.storage.get, key)
    except (KeyError, ObjectMissing) as error:
        raise not_found("example picture", str(number)) from error
    return Response(content, media_type="image/png", headers={"Cache-Control": "public, max-age=3600"})


async def _document(conn: Connection, web: Gateway, style: Listed, state: switch.SwitchState | None) -> dict[str, Any]:
    terms = await current_terms(conn, style.id)
    assert terms is not None, "a published style has terms"
    rules = (await current_rules(conn, creator_id=style.creator_id, style_id=style.id)).rules
    alone_until = (await plans.windows(conn, [style.id], now=web.clock())).get(style.id)
    return {
        "id": style.id,
        "name": style.name,
        "summary": style.summary,
        "creator": {"id": style.creator_id, "name": style.creator_name},
        "base": style.base,
        "version": style.version_id,
        "published_at": style.published_at,
        "tiers": tiers_document(terms, base_spec(style.base, folder=web.settings.configs / "bases")),
        "terms_version": terms.version,
        "licence": permissions_document(terms.permissions),
        "share_bps": terms.share_bps,
        "exclusive_until": alone_until,
        "notice_days": terms.notice_days,
        # Who may order is between the creator and each client.
        "prompt_rules": {"refuse": rules.refuse, "categories": rules.categories},
        "switch": {
            "level": state.level if state else "live",
            "reason": state.reason if state else None,
            "ends_at": state.ends_at if state else None,
        },
        "scores": style.scores,
        "examples": style.example_urls,
    }
