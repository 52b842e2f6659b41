"""`/v1/letters`: what one was told, which is also e-mailed where the operator has set a server for that."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from service import inbox
from service.accounts import Role
from service.api.shapes import Cursor, Limit, page
from service.auth import Member, MemberReading, Web
from service.errors import not_found
from service.inbox import Received

router = APIRouter(tags=["letters"])


class UntilBody(BaseModel):
    """`until`: the newest letter that was seen; left out, all that there are."""

    model_config = ConfigDict(extra="forbid")

    until: str | None = Field(default=None, max_length=64)


class TopicsBody(BaseModel):
    """`off`: the topics of which no e-mail is wanted. All others are wanted then."""

    model_config = ConfigDict(extra="forbid")

    off: list[Annotated[str, Field(max_length=40)]] = Field(max_length=20)


@router.get("/letters")
async def get_letters(
    web: Web,
    asker: MemberReading,
    unread: Annotated[bool, Query(description="Only what was not read yet")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What you were told, the newest first."""
    async with web.pool.acquire() as conn:
        found = await inbox.list_inbox(conn, asker.account_id, limit=limit + 1, before=cursor, only_unread=unread)
    return page(found, limit, letter_document)


@router.post("/letters/{letter_id}/read")
async def read_letter(web: Web, asker: Member, letter_id: str) -> dict[str, Any]:
    """Mark a letter as read."""
    async with web.pool.acquire() as conn:
        found = await inbox.mark_read(conn, asker.account_id, letter_id, now=web.clock())
    if found is None:
        raise not_found("letter", letter_id)
    return letter_document(found)


@router.post("/letters/read")
async def read_all(web: Web, asker: Member, body: UntilBody | None = None) -> dict[str, Any]:
    """Mark all as read, or all up to one. `read` is how many were not read before."""
    async with web.pool.acquire() as conn:
        count = await inbox.mark_all_read(conn, asker.account_id, until=body.until if body else None, now=web.clock())
    return {"read": count}


@router.get("/letter-topics")
async def get_topics(web: Web, asker: MemberReading) -> dict[str, Any]:
    """Of what you are told, and of what of it you want no e-mail."""
    async with web.pool.acquire() as conn:
        off = await inbox.topics_off(conn, asker.account_id)
    return topics_document(asker.role, off)


@router.put("/letter-topics")
async def put_topics(web: Web, asker: Member, body: TopicsBody) -> dict[str, Any]:
    """Choose of what you want no e-mail. The inbox has everything all the same."""
    async with web.pool.acquire() as conn:
        off = await inbox.choose(conn, asker.account_id, role=asker.role, off=body.off)
    return topics_document(asker.role, off)


def letter_document(letter: Received) -> dict[str, Any]:
    """`mail` is `waiting`, `sent`, `failed`, or `off` where no e-mail of this topic is wanted."""
    return {
        "id": letter.id,
        "kind": letter.kind,
        "topic": letter.topic,
        "about": letter.about or None,
        "subject": letter.subject,
        "words": letter.words,
        "path": letter.path,
        "created_at": letter.created_at,
        "read_at": letter.read_at,
        "mail": letter.mail,
    }


def topics_document(role: Role, off: list[str]) -> dict[str, Any]:
    return {
        "items": [
            {"topic": topic, "words": about.words, "email": topic not in off, "may_be_off": about.may_be_off}
            for topic, about in inbox.topics_of(role).items()
        ]
    }
