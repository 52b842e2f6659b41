"""`/v1/styles` for everybody: the published styles, their prices and terms."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from licensing import plans, switch
from licensing.database import Connection
from licensing.rulebooks import current_rules_of
from licensing.rules import Rules
from licensing.terms import StyleTerms, current_terms_of
from service.api.shapes import Cursor, Limit, bytes_of, page, permissions_document
from service.api.styles import style_document, tiers_document
from service.auth import Anyone, Web
from service.bases import base_here
from service.catalogue import Listed, Sought, list_published, published_style
from service.errors import ObjectMissing, not_found
from service.resources import Gateway
from service.styles import find_style

router = APIRouter(tags=["catalogue"])

Words = Annotated[str, Query(max_length=200, description="Words that must all be in name, summary or creator")]
Tier = Annotated[Literal["draft", "personal", "commercial", "exclusive"] | None, Query(description="Sold in this tier")]
Most = Annotated[
    int | None, Query(ge=0, le=10**12, description="A picture costs no more, in minor units: of the tier, else from it")
]
Notice = Annotated[int | None, Query(ge=0, le=10_000, description="At least so many days of notice before it ends")]
Sale = Annotated[bool, Query(description="Only those that anybody can order now")]


@router.get("/styles")
async def get_styles(
    web: Web,
    query: Words = "",
    tier: Tier = None,
    price_max: Most = None,
    notice_days: Notice = None,
    on_sale: Sale = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Published styles, newest first. Styles that are switched off are left out."""
    sought = Sought(words=query, tier=tier, most=price_max, notice_days=notice_days, on_sale=on_sale)
    now = web.clock()
    async with web.pool.acquire() as conn:
        found = await list_published(conn, sought, now=now, limit=limit + 1, before=cursor)
        documents = await _documents(conn, web, found)
    return page(found, limit, lambda style: documents[style.id])


@router.get("/styles/{style_id}")
async def get_style(web: Web, asker: Anyone, style_id: str) -> dict[str, Any]:
    """One published style, at any level of its switch but destroyed. Its creator sees it before that, too."""
    async with web.pool.acquire() as conn:
        own = await find_style(conn, style_id, creator_id=asker.account_id) if asker else None
        if own is not None:
            return await style_document(conn, web, own)
        style = await published_style(conn, style_id)
        return (await _documents(conn, web, [style]))[style_id]


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


async def _documents(conn: Connection, web: Gateway, styles: Sequence[Listed]) -> dict[str, dict[str, Any]]:
    """What is told of each style, by its id."""
    style_ids, now = [style.id for style in styles], web.clock()
    terms, rules = await current_terms_of(conn, style_ids), await current_rules_of(conn, style_ids)
    states = await switch.states(conn, style_ids=style_ids, now=now)
    alone = await plans.windows(conn, style_ids, now=now)
    return {
        style.id: _document(
            web, style, states[style.id], terms[style.id], rules[style.id].rules, alone_until=alone.get(style.id)
        )
        for style in styles
    }


def _document(
    web: Gateway,
    style: Listed,
    state: switch.SwitchState,
    terms: StyleTerms,
    rules: Rules,
    *,
    alone_until: datetime | None,
) -> dict[str, Any]:
    return {
        "id": style.id,
        "name": style.name,
        "summary": style.summary,
        "creator": {"id": style.creator_id, "name": style.creator_name},
        "base": style.base,
        "version": style.version_id,
        "published_at": style.published_at,
        "tiers": tiers_document(terms, base_here(web.settings, style.base)),
        "terms_version": terms.version,
        "licence": permissions_document(terms.permissions),
        "share_bps": terms.share_bps,
        "exclusive_until": alone_until,
        "notice_days": terms.notice_days,
        # Who may order is between the creator and each client.
        "prompt_rules": {"refuse": rules.refuse, "categories": rules.categories},
        "switch": {
            "level": state.level,
            "reason": state.reason,
            "ends_at": state.ends_at,
        },
        "scores": style.scores,
        "examples": style.example_urls,
    }
