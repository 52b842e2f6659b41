"""Destroying a style from its page: said exactly, meant exactly, and afterwards everybody is told."""

import asyncio

import httpx
import pytest

from service.sessions import Session
from tests.service.conftest import Person, Place, browser, sign_in, slug_of, with_works
from tests.service.test_examples import HTML, on_sale

NAME = "Ink"
LOST = "Style {style_id} was destroyed for good; choose another style."


@pytest.fixture
async def session(place: Place, creator: Person) -> Session:
    return await sign_in(place, creator.account)


@pytest.fixture
def seat(place: Place, session: Session) -> httpx.AsyncClient:
    return browser(place, session)


async def destroy(seat: httpx.AsyncClient, session: Session, style_id: str, typed: str) -> httpx.Response:
    form = {"csrf": session.csrf, "typed": typed}
    return await seat.post(f"/studio/styles/{style_id}/destroy", data=form, headers=HTML)


async def level_of(creator: Person, style_id: str) -> str:
    return str((await creator.http.get(f"/v1/styles/{style_id}")).json()["switch"]["level"])


async def test_the_page_says_what_is_lost_what_stays_and_that_it_is_final(creator: Person, seat: httpx.AsyncClient):
    style_id, version_id = await on_sale(creator)

    page = (await seat.get(f"/studio/styles/{style_id}/switch")).text

    assert "This cannot be undone" in page
    assert "6 works that you uploaded here, 1 trained version" in page
    assert f"/v1/versions/{version_id}/adapter" in page
    assert "pictures that were sold and their certificates" in page
    assert f"Type “{NAME}” to confirm" in page


@pytest.mark.parametrize("typed", ["", "ink", "Inky"])
async def test_without_the_name_typed_exactly_nothing_is_destroyed(
    creator: Person, seat: httpx.AsyncClient, session: Session, typed: str
):
    style_id = await with_works(creator)

    answer = await destroy(seat, session, style_id, typed)

    assert answer.status_code == 422
    assert "Nothing was destroyed" in answer.text
    assert await level_of(creator, style_id) == "live"


async def test_with_its_name_typed_the_style_is_gone_and_the_list_of_it_is_signed(
    creator: Person, seat: httpx.AsyncClient, session: Session
):
    style_id, _ = await on_sale(creator)

    answer = await destroy(seat, session, style_id, NAME)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/studio/styles/{style_id}/switch?done=set")
    assert await level_of(creator, style_id) == "destroyed"
    async with asyncio.timeout(30):
        while f"/v1/styles/{style_id}/deletion" not in (await seat.get(answer.headers["location"])).text:
            await asyncio.sleep(0.05)
    for step in ("", "/works", "/training", "/offer", "/switch"):
        page = await seat.get(f"/studio/styles/{style_id}{step}")
        assert page.status_code == 200
        assert "Destroyed on" in page.text
        assert 'type="file"' not in page.text
        assert "Destroy it for good" not in page.text
    assert "Deleted for good on" in (await seat.get("/studio")).text


async def test_the_public_page_of_a_destroyed_style_is_gone(
    creator: Person, place: Place, seat: httpx.AsyncClient, session: Session
):
    style_id, _ = await on_sale(creator)
    await destroy(seat, session, style_id, NAME)

    shown = await place.stranger.get(f"/styles/{style_id}", headers=HTML)
    told = await place.stranger.get(f"/v1/styles/{style_id}")

    assert shown.status_code == told.status_code == 410
    assert LOST.format(style_id=style_id) in shown.text
    assert told.json()["detail"].startswith(LOST.format(style_id=style_id))
    assert slug_of(told) == "style_destroyed"


async def test_nobody_learns_of_a_destroyed_style_that_was_never_on_sale(
    creator: Person, place: Place, seat: httpx.AsyncClient, session: Session
):
    style_id = await with_works(creator)
    await destroy(seat, session, style_id, NAME)

    answers = [await place.stranger.get(f"{prefix}/styles/{style_id}") for prefix in ("", "/v1")]

    assert [slug_of(answer) for answer in answers] == ["not_found", "not_found"]


async def test_everything_at_once_is_not_destroyed_by_a_form(
    creator: Person, seat: httpx.AsyncClient, session: Session
):
    style_id = await with_works(creator)

    answer = await seat.post("/studio/switch", data={"csrf": session.csrf, "level": "destroyed"}, headers=HTML)

    assert answer.status_code == 422
    assert await level_of(creator, style_id) == "live"


async def test_another_creator_cannot_destroy_it(creator: Person, other_creator: Person, place: Place):
    style_id = await with_works(creator)
    other = await sign_in(place, other_creator.account)

    answer = await destroy(browser(place, other), other, style_id, NAME)

    assert answer.status_code == 404
    assert await level_of(creator, style_id) == "live"
