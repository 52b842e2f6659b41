"""`/v1/styles` for everybody: the published styles, their prices and terms."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from licensing import switch
from licensing.database import Connection
from licensing.terms import StyleTerms, current_terms
from service.api.shapes import Cursor, Limit, money, page
from service.api.styles import style_document
from service.auth import Anyone, Web
from service.catalogue import Listed, find_published, list_published
from service.errors import Problem, not_found
from service.limits import Limited
from service.resources import Gateway
from service.styles import find_style

router = APIRouter(tags=["catalogue"], dependencies=[Limited])

Words = Annotated[str, Query(max_length=200, description="Words that must all be in name, summary or creator")]


@router.get("/styles")
async def get_styles(web: Web, query: Words = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Published styles, newest first. Styles that are switched off are left out."""
    async with web.pool.acquire() as conn:
        found = await list_published(conn, query=query, limit=limit + 1, before=cursor)
        levels = await switch.states(conn, style_ids=[style.id for style in found], now=web.clock())
        documents = {style.id: await _document(conn, style, levels.get(style.id)) for style in found}
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
        style = await _published(conn, web, style_id)
        state = await switch.state(conn, style_id=style_id, now=web.clock())
        return await _document(conn, style, state)


@router.get("/styles/{style_id}/example", response_class=Response)
async def get_example(web: Web, style_id: str) -> Response:
    """Example pictures of the published version: the same prompts and seeds with and without the style."""
    async with web.pool.acquire() as conn:
        style = await _published(conn, web, style_id)
    if style.example_key is None:
        raise not_found("example of style", style_id)
    content = await asyncio.to_thread(web.storage.get, style.example_key)
    return Response(content, media_type="image/png", headers={"Cache-Control": "public, max-age=300"})


async def _published(conn: Connection, web: Gateway, style_id: str) -> Listed:
    style = await find_published(conn, style_id)
    state = await switch.state(conn, style_id=style_id, now=web.clock())
    if state is not None and state.level == "destroyed":
        raise Problem("style_destroyed", f"Style {style_id} was destroyed by its creator; choose another style.")
    if style is None:
        raise not_found("style", style_id)
    return style


async def _document(conn: Connection, style: Listed, state: switch.SwitchState | None) -> dict[str, Any]:
    terms = await current_terms(conn, style.id)
    assert terms is not None, "a published style has terms"
    return {
        "id": style.id,
        "name": style.name,
        "summary": style.summary,
        "creator": {"id": style.creator_id, "name": style.creator_name},
        "base": style.base,
        "version": style.version_id,
        "published_at": style.published_at,
        "tiers": _tiers(terms),
        "terms_version": terms.version,
        "licence": {
            "attribution": terms.permissions.attribution,
            "derivatives": terms.permissions.derivatives,
            "training": terms.permissions.training,
            "ceiling": terms.permissions.ceiling,
            "expiry_days": terms.permissions.expiry_days,
            "approval": terms.permissions.approval,
        },
        "notice_days": terms.notice_days,
        "prompt_rules": style.prompt_rules,
        "switch": {
            "level": state.level if state else "live",
            "reason": state.reason if state else None,
            "ends_at": state.ends_at if state else None,
        },
        "scores": style.scores,
        "examples": [f"/v1/styles/{style.id}/example"] if style.example_key else [],
    }


def _tiers(terms: StyleTerms) -> dict[str, Any]:
    return {
        name: {
            "price": money(tier.price),
            "use": tier.use,
            "licence": {"price": money(tier.offer.price), "units": tier.offer.units, "months": tier.offer.months}
            if tier.offer
            else None,
        }
        for name, tier in terms.tiers.items()
    }
