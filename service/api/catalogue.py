"""`/v1/styles` for everybody: the published styles, their prices and terms."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from inference.catalog import BaseSpec, base_spec
from licensing import switch
from licensing.database import Connection
from licensing.rulebooks import current_rules
from licensing.terms import StyleTerms, current_terms
from service.api.shapes import Cursor, Limit, bytes_of, money, page
from service.api.styles import style_document
from service.auth import Anyone, Web
from service.catalogue import Listed, list_published, published_style
from service.delivery import delivered_size
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
    return {
        "id": style.id,
        "name": style.name,
        "summary": style.summary,
        "creator": {"id": style.creator_id, "name": style.creator_name},
        "base": style.base,
        "version": style.version_id,
        "published_at": style.published_at,
        "tiers": _tiers(terms, base_spec(style.base, folder=web.settings.configs / "bases")),
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


def _tiers(terms: StyleTerms, spec: BaseSpec) -> dict[str, Any]:
    """`size` is what a picture has where its order names none."""
    return {
        name: {
            "price": money(tier.price),
            "use": tier.use,
            "size": delivered_size(spec, name),
            "licence": {"price": money(tier.offer.price), "units": tier.offer.units, "months": tier.offer.months}
            if tier.offer
            else None,
        }
        for name, tier in terms.tiers.items()
    }
