"""Finding a style by a picture: who is nearest, that the picture is gone, and what happens where nobody looks."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from PIL import Image

from service.appearances import KEPT, SEEN_WITHIN, ask_for_appearances, forget_searches
from service.ids import new_id
from service.limits import Buckets
from tests.service.market import Market, MovableClock, clock, open_market, publish_style

__all__ = ["clock"]

HTML = {"Accept": "text/html"}
COLOURS = {"Brick": "#a03020", "Meadow": "#308040", "Sea": "#2050a0"}


def plain(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    """With a style of each colour."""
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock, searches_per_minute=1000) as opened:
        for name, colour in COLOURS.items():
            await publish_coloured(opened, name, colour)
        yield opened
        opened.curtain.wait_at(None)


async def publish_coloured(market: Market, name: str, colour: str) -> str:
    """A style whose example picture is of one colour."""
    web = market.gateway
    style_id = await publish_style(web, market.creator, market.adapter, name=name)
    async with web.pool.acquire() as conn:
        key: str = await conn.fetchval("SELECT adapter_key FROM service.versions WHERE style_id = $1", style_id)
        example = key.rsplit("/", 1)[0] + "/examples/1.png"
        web.storage.put(example, plain(colour))
        await conn.execute(
            "UPDATE service.versions SET examples = $2 WHERE style_id = $1", style_id, json.dumps([example])
        )
    return style_id


async def looked_at(market: Market, count: int) -> None:
    """Wait until workers have looked at so many versions."""
    await ask_for_appearances(market.gateway)
    async with asyncio.timeout(30):
        while await counted(market, "appearances") < count:
            await asyncio.sleep(0.05)


async def counted(market: Market, table: str, condition: str = "true") -> int:
    async with market.gateway.pool.acquire() as conn:
        found: int = await conn.fetchval(f"SELECT count(*) FROM service.{table} WHERE {condition}")
    return found


async def drop(market: Market, content: bytes, **fields: str) -> httpx.Response:
    """A stranger drops a picture on the front page; the page that comes."""
    files = {"picture": ("mine.png", content, "image/png")}
    return await market.stranger.post("/styles/like", files=files, data=fields, headers=HTML, follow_redirects=True)


def names(page: httpx.Response) -> list[str]:
    """The styles on a page, in its order."""
    found = [(page.text.find(f">{name}</a></h3>"), name) for name in COLOURS]
    return [name for place, name in sorted(found) if place >= 0]


async def test_the_styles_of_its_colour_come_first_and_the_picture_is_gone(market: Market):
    await looked_at(market, len(COLOURS))

    for name, other in (("Brick", "#b04030"), ("Meadow", "#208030"), ("Sea", "#3060c0")):
        page = await drop(market, plain(other))
        assert page.status_code == 200
        assert names(page)[0] == name
        assert len(names(page)) == 3
        assert "Nearest to your picture by texture and colour first." in page.text
    assert await counted(market, "searches", "state = 'seen'") >= 3
    assert await counted(market, "searches", "picture IS NOT NULL") == 0
    # A style without pictures of its own cannot be compared, and comes last.
    assert page.text.count("Not compared with your picture yet") == 1


async def test_filters_hold_beside_a_picture(market: Market):
    await looked_at(market, len(COLOURS))

    page = await drop(market, plain("#3060c0"), query="me")

    assert names(page) == ["Meadow"]


async def test_what_is_no_picture_is_refused_on_the_page(market: Market):
    page = await drop(market, b"Dear client,")
    empty = await market.stranger.post("/styles/like", data={"query": "sea"}, headers=HTML)

    assert (page.status_code, empty.status_code) == (422, 422)
    assert "The picture is not a picture this can read" in page.text
    assert "No picture came with the form" in empty.text


async def test_a_picture_that_nobody_looked_at_in_time_is_deleted_and_says_so(market: Market, clock: MovableClock):
    web, search_id = market.gateway, new_id("sea")
    async with web.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.searches (id, picture, asked_at) VALUES ($1, $2, $3)",
            *(search_id, plain("red"), web.clock()),
        )
    waiting = await market.stranger.get(f"/?like={search_id}", headers=HTML)
    clock.ahead += SEEN_WITHIN + timedelta(seconds=1)

    late = await market.stranger.get(f"/?like={search_id}", headers=HTML)
    await forget_searches(web)

    assert "Your picture is being looked at." in waiting.text
    assert "Nobody could look at your picture in time." in late.text
    assert await counted(market, "searches", f"id = '{search_id}' AND state = 'failed' AND picture IS NULL") == 1
    clock.ahead += KEPT
    await forget_searches(web)
    gone = await market.stranger.get(f"/?like={search_id}", headers=HTML)
    assert gone.status_code == 404
    assert "That search by picture is over" in gone.text
    assert await counted(market, "searches", f"id = '{search_id}'") == 0


async def test_pictures_are_counted_by_the_minute(market: Market, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(market.app.state, "searches", Buckets(2))

    answers = [await drop(market, plain("#3060c0")) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "2 searches by picture a minute are let in" in answers[2].text


async def test_a_destroyed_style_leaves_no_numbers(market: Market):
    style_id = await publish_coloured(market, "Fleeting", "#777777")
    await looked_at(market, len(COLOURS) + 1)

    await market.switch("destroyed", style_id)

    async with asyncio.timeout(30):
        while await counted(market, "appearances") > len(COLOURS):
            await asyncio.sleep(0.05)
