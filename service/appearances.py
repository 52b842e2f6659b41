"""How published styles are drawn, in numbers, and pictures that somebody looks for a style with.

    published -> a worker looks at the version's example pictures, never at works -> numbers of the version
    a picture is dropped -> a worker looks at it -> its numbers, and the picture is gone -> the nearest versions

Both are looked at by the worker itself, in a thread: one picture is a matter of a tenth of a second, and a child
process would need several to start. What looks is handed in by the worker, so the web process can name these stories
without the model stack.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.pictures import png_bytes
from service.db.connections import read
from service.errors import ObjectMissing
from service.images import check_image
from service.resources import Gateway, Resources
from service.workflows import REVIEW, durable_step, resources, start, states_of, story
from training.review.appearance import nearness

log = logging.getLogger("ownhand.appearances")

WAY = 1
"""Raised when looking yields other numbers: versions that were looked at before are looked at again."""
SEEN_WITHIN = timedelta(seconds=30)
"""A picture that nobody looked at by then is deleted, and its search has failed."""
KEPT = timedelta(hours=1)
"""How long the numbers of a search are kept: as long as somebody may turn its pages."""
LONGEST = 448
"""Of a picture that is looked at, in pixels: the network sees half of it."""
_LOOK_S = 0.05
_AT_ONCE = 50

Eye = Callable[[Sequence[bytes]], NDArray[np.float32]]
"""How pictures (PNG) are drawn, (N, D): see `training.review.appearance`."""
State = Literal["waiting", "seen", "failed"]

_WITHOUT = """
SELECT v.id FROM service.versions v JOIN service.styles s ON s.published_version_id = v.id
WHERE jsonb_array_length(v.examples) > 0
    AND NOT EXISTS (SELECT FROM service.appearances a WHERE a.version_id = v.id AND a.way = $1)
ORDER BY v.id LIMIT $2
"""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A picture that somebody looks with. The picture itself is in the row only until it was looked at."""

    id: str
    state: State
    numbers: bytes | None
    asked_at: datetime


# Of this process; set while `seeing_with` is open.
_open_eye: Callable[[], Eye] | None = None
_eye: Eye | None = None


@asynccontextmanager
async def seeing_with(open_eye: Callable[[], Eye]) -> AsyncIterator[None]:
    """Let this process look at pictures until the end of the block; the eye is opened at the first one."""
    global _open_eye, _eye
    _open_eye = open_eye
    try:
        yield
    finally:
        _open_eye = _eye = None


async def ask_by_picture(web: Gateway, content: bytes) -> Search:
    """Have a worker look at a picture. Raises Problem (image_refused) for what is none."""
    picture = await asyncio.to_thread(_made_small, content)
    search = Search(id=web.new_id("sea"), state="waiting", numbers=None, asked_at=web.clock())
    async with web.house() as conn:
        await conn.execute(
            "INSERT INTO service.searches (id, state, picture, asked_at) VALUES ($1, $2, $3, $4)",
            *(search.id, search.state, picture, search.asked_at),
        )
    await start(REVIEW, search.id, tell_search, search.id)
    return search


async def find_search(web: Gateway, search_id: str) -> Search | None:
    """A search, for whoever knows its id. One that took too long has failed, whether or not anybody has noted it."""
    async with web.house() as conn:
        row = await conn.fetchrow("SELECT id, state, numbers, asked_at FROM service.searches WHERE id = $1", search_id)
    if row is None:
        return None
    is_late = row["state"] == "waiting" and web.clock() - row["asked_at"] > SEEN_WITHIN
    return read(Search, {**row, "state": "failed"} if is_late else row)


async def wait_until_seen(web: Gateway, search: Search, *, seconds: float) -> Search:
    """The search once a worker has looked, or as it is after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while search.state == "waiting" and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_LOOK_S)
        search = await find_search(web, search.id) or search
    return search


async def nearest_styles(web: Gateway, search: Search) -> list[str]:
    """Ids of the published styles that were looked at, those drawn most like the picture first."""
    assert search.numbers is not None, "only what was seen can be compared"
    rows = await _seen_styles(web)
    return await asyncio.to_thread(_ordered, search.numbers, rows) if rows else []


async def styles_like(web: Gateway, style_id: str) -> list[str]:
    """Ids of the other published styles, those drawn most like this one first; none where it was not looked at."""
    rows = await _seen_styles(web)
    own = next((row["mean"] for row in rows if row["id"] == style_id), None)
    if own is None:
        return []
    return [one for one in await asyncio.to_thread(_ordered, own, rows) if one != style_id]


async def _seen_styles(web: Gateway) -> list[Any]:
    """What is published and was looked at: ids, means, and means of squares."""
    async with web.house() as conn:
        return list(
            await conn.fetch(
                "SELECT s.id, a.mean, a.square FROM service.appearances a"
                " JOIN service.styles s ON s.published_version_id = a.version_id WHERE a.way = $1 ORDER BY s.id",
                WAY,
            )
        )


async def ask_for_appearances(web: Gateway) -> None:
    """Have workers look at what is published and was not looked at yet. A sweep; harmless to do twice.

    A look that broke is tried again when its story is forgotten."""
    async with web.house() as conn:
        rows = await conn.fetch(_WITHOUT, WAY, _AT_ONCE)
    stories = {row["id"]: f"{row['id']}.appearance.{WAY}" for row in rows}
    known = await states_of(list(stories.values())) if stories else {}
    for version_id, story_id in stories.items():
        if story_id not in known:
            await start(REVIEW, story_id, tell_appearance, version_id)


async def forget_searches(web: Gateway) -> None:
    """Delete pictures that nobody looked at in time, and old searches. A sweep."""
    now = web.clock()
    async with web.house() as conn:
        await conn.execute(
            "UPDATE service.searches SET picture = NULL, state = 'failed' WHERE state = 'waiting' AND asked_at < $1",
            now - SEEN_WITHIN,
        )
        await conn.execute("DELETE FROM service.searches WHERE asked_at < $1", now - KEPT)


@story("appearance")
async def tell_appearance(version_id: str) -> None:
    """What a published version's pictures look like, on a worker."""
    await look_at_version(version_id)


@durable_step()
async def look_at_version(version_id: str) -> None:
    """Look at the example pictures of a version, if it is still the published one."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        examples = await conn.fetchval(
            "SELECT v.examples FROM service.versions v JOIN service.styles s ON s.published_version_id = v.id"
            " WHERE v.id = $1",
            version_id,
        )
    if examples is None:
        return
    pictures = [await asyncio.to_thread(opened.storage.get, key) for key in json.loads(examples)]
    numbers_ND = await _see(opened, pictures)
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.appearances (version_id, way, mean, square, seen_at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (version_id) DO UPDATE SET way = $2, mean = $3, square = $4, seen_at = $5",
            *(version_id, WAY, _packed(numbers_ND.mean(axis=0)), _packed((numbers_ND**2).mean(axis=0))),
            opened.clock(),
        )


@story("search")
async def tell_search(search_id: str) -> None:
    """One look at a picture that somebody looks for a style with, on a worker."""
    await look_with(search_id)


@durable_step()
async def look_with(search_id: str) -> None:
    """Look at the picture and delete it, however it ends. Too late is not at all: nobody waits any more."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT picture, asked_at FROM service.searches WHERE id = $1 AND state = 'waiting'", search_id
        )
    if row is None:
        return
    numbers: bytes | None = None
    if opened.clock() - row["asked_at"] <= SEEN_WITHIN:
        try:
            numbers = _packed((await _see(opened, [row["picture"]]))[0])
        except (ValueError, RuntimeError, ObjectMissing):
            log.exception("the picture of search %s could not be looked at", search_id)
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.searches SET picture = NULL, numbers = $2, state = $3 WHERE id = $1",
            *(search_id, numbers, "failed" if numbers is None else "seen"),
        )


async def _see(opened: Resources, pictures: Sequence[bytes]) -> NDArray[np.float32]:
    global _eye
    assert _open_eye is not None, "this process takes no pictures to look at"
    if _eye is None:
        _eye = await asyncio.to_thread(_open_eye)
    return await asyncio.to_thread(_eye, pictures)


def _made_small(content: bytes) -> bytes:
    """A stranger's picture as a small plain one: nothing else of it goes on to the worker."""
    image = check_image(content, "The picture").image
    image.thumbnail((LONGEST, LONGEST))
    return png_bytes(image)


def _ordered(picture: bytes, rows: Sequence[Any]) -> list[str]:
    mean_SD, square_SD = (np.stack([_unpacked(row[name]) for row in rows]) for name in ("mean", "square"))
    alike_S = nearness(_unpacked(picture), mean_SD, square_SD)
    return [rows[at]["id"] for at in np.argsort(-alike_S, kind="stable")]


def _packed(numbers_D: NDArray[np.float32]) -> bytes:
    return numbers_D.astype("<f4").tobytes()


def _unpacked(content: bytes) -> NDArray[np.float32]:
    return np.frombuffer(content, "<f4")
