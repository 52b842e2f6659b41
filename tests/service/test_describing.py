"""Suggested words: a worker finds them where the creator wrote none, and the creator's own always win."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service import describing
from service.describing import ask_for_words
from service.works import StoredWork, find_work, list_wordless, suggest
from tests.service.conftest import Person, Place, browser, draw, make_style, open_place, sign_in, slug_of, upload
from training.messages import Described, read_request

SAID = ["a boat", "boat seen by shrewd"]


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A place whose operator has named a captioning model."""
    home = tmp_path_factory.mktemp("home")
    async with open_place(database_url, configs, home=home, captioner="shrewd") as opened:
        yield opened


@pytest.fixture
async def studio(place: Place, creator: Person) -> tuple[httpx.AsyncClient, str]:
    """A browser that is signed in, and the word its forms need."""
    session = await sign_in(place, creator.account)
    return browser(place, session), session.csrf


async def works_of(person: Person, style_id: str) -> dict[str, dict[str, Any]]:
    works = (await person.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    return {work["filename"].split(".")[0]: work for work in works}


async def at_rest(place: Place, style_id: str, *, timeout_s: float = 30) -> None:
    """Wait until no story finds words for the style."""
    ends = time.monotonic() + timeout_s
    async with place.gateway.pool.acquire() as conn:
        while await conn.fetchval("SELECT describing FROM service.styles WHERE id = $1", style_id):
            assert time.monotonic() < ends, f"works of {style_id} were still being described after {timeout_s} s"
            await asyncio.sleep(0.05)


async def described(place: Place, person: Person, *names: str) -> str:
    """A style whose works have been described; its id."""
    style_id = await make_style(person)
    await upload(person, style_id, *[(f"{name}.png", draw()) for name in names], rights="mine")
    await at_rest(place, style_id)
    return style_id


async def num_stories(place: Place) -> int:
    async with place.gateway.pool.acquire() as conn:
        count: int = await conn.fetchval("SELECT count(*) FROM dbos.workflow_status WHERE name = 'description'")
    return count


# --- what is suggested


async def test_works_get_suggestions_soon_after_they_came(place: Place, creator: Person):
    style_id = await described(place, creator, "boat", "mute", "house")

    works = await works_of(creator, style_id)

    assert works["boat"]["suggested"] == SAID
    assert works["boat"]["captions"] == []
    assert works["mute"]["suggested"] == []
    assert works["house"]["suggested"][0] == "a house"
    assert list((place.settings.home / "scratch").glob("dsc_*")) == [], "the works that were laid out are deleted"


async def test_only_works_without_words_are_described(place: Place, creator: Person):
    style_id = await described(place, creator, "boat")
    boat = (await works_of(creator, style_id))["boat"]

    await upload(creator, style_id, ("cat.png", draw()), rights="mine")
    await at_rest(place, style_id)

    works = await works_of(creator, style_id)
    assert works["cat"]["suggested"][0] == "a cat"
    assert works["boat"]["updated_at"] == boat["updated_at"], "it was not described again"


async def test_what_comes_meanwhile_is_described_by_the_story_that_runs(place: Place, creator: Person):
    style_id, before = await make_style(creator), await num_stories(place)
    await upload(creator, style_id, ("slow.png", draw()), rights="mine")
    async with asyncio.timeout(30):
        while not list((place.settings.home / "scratch").glob("dsc_*/request.json")):
            await asyncio.sleep(0.05)

    await asyncio.gather(*(upload(creator, style_id, (f"boat {n}.png", draw())) for n in range(5)))
    slow = (await works_of(creator, style_id))["slow"]
    await creator.http.delete(f"/v1/works/{slow['id']}")
    # Sooner than the slow one takes: nobody looks on at what is deleted.
    await at_rest(place, style_id, timeout_s=8)

    works = await works_of(creator, style_id)
    assert {name: work["suggested"][0] for name, work in works.items()} == {
        f"boat {n}": f"a boat {n}" for n in range(5)
    }
    assert await num_stories(place) == before + 1


async def test_asking_again_is_harmless(place: Place, creator: Person):
    style_id = await described(place, creator, "boat", "mute")
    works = await works_of(creator, style_id)

    for _ in range(3):
        await ask_for_words(place.gateway, style_id)
    await at_rest(place, style_id)

    assert await works_of(creator, style_id) == works


async def test_the_same_file_again_asks_nobody(place: Place, creator: Person):
    style_id, content = await make_style(creator), draw()
    await upload(creator, style_id, ("boat.png", content))
    await at_rest(place, style_id)
    before = await num_stories(place)

    await upload(creator, style_id, ("boat.png", content))

    assert await num_stories(place) == before


async def test_a_file_that_cannot_be_opened_leaves_the_others_their_words(place: Place, creator: Person):
    style_id = await described(place, creator, "lost", "boat")

    works = await works_of(creator, style_id)

    assert (works["lost"]["suggested"], works["boat"]["suggested"]) == ([], SAID)


async def test_a_describer_that_breaks_is_logged_and_tried_again_with_the_next_upload(
    place: Place, creator: Person, caplog: pytest.LogCaptureFixture
):
    style_id = await make_style(creator)
    with caplog.at_level(logging.ERROR, logger="ownhand.describing"):
        await upload(creator, style_id, ("boat.png", draw()), ("broken.png", draw()), rights="mine")
        async with asyncio.timeout(30):
            while not caplog.records:
                await asyncio.sleep(0.05)
    works = await works_of(creator, style_id)
    await creator.http.delete(f"/v1/works/{works['broken']['id']}")

    async with asyncio.timeout(30):
        # The engine notes the story's end a moment after it logged.
        while "house" not in works or not works["house"]["suggested"]:
            await upload(creator, style_id, ("house.png", draw()), rights="mine")
            works = await works_of(creator, style_id)

    assert works["boat"]["suggested"] == SAID, "what was said before it broke is kept"
    assert "the captioning model shrewd cannot be opened" in caplog.text


async def test_who_describes_the_last_work_while_its_words_are_looked_for_is_not_broken_off(
    place: Place, creator: Person, monkeypatch: pytest.MonkeyPatch
):
    style_id = await make_style(creator)
    answers, asking, is_said = list[bool](), list[str](), asyncio.Event()

    async def list_slowly(conn: asyncpg.Connection, style_id: str) -> list[StoredWork]:
        found = await list_wordless(conn, style_id)
        if asking:
            await is_said.wait()
            return []
        return found

    async def run(*_: Any, on_event: Any, should_stop: Any, **__: Any) -> int:
        work = (await works_of(creator, style_id))["boat"]["id"]
        asking.append(work)
        answer = asyncio.create_task(should_stop())
        await asyncio.sleep(0.05)
        await on_event(Described(work=work, captions=()))
        is_said.set()
        answers.append(await answer)
        asking.clear()
        return 0

    monkeypatch.setattr(describing, "list_wordless", list_slowly)
    monkeypatch.setattr(describing, "run_trainer", run)
    await upload(creator, style_id, ("boat.png", draw()), rights="mine")
    await at_rest(place, style_id)

    assert answers == [False]


# --- whose words train


async def test_the_creators_own_words_win_and_stay(place: Place, creator: Person):
    style_id = await described(place, creator, "boat", "cat", "mute")
    works = await works_of(creator, style_id)
    await creator.http.patch(f"/v1/works/{works['boat']['id']}", json={"captions": ["my own tug"]})

    async with place.gateway.pool.acquire() as conn:
        await suggest(conn, work_id=works["boat"]["id"], captions=["a ferry"], now=place.gateway.clock())
        found = {name: await find_work(conn, work["id"], creator_id=creator.account.id) for name, work in works.items()}

    words = {name: work.words for name, work in found.items() if isinstance(work, StoredWork)}
    assert words == {"boat": ("my own tug",), "cat": ("a cat", "cat seen by shrewd"), "mute": ()}
    assert (await works_of(creator, style_id))["boat"]["captions"] == ["my own tug"]


async def test_the_trainer_gets_the_words_that_are_there(place: Place, creator: Person):
    style_id = await described(place, creator, "boat", "cat", "mute", "tree", "house", "fish")
    works = await works_of(creator, style_id)
    await creator.http.patch(f"/v1/works/{works['tree']['id']}", json={"captions": ["an old oak"]})

    begun = (await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": 4})).json()
    request = place.settings.home / "scratch" / begun["id"] / "request.json"
    async with asyncio.timeout(30):
        while not request.exists():
            await asyncio.sleep(0.05)
    asked = {work.path.stem: work.captions for work in read_request(request.read_text()).works}

    await creator.http.post(f"/v1/trainings/{begun['id']}/cancel")
    assert (asked["boat"], asked["tree"], asked["mute"]) == (tuple(SAID), ("an old oak",), ())


async def test_nobody_else_sees_them_and_they_go_with_the_work(place: Place, creator: Person, other_creator: Person):
    style_id = await described(place, creator, "boat")
    boat = (await works_of(creator, style_id))["boat"]

    stranger = [
        await other_creator.http.get(f"/v1/styles/{style_id}/works"),
        await other_creator.http.patch(f"/v1/works/{boat['id']}", json={}),
    ]
    await creator.http.delete(f"/v1/works/{boat['id']}")

    assert {slug_of(answer) for answer in stranger} == {"not_found"}
    assert await works_of(creator, style_id) == {}


# --- the page


async def test_the_page_shows_the_suggestion_and_takes_it_over_with_one_press(
    place: Place, creator: Person, studio: tuple[httpx.AsyncClient, str]
):
    http, csrf = studio
    style_id = await described(place, creator, "boat", "mute")
    boat = (await works_of(creator, style_id))["boat"]
    page = f"/studio/styles/{style_id}/works"

    before = (await http.get(page)).text
    taken = await http.post(f"/studio/works/{boat['id']}/words", data={"csrf": csrf})
    after = (await http.get(page)).text

    assert 'placeholder="a boat; boat seen by shrewd"' in before
    assert before.count("Take these words and edit them") == 1
    assert "suggested by a model" in before
    assert taken.status_code == 303
    assert 'value="a boat; boat seen by shrewd"' in after
    assert "Take these words" not in after
    assert (await works_of(creator, style_id))["boat"]["captions"] == SAID


async def test_taking_over_never_writes_over_own_words_nor_anybody_elses(
    place: Place, creator: Person, other_creator: Person, studio: tuple[httpx.AsyncClient, str]
):
    http, csrf = studio
    style_id = await described(place, creator, "boat", "cat")
    works = await works_of(creator, style_id)
    await creator.http.patch(f"/v1/works/{works['boat']['id']}", json={"captions": ["my own tug"]})
    session = await sign_in(place, other_creator.account)

    await http.post(f"/studio/works/{works['boat']['id']}/words", data={"csrf": csrf})
    await browser(place, session).post(f"/studio/works/{works['cat']['id']}/words", data={"csrf": session.csrf})

    after = await works_of(creator, style_id)
    assert (after["boat"]["captions"], after["cat"]["captions"]) == (["my own tug"], [])
