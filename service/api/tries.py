"""Tries: small, marked pictures of an own version, for its creator alone."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from inference.messages import MAX_SEED
from licensing.errors import Refusal
from service import trying
from service.api.shapes import bytes_of
from service.api.styles import check_exists, own_style
from service.auth import Creator, CreatorReading, Web
from service.data_use import Use, read_file
from service.errors import ObjectMissing, not_found, refused
from service.intake import SEEDS, checked_prompt
from service.trying import Try
from service.versions import find_version

router = APIRouter(tags=["versions"])


class Wish(BaseModel):
    """Without a seed one is chosen."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, StringConstraints(max_length=2000)]
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)


@router.post("/versions/{version_id}/tries", status_code=201)
async def make_try(web: Web, asker: Creator, version_id: str, body: Wish) -> dict[str, Any]:
    """Have a picture drawn with an own version, published or not. It costs nothing, is small and marked, nobody else
    sees it, and it is deleted after some days. Paid orders go before it."""
    prompt = checked_prompt(body.prompt)
    async with web.pool.acquire() as conn:
        version = await find_version(conn, version_id, creator_id=asker.account_id)
        if version is None:
            raise not_found("version", version_id)
        check_exists(await own_style(conn, version.style_id, asker.account_id))
        made = await trying.ask_try(
            conn,
            version,
            prompt=prompt,
            seed=secrets.randbelow(SEEDS) if body.seed is None else body.seed,
            most=web.settings.tries_per_day,
            now=web.clock(),
            new_id=web.new_id,
        )
    if isinstance(made, Refusal):
        raise refused(made)
    await trying.start_try(made.id)
    return try_document(made)


@router.get("/versions/{version_id}/tries")
async def get_tries(web: Web, asker: CreatorReading, version_id: str) -> dict[str, Any]:
    """The last hundred tries of a version, newest first."""
    async with web.pool.acquire() as conn:
        if await find_version(conn, version_id, creator_id=asker.account_id) is None:
            raise not_found("version", version_id)
        found = await trying.list_tries(conn, version_id=version_id, creator_id=asker.account_id)
    return {"items": [try_document(one) for one in found], "next_cursor": None}


@router.get("/tries/{try_id}/picture", response_class=Response, responses=bytes_of("image/png"))
async def get_picture(web: Web, asker: CreatorReading, try_id: str) -> Response:
    """The picture of a try, once it is drawn."""
    async with web.pool.acquire() as conn:
        found = await trying.find_try(conn, try_id, creator_id=asker.account_id)
    if found is None or found.storage_key is None:
        raise not_found("picture of a try", try_id)
    try:
        content = await read_file(web, Use(purpose="own", by=asker.who), found.storage_key)
    except ObjectMissing as error:
        raise not_found("picture of a try", try_id) from error
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})


def try_document(one: Try) -> dict[str, Any]:
    """A try as its creator sees it."""
    return {
        "id": one.id,
        "version": one.version_id,
        "prompt": one.prompt,
        "seed": one.seed,
        "state": one.state,
        "message": one.message,
        "picture_url": f"/v1/tries/{one.id}/picture" if one.storage_key else None,
        "created_at": one.created_at,
    }
