"""`/v1/styles/{id}/starting-points`: works that their maker lets clients start variations from, shown small."""

from typing import Any

from fastapi import APIRouter, Response

from service.api.shapes import Cursor, Limit, bytes_of, page
from service.auth import ClientReading, Web
from service.catalogue import published_style
from service.data_use import Use, read_file
from service.errors import FileRefused, ObjectMissing, not_found
from service.starting_points import StartingPoint, find_start, list_starts
from service.who import PLACE
from service.works import thumbnail_key

router = APIRouter(tags=["catalogue"])


@router.get("/styles/{style_id}/starting-points")
async def get_starting_points(
    web: Web, asker: ClientReading, style_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Works of a published style that its maker offers to start from: `start` of an order names one by its `id`.

    `picture_url` is a small picture of it; nobody but its maker gets the file. One that its maker takes back is gone at
    once, and open orders with it end without a charge.
    """
    async with web.pool.acquire() as conn:
        await published_style(conn, style_id)
    # Rows of works are their makers' to see.
    async with web.house() as conn:
        found = await list_starts(conn, style_id, limit=limit + 1, after=cursor)
    return page(found, limit, start_document)


@router.get("/styles/{style_id}/starting-points/{start_id}", response_class=Response, responses=bytes_of("image/jpeg"))
async def get_starting_point(web: Web, asker: ClientReading, style_id: str, start_id: str) -> Response:
    """A small JPEG of one. Its maker sees in the ledger of use that clients looked, and not who."""
    async with web.pool.acquire() as conn:
        await published_style(conn, style_id)
    async with web.house() as conn:
        start = await find_start(conn, start_id)
    if start is None or start.style_id != style_id:
        raise not_found("starting point", start_id)
    use = Use(purpose="showing", by=PLACE, style_id=style_id)
    try:
        content = await read_file(web, use, thumbnail_key(start.storage_key))
    except (FileRefused, ObjectMissing) as error:
        # It was taken back a moment ago.
        raise not_found("starting point", start_id) from error
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


def start_document(start: StartingPoint) -> dict[str, Any]:
    """A starting point as clients see it: nothing of the work but its shape and a small picture."""
    return {
        "id": start.id,
        "style": start.style_id,
        "width": start.width,
        "height": start.height,
        "picture_url": start_url(start),
        "offered_at": start.offered_at,
    }


def start_url(start: StartingPoint) -> str:
    """Where its small picture is."""
    return f"/v1/styles/{start.style_id}/starting-points/{start.id}"
