"""The page of works shows so many cards at a time, those first that need their creator, and leads back to its place."""

import re
from typing import Any

import httpx
import pytest

from tests.service.conftest import Person, Place, browser, draw, make_style, sign_in, upload


@pytest.fixture(autouse=True)
def few_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.pages.work_cards.PER_PAGE", 2)


async def portfolio(person: Person, *, mine: int, unsure: int = 0) -> tuple[str, list[str]]:
    """A style and its works in the order they came; those without rights come last."""
    style_id, ids = await make_style(person), list[str]()
    for rights, count in (("mine", mine), ("unsure", unsure)):
        files = [(f"{rights}-{number}.png", draw()) for number in range(count)]
        added = (await upload(person, style_id, *files, rights=rights)).json()["items"] if files else []
        ids += [one["work"]["id"] for one in added]
    return style_id, sorted(ids)


async def seat_of(place: Place, person: Person) -> tuple[httpx.AsyncClient, str]:
    session = await sign_in(place, person.account)
    return browser(place, session), session.csrf


def cards_on(text: str) -> list[str]:
    return re.findall(r'<li id="(wrk_\w+)" class="work', text)


async def test_every_work_is_on_one_page_and_links_lead_through_all_of_them(place: Place, creator: Person):
    style_id, ids = await portfolio(creator, mine=5)
    seat, _ = await seat_of(place, creator)

    found, address = list[str](), f"/studio/styles/{style_id}/works"
    while address:
        text = (await seat.get(address)).text
        assert len(cards_on(text)) <= 2
        found += cards_on(text)
        following = re.search(r'href="([^"]+)#cards" rel="next"', text)
        address = following[1].replace("&amp;", "&") if following else ""

    assert found == ids
    assert "Page 3 of 3" in text
    assert 'rel="prev"' in text


@pytest.mark.parametrize("asked", ["9", "0", "x", "-1", "9" * 5000, ""])
async def test_a_page_that_there_is_not_is_the_nearest_one(place: Place, creator: Person, asked: str):
    style_id, ids = await portfolio(creator, mine=3)
    seat, _ = await seat_of(place, creator)

    shown = await seat.get(f"/studio/styles/{style_id}/works", params={"page": asked})

    assert shown.status_code == 200
    assert cards_on(shown.text) == (ids[2:] if asked == "9" else ids[:2])


async def test_what_needs_its_creator_comes_first_and_can_be_shown_alone(place: Place, creator: Person):
    style_id, ids = await portfolio(creator, mine=3, unsure=1)
    left_out = (await upload(creator, style_id, ("x.png", draw()), rights="unsure")).json()["items"][0]["work"]["id"]
    await creator.http.patch(f"/v1/works/{left_out}", json={"include": False})
    asked = {"asked": "Jo", "works": [ids[3]]}
    seat, _ = await seat_of(place, creator)

    first = (await seat.get(f"/studio/styles/{style_id}/works")).text
    alone = (await seat.get(f"/studio/styles/{style_id}/works?show=needed")).text
    await creator.http.post(f"/v1/styles/{style_id}/consents", json=asked)
    waiting = (await seat.get(f"/studio/styles/{style_id}/works?show=needed")).text

    assert cards_on(first) == [ids[3], ids[0]]
    assert "1 picture needs you, and comes first." in first
    assert cards_on(alone) == [ids[3]]
    assert "1 picture needs you." in alone
    # It waits for somebody else now, and all are shown again.
    assert cards_on(waiting) == ids[:2]
    assert "needs you" not in waiting


@pytest.mark.parametrize("has_scripts", [True, False])
async def test_forms_lead_back_to_the_page_on_which_they_are(place: Place, creator: Person, has_scripts: bool):
    style_id, ids = await portfolio(creator, mine=4, unsure=1)
    seat, csrf = await seat_of(place, creator)
    works = f"/studio/styles/{style_id}/works"
    text = (await seat.get(f"{works}?page=2")).text
    assert cards_on(text) == [ids[1], ids[2]]
    action = re.search(rf'action="(/studio/works/{ids[2]}\?[^"]+)"', text)
    assert action
    headers = {"HX-Request": "true", "HX-Target": ids[2]} if has_scripts else {}
    form: dict[str, Any] = {"csrf": csrf, "rights": "unsure", "include": "yes"}

    sent = await seat.post(action[1], data=form, headers=headers, follow_redirects=True)

    if has_scripts:
        assert cards_on(sent.text) == [ids[2]]
        assert f'action="/studio/works/{ids[2]}?page=2"' in sent.text
    else:
        assert str(sent.url).endswith(f"{works}?page=2#{ids[2]}")
        # It needs its creator now, so it went to the front, and who was there stays where they were.
        assert cards_on(sent.text) == [ids[0], ids[1]]
    deleted = await seat.post(f"/studio/works/{ids[0]}/delete?page=2", data={"csrf": csrf})
    assert deleted.headers["location"] == f"{works}?page=2"


async def test_what_was_wrong_is_said_on_the_works_card_wherever_that_is(place: Place, creator: Person):
    _, ids = await portfolio(creator, mine=5)
    seat, csrf = await seat_of(place, creator)

    said = await seat.post(f"/studio/works/{ids[4]}?page=1", data={"csrf": csrf, "rights": "nobody's"})
    led = await seat.get(f"/studio/works/{ids[4]}", follow_redirects=True)

    assert said.status_code == 422
    assert cards_on(said.text) == [ids[4]]
    assert cards_on(led.text) == [ids[4]]


async def test_the_look_brings_what_was_found_of_the_works_that_are_shown(place: Place, creator: Person):
    style_id, ids = await portfolio(creator, mine=6)
    seat, _ = await seat_of(place, creator)
    await creator.http.get(f"/v1/styles/{style_id}/review")

    headers = {"HX-Request": "true", "HX-Target": "looked"}
    shown = await seat.get(
        f"/studio/styles/{style_id}/works?page=1&shown={ids[4]},{ids[5]},wrk_nobodys", headers=headers
    )

    assert re.findall(r'id="found-(wrk_\w+)"', shown.text) in ([ids[4], ids[5]], [])
    assert ids[0] not in shown.text


async def test_a_card_offers_a_work_as_a_starting_point_where_its_rights_allow_it(place: Place, creator: Person):
    style_id, ids = await portfolio(creator, mine=1, unsure=1)
    seat, csrf = await seat_of(place, creator)
    works = f"/studio/styles/{style_id}/works"

    async def box(work_id: str) -> str:
        found = re.search(rf'<input id="start-{work_id}"[^>]*>', (await seat.get(works)).text)
        return found[0] if found else ""

    assert "checked" not in await box(ids[0])
    assert await box(ids[0])
    assert not await box(ids[1])
    form = {"csrf": csrf, "rights": "mine", "include": "yes", "start": "yes"}
    await seat.post(f"/studio/works/{ids[0]}", data=form)
    assert "checked" in await box(ids[0])
    # Its box is still ticked in the form that takes the right away.
    sent = await seat.post(f"/studio/works/{ids[0]}", data=form | {"rights": "unsure"})
    assert sent.status_code == 303
    assert not await box(ids[0])
