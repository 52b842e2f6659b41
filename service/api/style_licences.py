"""`/v1/styles/{id}/licence`: a style's terms as other programs read licences, in every version that was sold under.

They may be kept and read from other sites' pages.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response

from licensing.database import Connection
from licensing.policies import Subject, odrl, rsl
from licensing.terms import StyleTerms, current_terms, terms_at
from service.api.public_documents import A_MINUTE, AN_HOUR, shared_for
from service.api.shapes import bytes_of
from service.auth import Web
from service.catalogue import published_style
from service.errors import not_found
from service.resources import Gateway

router = APIRouter(tags=["catalogue"])

ODRL_TYPE = "application/ld+json"
RSL_TYPE = "application/rsl+xml"


@router.get("/styles/{style_id}/licence", response_class=Response, responses=bytes_of(ODRL_TYPE))
async def get_licence(web: Web, style_id: str) -> Response:
    """What is offered now, as ODRL policies in JSON-LD: one Offer for each tier, and for each licence."""
    async with web.pool.acquire() as conn:
        await published_style(conn, style_id)
        terms = await current_terms(conn, style_id)
        return await _policies(conn, web, terms, style_id, A_MINUTE)


@router.get("/styles/{style_id}/licence.xml", response_class=Response, responses=bytes_of(RSL_TYPE))
async def get_rsl(web: Web, style_id: str) -> Response:
    """The same as an RSL 1.0 file, which the style's page names by `rel="license"`."""
    async with web.pool.acquire() as conn:
        await published_style(conn, style_id)
        terms = await current_terms(conn, style_id)
        assert terms is not None, "a published style has terms"
        text = rsl(terms, await _subject(conn, web, terms))
    return Response(text, media_type=RSL_TYPE, headers=shared_for(A_MINUTE))


@router.get("/styles/{style_id}/licence/{version}", response_class=Response, responses=bytes_of(ODRL_TYPE))
async def get_licence_version(web: Web, style_id: str, version: Annotated[int, Path(ge=1, le=10**6)]) -> Response:
    """What a certificate names as its `terms_version`, also after the style is gone. Never of a style that was not yet
    on sale."""
    async with web.pool.acquire() as conn:
        was_on_sale: bool = await conn.fetchval(
            "SELECT EXISTS (SELECT FROM service.versions WHERE style_id = $1 AND published_at IS NOT NULL)", style_id
        )
        terms = await terms_at(conn, style_id, version) if was_on_sale else None
        return await _policies(conn, web, terms, f"{style_id}/licence/{version}", AN_HOUR)


def licence_link(style_id: str) -> str:
    """The header that leads from a style to its RSL file."""
    return f'</v1/styles/{style_id}/licence.xml>; rel="license"; type="{RSL_TYPE}"'


async def _policies(conn: Connection, web: Gateway, terms: StyleTerms | None, name: str, seconds: int) -> Response:
    if terms is None:
        raise not_found("licence", name)
    content: dict[str, Any] = odrl(terms, await _subject(conn, web, terms))
    return JSONResponse(content, headers=shared_for(seconds), media_type=ODRL_TYPE)


async def _subject(conn: Connection, web: Gateway, terms: StyleTerms) -> Subject:
    row = await conn.fetchrow(
        "SELECT s.name, a.name AS creator FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id"
        " WHERE s.id = $1",
        terms.style_id,
    )
    assert row is not None
    origin = web.settings.origin
    return Subject(
        style_name=row["name"],
        creator_name=row["creator"],
        url=f"{origin}/v1/styles/{terms.style_id}/licence/{terms.version}",
        page=f"{origin}/styles/{terms.style_id}",
    )
