"""Consents of those for whom works were made: asked by a link, listed, taken back."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from licensing.database import Connection
from licensing.errors import Refusal
from service import consents
from service.accounts import account_by_id
from service.api.shapes import Cursor, Limit, page
from service.api.styles import check_exists, own_style
from service.auth import Creator, CreatorReading, Web
from service.consents import NAME_CHARACTERS_MAX, WORKS_MAX, Consent
from service.errors import not_found, refused
from service.resources import Gateway
from service.styles import Style
from service.works import StoredWork, find_work

router = APIRouter(tags=["works"])


class Question(BaseModel):
    """`asked` is who is asked, as you call them; they read it on the page of the link. With `starts` they are asked as
    well whether clients may start variations from the works."""

    model_config = ConfigDict(extra="forbid")

    asked: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS_MAX)]
    works: list[str] = Field(min_length=1, max_length=WORKS_MAX)
    starts: bool = False


@router.post("/styles/{style_id}/consents", status_code=201)
async def ask(web: Web, asker: Creator, style_id: str, body: Question) -> dict[str, Any]:
    """Make a link that asks somebody whether works may be used. `url` is told this once: send it to them yourself.

    A yes makes the works `client_consented`. A no, or a yes taken back, holds them at `unsure`, and takes every version
    off sale that learnt from them.
    """
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        check_exists(style)
        works = await _named_works(conn, style, body.works)
        text = await _text(web, conn, style, works, covers_starts=body.starts)
        made = await consents.ask_consent(
            conn,
            style,
            works,
            asked=body.asked,
            words=text,
            covers_starts=body.starts,
            days=web.settings.consent_days,
            now=web.clock(),
            new_id=web.new_id,
        )
    if isinstance(made, Refusal):
        raise refused(made)
    consent, word = made
    return {**consent_document(consent, web.clock()), "url": f"{web.settings.origin}/consent/{word}"}


@router.get("/styles/{style_id}/consents")
async def get_consents(
    web: Web, asker: CreatorReading, style_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Who was asked about works of a style, newest first, and what they said."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        found = await consents.list_consents(
            conn, style_id=style_id, creator_id=asker.account_id, limit=limit + 1, before=cursor
        )
    now = web.clock()
    return page(found, limit, lambda one: consent_document(one, now))


@router.delete("/consents/{consent_id}", status_code=204)
async def revoke(web: Web, asker: Creator, consent_id: str) -> None:
    """Take a question back that nobody has answered: its link works no more."""
    async with web.pool.acquire() as conn:
        consent = await consents.find_consent(conn, consent_id, creator_id=asker.account_id)
        if consent is None:
            raise not_found("consent", consent_id)
        refusal = await consents.revoke(conn, consent, now=web.clock())
    if refusal is not None:
        raise refused(refusal)


def consent_document(consent: Consent, now: datetime) -> dict[str, Any]:
    """A question and its answer, as the creator who asked sees it."""
    return {
        "id": consent.id,
        "style": consent.style_id,
        "asked": consent.asked,
        "state": consent.state(now),
        "works": consent.work_ids,
        "words": consent.words,
        "starts": consent.covers_starts,
        "text_version": consent.text_version,
        "made_at": consent.made_at,
        "expires_at": consent.expires_at,
        "answer": consent.answer,
        "answered_by": consent.answered_by,
        "answered_at": consent.answered_at,
        "withdrawn_at": consent.withdrawn_at,
        "revoked_at": consent.revoked_at,
    }


async def _named_works(conn: Connection, style: Style, work_ids: list[str]) -> list[StoredWork]:
    works = []
    for work_id in dict.fromkeys(work_ids):
        work = await find_work(conn, work_id, creator_id=style.creator_id)
        if work is None or work.style_id != style.id:
            raise not_found("work", work_id)
        works.append(work)
    return works


async def _text(web: Gateway, conn: Connection, style: Style, works: list[StoredWork], *, covers_starts: bool) -> str:
    creator = await account_by_id(conn, style.creator_id)
    assert creator is not None
    return consents.text_for(
        creator=creator.name,
        style=style.name,
        operator=web.settings.operator_name,
        num_pictures=len(works),
        covers_starts=covers_starts,
    )
