"""Of what people want e-mail: on their account's page, by the API, and from an e-mail by one press."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.letters import Letter, write_letter
from service.mailing import stop_path
from tests.service.conftest import Person, Place, browser, open_place, sign_in, slug_of


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home")) as opened:
        yield opened


async def mail_of(place: Place, person: Person, kind: str, about: str) -> str:
    """What becomes of the e-mail of a letter that is written now."""
    letter = Letter(kind=kind, account_id=person.account.id, about=about, subject="s", words="w", path="/studio")
    async with place.gateway.house() as conn:
        assert await write_letter(conn, letter, now=place.gateway.clock())
    found = (await person.http.get("/v1/letters")).json()["items"]
    return str(next(one["mail"] for one in found if one["about"] == about))


async def test_a_topic_is_turned_off_on_the_page_and_the_inbox_has_it_all_the_same(place: Place):
    creator = await place.person("creator")
    session = await sign_in(place, creator.account)
    http = browser(place, session)
    page = (await http.get("/account")).text
    assert re.findall(r'name="topic-(\w+)" value="yes" checked', page) == [
        "training",
        "approvals",
        "payouts",
        "sharing",
    ]

    saved = await http.post("/account/letters", data={"csrf": session.csrf, "topic-approvals": "yes"})

    assert saved.status_code == 303
    page = (await http.get("/account")).text
    assert re.findall(r'name="topic-(\w+)" value="yes" checked', page) == ["approvals"]
    assert await mail_of(place, creator, "training.passed", "trn_1") == "off"
    assert await mail_of(place, creator, "approvals.waiting", "sty_1") == "waiting"
    assert await mail_of(place, creator, "dispute.opened", "dsp_1") == "waiting"
    assert "Inbox (3)" in (await http.get("/account")).text


async def test_what_concerns_money_and_rights_cannot_be_off(place: Place):
    creator = await place.person("creator")

    refused = await creator.http.put("/v1/letter-topics", json={"off": ["training", "disputes"]})
    unknown = await creator.http.put("/v1/letter-topics", json={"off": ["office"]})
    kept = await creator.http.put("/v1/letter-topics", json={"off": ["training"]})

    assert slug_of(refused) == slug_of(unknown) == "invalid_request"
    assert "disputes cannot be off" in refused.json()["detail"]
    assert [one["topic"] for one in kept.json()["items"] if not one["email"]] == ["training"]
    assert kept.json() == (await creator.http.get("/v1/letter-topics")).json()


async def test_an_emails_link_changes_nothing_until_it_is_pressed_and_nothing_but_its_topic(place: Place):
    creator, other = await place.person("creator"), await place.person("creator")
    path = stop_path(creator.account.id, "training", pepper=place.gateway.pepper)

    async def off(person: Person) -> list[str]:
        found = (await person.http.get("/v1/letter-topics")).json()["items"]
        return [one["topic"] for one in found if not one["email"]]

    assert "Turn it off" in (await place.stranger.get(path)).text
    assert await off(creator) == []
    pressed = await place.stranger.post(path, data={"List-Unsubscribe": "One-Click"})
    assert pressed.status_code == 200
    await place.stranger.post(path, data={"List-Unsubscribe": "One-Click"})
    assert await off(creator) == ["training"]

    for wrong in (
        path.replace(creator.account.id, other.account.id),
        path.replace("/training/", "/approvals/"),
        path.replace("/training/", "/nothing/"),
        path[:-1] + ("0" if path[-1] != "0" else "1"),
    ):
        assert (await place.stranger.post(wrong)).status_code == 404
    always = stop_path(creator.account.id, "disputes", pepper=place.gateway.pepper)
    assert (await place.stranger.post(always)).status_code == 403
    assert await off(creator) == ["training"]
    assert await off(other) == []
