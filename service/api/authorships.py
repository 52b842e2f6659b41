"""`/v1/authorships`: styles of several authors, each with a part of what they earn."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from licensing.terms import WEIGHT_MAX
from service import authorships
from service.accounts import account_by_email, accounts_by_id
from service.api.styles import check_exists, own_style
from service.auth import Creator, CreatorReading, Identity, Web
from service.authorships import AUTHORS_MAX, Authorship
from service.errors import Problem, invalid, refused
from service.resources import Gateway
from service.telling.of_authors import tell_authors

router = APIRouter(tags=["authorships"])


class AuthorBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=200)
    weight: int = Field(ge=1, le=WEIGHT_MAX)


class AuthorsBody(BaseModel):
    """The other authors and their weights beside the creator's own `weight`: 2 and 1 are two thirds and one third."""

    model_config = ConfigDict(extra="forbid")

    weight: int = Field(ge=1, le=WEIGHT_MAX)
    authors: list[AuthorBody] = Field(min_length=1, max_length=AUTHORS_MAX)


@router.get("/styles/{style_id}/authors")
async def get_authors(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """Who shares what the style earns, and who is asked to: null where nobody is."""
    async with web.house() as conn:
        await own_style(conn, style_id, asker.account_id)
        found = await _documents(conn, await authorships.of_style(conn, style_id))
    by_state = {one["state"]: one for one in found}
    return {"in_force": by_state.get("in_force"), "waiting": by_state.get("waiting")}


@router.post("/styles/{style_id}/authors", status_code=201)
async def post_authors(web: Web, asker: Creator, style_id: str, body: AuthorsBody) -> dict[str, Any]:
    """Ask other creators to share what the style earns. It is shared once all of them said yes."""
    async with web.house() as conn, conn.transaction():
        check_exists(await own_style(conn, style_id, asker.account_id))
        parts = {asker.account_id: body.weight} | await _parts(conn, asker, body, web.settings.operator_name)
        made = await authorships.propose(
            conn,
            authorship_id=web.new_id("aut"),
            style_id=style_id,
            creator_id=asker.account_id,
            parts=parts,
            now=web.clock(),
        )
        await tell_authors(conn, made, "asked", by=asker.account_id, now=web.clock())
        (document,) = await _documents(conn, [made])
    return document


@router.get("/authorships")
async def get_authorships(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """Where this creator has a part, or is asked to take one."""
    async with web.house() as conn:
        found = await _documents(conn, await authorships.of_account(conn, asker.account_id))
    return {"items": found, "next_cursor": None}


@router.post("/authorships/{authorship_id}/accept")
async def accept_authorship(web: Web, asker: Creator, authorship_id: str) -> dict[str, Any]:
    """Say yes. The last yes puts it in force for what is ordered from then on."""
    return await _answered(web, asker, authorship_id, agrees=True)


@router.post("/authorships/{authorship_id}/decline")
async def decline_authorship(web: Web, asker: Creator, authorship_id: str) -> dict[str, Any]:
    """Say no: then it is not shared."""
    return await _answered(web, asker, authorship_id, agrees=False)


@router.post("/authorships/{authorship_id}/leave")
async def leave_authorship(web: Web, asker: Creator, authorship_id: str) -> dict[str, Any]:
    """Leave it, or end it as the style's creator, who may also take back a proposal that waits. What was ordered before
    is still shared."""
    async with web.house() as conn, conn.transaction():
        left = await authorships.leave(conn, authorship_id, asker.account_id, now=web.clock())
        if isinstance(left, Refusal):
            raise refused(left)
        await tell_authors(conn, left, "left", by=asker.account_id, now=web.clock())
        (document,) = await _documents(conn, [left])
    return document


async def _answered(web: Gateway, asker: Identity, authorship_id: str, *, agrees: bool) -> dict[str, Any]:
    async with web.house() as conn, conn.transaction():
        said = await authorships.answer(conn, authorship_id, asker.account_id, agrees=agrees, now=web.clock())
        if isinstance(said, Refusal):
            raise refused(said)
        act: Literal["agreed", "declined"] = "agreed" if agrees else "declined"
        await tell_authors(conn, said, act, by=asker.account_id, now=web.clock())
        (document,) = await _documents(conn, [said])
    return document


async def _parts(conn: Connection, asker: Identity, body: AuthorsBody, operator: str) -> dict[str, int]:
    parts: dict[str, int] = {}
    for author in body.authors:
        try:
            account = await account_by_email(conn, author.email)
        except ValueError as error:
            raise invalid(error) from error
        if account is None or account.role != "creator" or account.disabled_at is not None:
            raise Problem(
                "invalid_request",
                say(
                    "There is no creator {email}; check the address, or ask {operator} to invite them.",
                    email=author.email,
                    operator=operator,
                ),
            )
        if account.id in parts or account.id == asker.account_id:
            raise Problem(
                "invalid_request", say("{email} is named twice; give each author one part.", email=author.email)
            )
        parts[account.id] = author.weight
    return parts


async def _documents(conn: Connection, found: list[Authorship]) -> list[dict[str, Any]]:
    people = await accounts_by_id(conn, {author for one in found for author in one.parts})
    return [
        {
            "id": one.id,
            "style": one.style_id,
            "creator": one.creator_id,
            "state": one.state,
            "authors": [
                {
                    "id": author,
                    "name": people[author].name,
                    "weight": weight,
                    "said": one.said.get(author),
                }
                for author, weight in one.parts.items()
            ],
            "created_at": one.created_at,
        }
        for one in found
    ]
