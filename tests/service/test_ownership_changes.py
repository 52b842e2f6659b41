"""When the words of who owns what change, people are asked before they next do what matters; and words never change
under a number that was accepted."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.errors import NotStarted
from service.ownership import FILE
from service.resources import Gateway, open_gateway
from service.settings import ROOT, Settings
from tests.postgres import Server
from tests.service.conftest import Person, Place, browser, connect, open_place, sign_in, slug_of, upload
from tests.service.market import publish_style

SHIPPED = (ROOT / "configs" / FILE).read_text()
Reopen = Callable[[str], AbstractAsyncContextManager[Place]]
Words = Callable[[str], AbstractAsyncContextManager[Gateway]]


def next_version(text: str) -> str:
    return text.replace("version = 1", "version = 2").replace('title = "Works"', 'title = "Works, and sketches"')


@pytest.fixture
def folder(configs: Path, tmp_path: Path) -> Path:
    """The configuration of one place, whose words a test changes."""
    folder = tmp_path / "configs"
    shutil.copytree(configs, folder)
    return folder


@pytest.fixture
def reopen(database_url: str, folder: Path, tmp_path: Path) -> Reopen:
    """Opens one and the same place with these words of who owns what; each time it closes before the next."""

    @asynccontextmanager
    async def opened(text: str) -> AsyncIterator[Place]:
        (folder / FILE).write_text(text)
        async with open_place(database_url, folder, home=tmp_path / "home") as place:
            yield place

    return opened


@pytest.fixture
def words(postgres: Server, migrated: str, folder: Path, tmp_path: Path) -> Iterator[Words]:
    """What a web process holds open, with these words: it comes up, or says why not."""
    name = postgres.create_database(template=migrated)

    @asynccontextmanager
    async def opened(text: str) -> AsyncIterator[Gateway]:
        (folder / FILE).write_text(text)
        async with open_gateway(Settings(home=tmp_path / "home", configs=folder), postgres.url(name)) as gateway:
            yield gateway

    yield opened
    postgres.drop_database(name)


def again(place: Place, person: Person) -> Person:
    """The same person in front of a place that was opened anew."""
    return replace(person, http=connect(place.app, person.token))


async def order(person: Person, style_id: str) -> httpx.Response:
    body = {"style": style_id, "prompt": "a red apple"}
    return await person.http.post("/v1/generations", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


async def settled(person: Person, generation_id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await person.http.get(f"/v1/generations/{generation_id}")).json()
            if found["state"] == "settled":
                return found
            await asyncio.sleep(0.05)


async def test_a_new_version_is_asked_for_before_the_next_order_upload_and_publishing(reopen: Reopen, drawing: Any):
    async with reopen(SHIPPED) as place:
        creator, client = await place.person("creator"), await place.person("client", kind="test")
        style_id = await publish_style(place.gateway, creator, b"adapter")
        version_id = (await creator.http.get(f"/v1/styles/{style_id}/versions")).json()["items"][0]["id"]
        first = (await order(client, style_id)).json()
        assert (await settled(client, first["id"]))["ownership_terms"] == 1

    async with reopen(next_version(SHIPPED)) as place:
        creator, client = again(place, creator), again(place, client)

        refusals = [
            await order(client, style_id),
            await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"}),
            await client.http.put("/v1/subscription", json={"plan": "studio"}),
            await upload(creator, style_id, ("one.png", drawing()), rights="mine"),
            await creator.http.post(f"/v1/versions/{version_id}/publish"),
        ]

        for answer in refusals:
            assert (answer.status_code, slug_of(answer)) == (403, "terms_not_accepted")
            problem = answer.json()
            assert (problem["version"], problem["accepted"]) == (2, 1)
            assert problem["accept"].endswith("/v1/terms/accept")
        await _reads_and_switches_off(creator, client, style_id, first["id"])
        await _accepts(place, creator, client)
        assert (await upload(creator, style_id, ("one.png", drawing()), rights="mine")).status_code == 201
        await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "live"})
        second = await settled(client, (await order(client, style_id)).json()["id"])
        paper = (await client.http.get(f"/v1/outputs/{second['outputs'][0]['id']}/certificate")).json()["document"]
        assert (second["ownership_terms"], paper["ownership_terms"]) == (2, 2)
        old = (await client.http.get(f"/v1/generations/{first['id']}")).json()
        assert old["ownership_terms"] == 1
        assert (await place.stranger.get("/v1/terms/1")).json()["clauses"][0]["title"] == "Works"


async def _reads_and_switches_off(creator: Person, client: Person, style_id: str, generation_id: str) -> None:
    quote = await client.http.post("/v1/quotes", json={"style": style_id, "prompt": "a tree"})
    answers = [
        quote,
        await client.http.get(f"/v1/generations/{generation_id}"),
        await client.http.post(f"/v1/generations/{generation_id}/cancel"),
        await creator.http.get(f"/v1/styles/{style_id}/works"),
        await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "off"}),
        await creator.http.put("/v1/switch", json={"level": "off"}),
        await creator.http.put("/v1/switch", json={"level": "live"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)


async def _accepts(place: Place, creator: Person, client: Person) -> None:
    """The client by its program, the creator on the page."""
    wrong = await client.http.post("/v1/terms/accept", json={"version": 1})
    assert (wrong.status_code, slug_of(wrong)) == (409, "conflict")
    said = (await client.http.post("/v1/terms/accept", json={"version": 2})).json()
    assert said["accepted"]["version"] == 2
    assert (await client.http.get("/v1/terms")).json()["accepted"] == said["accepted"]

    desk = browser(place, await sign_in(place, client.account))
    assert "Read version 2 and accept it" not in (await desk.get("/desk")).text
    session = await sign_in(place, creator.account)
    http = browser(place, session)
    assert "Who owns what here has changed" in (await http.get("/studio")).text
    assert "Accept version 2" in (await http.get("/terms")).text
    refused = await http.post("/terms", data={"version": "2"})
    assert refused.status_code == 403, "a form without its token is nobody's yes"
    assert (await http.post("/terms", data={"version": "2", "csrf": session.csrf})).status_code == 303
    assert "has changed" not in (await http.get("/studio")).text


async def test_words_do_not_change_under_a_number_that_people_accepted(words: Words):
    async with words(SHIPPED):
        pass

    with pytest.raises(NotStarted, match=r"raise `version` to 2"):
        async with words(SHIPPED.replace("stays theirs", "is ours", 1)):
            pass
    async with words(f"# A comment is not what people accept.\n{SHIPPED}"):
        pass
    async with words(next_version(SHIPPED)):
        pass
    with pytest.raises(NotStarted, match="version 2 was in force already; give it version 3"):
        async with words(SHIPPED):
            pass
