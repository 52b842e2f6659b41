"""The desk and the pages for anybody as a German browser reads them, and nothing of them in English that German has a
word for."""

import html
import re

import pytest

from tests.service.market import Market
from tests.service.pages.conftest import Seat, Sit, words_of
from tests.service.pages.test_making import field
from tests.service.pages.test_studio_in_german import GERMAN, english, read

__all__ = ["english"]

PAGES = (
    *("/desk", "/desk/make", "/desk/history", "/desk/keys", "/desk/keys?kind=live", "/desk/webhooks", "/desk/disputes"),
    *("/desk/money", "/desk/money/buyer", "/desk/money/payments", "/desk/money/spend", "/desk/history?style=none"),
    *("/", "/?query=nothing", "/?tier=draft&order=newest", "/verify", "/switch", "/fees", "/report"),
)
OF_API = ("/reference", "/reference/generations")
"""Their calls are told in English."""


@pytest.fixture
async def seat(market: Market, sit: Sit) -> Seat:
    """A client who has bought a picture and a plan, and pays tax."""
    person = await market.client(cents=30_000)
    assert (await market.order(person)).status_code == 201
    seat = await sit(person)
    await seat.send("/desk/money/plan", plan="small", renews="yes")
    return seat


async def send(seat: Seat, path: str, **fields: str) -> str:
    answer = await seat.http.post(path, data={"csrf": seat.csrf, **fields}, headers=GERMAN)
    return html.unescape(answer.text)


async def test_no_page_of_the_desk_and_for_anybody_is_half_in_english(market: Market, seat: Seat, english: list[str]):
    order = (await seat.person.http.get("/v1/generations")).json()["items"][0]
    paths = [*PAGES, f"/styles/{market.style_id}", f"/desk/make?style={market.style_id}"]
    paths += [f"/desk/orders/{order['id']}", f"/desk/outputs/{order['outputs'][0]['id']}"]
    for path in paths:
        page = await read(seat.http, path)
        assert [text for text in english if text in page] == [], path
    for path in OF_API:
        assert "Referenz der API" in await read(seat.http, path), path


async def test_keys_and_webhooks_that_were_just_made_are_shown_in_german(seat: Seat, english: list[str]):
    key = await send(seat, "/desk/keys", kind="test", **{"scope-read": "yes", "scope-generate": "yes"})
    hook = await send(
        seat, "/desk/webhooks", url="https://203.0.113.9/hooks", description="", **{"kind-generation.settled": "yes"}
    )

    assert "Ihr neuer Schlüssel" in key
    assert 'data-copied="Kopiert"' in key
    assert "Test, erstellt am" in key
    for page in (key, hook):
        assert [text for text in english if text in re.sub(r"\s+", " ", page)] == []


async def test_prices_and_what_is_refused_are_said_in_german(market: Market, seat: Seat):
    form = await read(seat.http, f"/desk/make?style={market.style_id}&tier=commercial&count=2")
    nothing = await send(seat, "/desk/keys", kind="live")

    assert "2 × Gewerblich" in form
    assert re.search(r"Bestellen für \d+,\d\d EUR", form)
    assert field(form, "count") == "2"
    assert "Der Schlüssel dürfte nichts" in words_of(nothing)


async def test_a_verdict_is_said_in_german_and_its_document_in_english(seat: Seat):
    order = (await seat.person.http.get("/v1/generations")).json()["items"][0]
    picture = (await seat.person.http.get(f"/v1/outputs/{order['outputs'][0]['id']}")).content
    answer = await seat.http.post("/verify", data={"csrf": seat.csrf}, files={"file": picture}, headers=GERMAN)
    document = await seat.person.http.post("/v1/verify", files={"file": picture}, headers=GERMAN)

    assert "Diese Datei wurde hier verkauft und ist unverändert." in answer.text
    assert "Was Sie gekauft haben, bleibt Ihres" in words_of(answer.text)
    assert document.json()["sentence"] == "This file was sold here and is unchanged."


async def test_the_terms_say_above_them_that_the_english_text_is_the_binding_one(seat: Seat):
    german = await read(seat.http, "/terms")
    english_page = await seat.http.get("/terms", headers={"Accept": "text/html"})

    assert "Verbindlich ist der englische Text." in german
    assert 'aria-labelledby="works" lang="en"' in german
    assert "binding" not in english_page.text
    assert 'lang="en"' not in english_page.text.split("<main", 1)[1].split("</main>", 1)[0]
