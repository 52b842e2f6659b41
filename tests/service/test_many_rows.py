"""Pages ask as much of the database for many as for few, and read no more of a long log than they show."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.audit import list_entries
from tests.service.conftest import Place, browser, draw, make_style, open_place, sign_in, upload, with_works
from tests.service.tally import Tally, resting, rows_read, tallied


@pytest.fixture(scope="module")
async def counted(
    database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Place, Tally]]:
    """The application without its sweeps, and what its connections are asked."""
    with tallied() as tally, resting() as rest:
        async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home")) as place:
            await rest()
            yield place, tally


async def test_the_studio_asks_as_much_for_many_styles_as_for_one(counted: tuple[Place, Tally]):
    place, tally = counted
    creator = await place.person("creator")
    http = browser(place, await sign_in(place, creator.account))

    await make_style(creator, name="Style 0")
    one = await tally.count(lambda: http.get("/studio"))
    for number in range(1, 7):
        await make_style(creator, name=f"Style {number}")
    seven = await tally.count(lambda: http.get("/studio"))

    shown = (await http.get("/studio")).text
    assert all(f"Style {number}<" in shown for number in range(7))
    assert seven == one


async def test_a_studio_with_more_styles_than_a_page_shows_all_of_them_once(
    counted: tuple[Place, Tally], monkeypatch: pytest.MonkeyPatch
):
    place, _ = counted
    creator = await place.person("creator")
    http = browser(place, await sign_in(place, creator.account))
    made = [await make_style(creator, name=f"Paged {number}") for number in range(5)]
    monkeypatch.setattr("service.pages.studio._PER_PAGE", 2)

    found, address = list[str](), "/studio"
    while address:
        shown = (await http.get(address)).text
        found += re.findall(r'<h2><a href="/studio/styles/(\w+)"', shown)
        older = re.search(r'href="(/studio\?before=\w+)"', shown)
        address = older[1] if older else ""

    assert found == made[::-1]


async def test_the_office_asks_as_much_for_many_people_as_for_few(counted: tuple[Place, Tally]):
    place, tally = counted
    operator = await place.person("operator")
    http = browser(place, await sign_in(place, operator.account))

    few = await tally.count(lambda: http.get("/office"))
    people = [await place.person("client") for _ in range(4)]
    for _ in range(3):
        await make_style(await place.person("creator"))
    many = await tally.count(lambda: http.get("/office"))

    shown = (await http.get("/office")).text
    assert all(one.account.email in shown for one in people)
    assert many == few


async def test_the_office_lists_everybody_a_page_at_a_time(
    counted: tuple[Place, Tally], monkeypatch: pytest.MonkeyPatch
):
    place, _ = counted
    operator = await place.person("operator")
    http = browser(place, await sign_in(place, operator.account))
    people = [(await place.person("client")).account.email for _ in range(5)]
    monkeypatch.setattr("service.pages.office._PER_PAGE", 2)

    first = (await http.get("/office")).text
    older = re.search(r'href="/office(\?clients_before=\w+)#clients"', first)
    assert older
    second = (await http.get(f"/office{older[1]}")).text

    shown = [[email for email in people if f">{email}<" in text] for text in (first, second)]
    assert shown == [people[3:], people[1:3]]


async def test_the_catalogue_asks_as_much_for_a_list_as_for_one(counted: tuple[Place, Tally]):
    place, tally = counted
    creator = await place.person("creator")

    async def publish() -> None:
        style_id = await make_style(creator)
        async with place.owner() as conn:
            await conn.execute(
                "WITH t AS (INSERT INTO service.trainings (id, style_id, creator_id, base, recipe, seed, state,"
                " created_at, updated_at) VALUES ('trn_' || $1, $1, $2, 'tiny', 'tiny', 0, 'passed', now(), now())),"
                " v AS (INSERT INTO service.versions (id, style_id, creator_id, training_id, number, base, trigger,"
                " adapter_key, adapter_sha256, report_key, receipt_key, gate_passed, state, created_at, published_at)"
                " VALUES ('ver_' || $1, $1, $2, 'trn_' || $1, 1, 'tiny', 'x', '', '', '', '', true, 'published', now(),"
                " now())) UPDATE service.styles SET published_version_id = 'ver_' || $1 WHERE id = $1",
                *(style_id, creator.account.id),
            )

    await publish()
    one = await tally.count(lambda: place.stranger.get("/v1/styles"))
    for _ in range(4):
        await publish()
    many = await tally.count(lambda: place.stranger.get("/v1/styles"))

    assert len((await place.stranger.get("/v1/styles")).json()["items"]) == 5
    assert many == one


async def test_the_page_of_works_asks_as_much_for_many_as_for_few(
    counted: tuple[Place, Tally], monkeypatch: pytest.MonkeyPatch
):
    place, tally = counted
    creator = await place.person("creator")
    http = browser(place, await sign_in(place, creator.account))
    style_id = await with_works(creator, count=4)
    monkeypatch.setattr("service.pages.work_cards.PER_PAGE", 3)

    async def asked() -> int:
        # Once it was looked at: a look that begins is another statement.
        await http.get(f"/studio/styles/{style_id}/works")
        async with asyncio.timeout(60):
            while "Looking at your pictures" in (await http.get(f"/studio/styles/{style_id}/works")).text:
                await asyncio.sleep(0.1)
        return await tally.count(lambda: http.get(f"/studio/styles/{style_id}/works?page=2"))

    few = await asked()
    await upload(creator, style_id, *[(f"more-{n}.png", draw()) for n in range(12)], rights="mine")
    many = await asked()

    assert many == few


async def test_the_newest_lines_of_a_long_record_are_read_without_the_older_ones(counted: tuple[Place, Tally]):
    place, tally = counted
    creator = await place.person("creator")
    style_id = await make_style(creator)
    async with place.owner() as conn:
        await conn.execute(
            "INSERT INTO service.audit (at, account_id, style_id, kind, role, data)"
            " SELECT now() - make_interval(mins => n), $1, $2, 'works_added', 'creator', '{\"works\": 1}'"
            " FROM generate_series(1, 20000) n",
            *(creator.account.id, style_id),
        )
        await conn.execute("ANALYZE service.audit")
        newest = [one.id async for one in _lines(place, creator.account.id)]
        tally.is_on = True
        async with place.gateway.pool.acquire() as own:
            await list_entries(own, creator.account.id, limit=50)
        before = await rows_read(conn)
        async with place.gateway.pool.acquire() as own:
            await list_entries(own, creator.account.id, limit=50, before=newest[-1])
        tally.is_on = False
        after = await rows_read(conn)

    assert len(newest) == 50
    assert after["service.audit"] - before["service.audit"] < 200


async def _lines(place: Place, account_id: str) -> AsyncIterator[object]:
    async with place.gateway.pool.acquire() as conn:
        for one in await list_entries(conn, account_id, limit=50):
            yield one
