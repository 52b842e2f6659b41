"""The studio as a German browser reads it: every page, and nothing of it in English that German has a word for."""

import html
import re

import httpx
import pytest

from service.languages.catalogues import read_catalogue
from tests.service.conftest import Person, Place, browser, make_style, sign_in, wait_for, with_works
from tests.service.test_audit import record_of
from tests.service.test_trainings import start

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.3", "Accept": "text/html"}
PAGES = (
    *("", "/new", "/export", "/approvals", "/shared", "/rules", "/record", "/record/happened", "/earnings"),
    *("/earnings/days", "/payouts", "/disputes"),
)
PAGES_OF_STYLE = ("", "/works", "/training", "/offer", "/switch", "/rates", "/authors", "/rules", "/consents")
LEAST_CHARACTERS = 18
"""Shorter texts may be names and ids, too."""


@pytest.fixture(scope="module")
def english() -> list[str]:
    """What German says in other words, where it has no values in it."""
    return [
        message.id
        for message in read_catalogue("de")
        if isinstance(message.id, str)
        and len(message.id) >= LEAST_CHARACTERS
        and not re.search(r"%\(|\{", message.id)
        and message.string != message.id
    ]


async def read(seat: httpx.AsyncClient, path: str) -> str:
    answer = await seat.get(path, headers=GERMAN)
    assert answer.status_code == 200, answer.text
    assert '<html lang="de">' in answer.text
    return re.sub(r"\s+", " ", html.unescape(answer.text))


@pytest.fixture
async def seat(place: Place, creator: Person) -> httpx.AsyncClient:
    return browser(place, await sign_in(place, creator.account))


async def test_no_page_of_the_studio_is_half_in_english(creator: Person, seat: httpx.AsyncClient, english: list[str]):
    empty, style_id = await make_style(creator), await with_works(creator)
    training = await wait_for(creator, await start(creator, style_id), "passed")
    await creator.http.post(f"/v1/versions/{training['version']}/publish")
    await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "paused"})

    paths = [f"/studio{path}" for path in PAGES]
    paths += [f"/studio/styles/{of}{path}" for of in (empty, style_id) for path in PAGES_OF_STYLE]
    report = f"/v1/versions/{training['version']}/report"
    for path in (*paths, f"/studio/versions/{training['version']}", report):
        page = await read(seat, path)
        assert [text for text in english if text in page] == [], path
    assert "<h1>Ihr Stil ist fertig.</h1>" in await read(seat, report)
    assert "<h1>Your style is ready.</h1>" in (await creator.http.get(report, headers=GERMAN)).text, "to programs"


async def test_what_a_page_refuses_it_refuses_in_german(creator: Person, place: Place):
    style_id, session = await make_style(creator), await sign_in(place, creator.account)
    form = {"csrf": session.csrf, "typed": "Oil"}

    answer = await browser(place, session).post(f"/studio/styles/{style_id}/destroy", data=form, headers=GERMAN)

    assert "Sie haben „Oil“ eingegeben; der Stil heißt „Ink“." in html.unescape(answer.text)


async def test_the_record_is_read_in_german_and_told_to_programs_in_english(creator: Person, seat: httpx.AsyncClient):
    await with_works(creator, count=1)

    happened = await read(seat, "/studio/record/happened")

    assert "Neu in Ink: 1 Werk." in happened
    assert "1 work came to Ink." in [entry["sentence"] for entry in await record_of(creator)]
