"""The creator's record as a page: who opened their files, what happened, and nothing of anybody else's."""

import httpx
import pytest

from service.data_use import Use, open_files
from service.errors import FileRefused
from service.heartbeats import this_process
from service.works import hashes_of, list_works
from tests.service.conftest import Person, Place, browser, sign_in, wait_for, with_works
from tests.service.test_examples import HTML
from tests.service.test_trainings import start


@pytest.fixture
async def seat(place: Place, creator: Person) -> httpx.AsyncClient:
    return browser(place, await sign_in(place, creator.account))


async def refuse(place: Place, person: Person, style_id: str) -> None:
    """Have a training that is not there ask for the works of a style."""
    async with place.gateway.pool.acquire() as conn:
        works = await list_works(conn, style_id=style_id, creator_id=person.account.id)
    with pytest.raises(FileRefused):
        await open_files(
            place.gateway, Use(purpose="training", by=this_process(), job="trn_of_another"), hashes_of(works)
        )


async def test_the_studio_leads_to_the_record(creator: Person, seat: httpx.AsyncClient):
    style_id = await with_works(creator)

    assert 'href="/studio/record"' in (await seat.get("/studio")).text
    assert f'href="/studio/record?style={style_id}"' in (await seat.get(f"/studio/styles/{style_id}")).text


async def test_a_training_stands_there_with_its_files_by_the_names_that_the_creator_knows(
    creator: Person, seat: httpx.AsyncClient
):
    style_id = await with_works(creator)
    training_id = await start(creator, style_id)
    await wait_for(creator, training_id, "passed")
    line = (await creator.http.get("/v1/data-use")).json()["items"][-1]

    page = (await seat.get("/studio/record")).text
    files = (await seat.get(f"/studio/record/files/{line['id']}")).text

    assert "Trained with" in page
    assert f"for {training_id}" in page
    assert "6 files" in page
    assert "work-0.png" in files
    for file in (await creator.http.get(line["url"])).json()["files"]:
        assert file["sha256"] in files


async def test_a_refusal_stands_out(creator: Person, seat: httpx.AsyncClient, place: Place):
    style_id = await with_works(creator)
    await refuse(place, creator, style_id)

    opened, happened = [(await seat.get(f"/studio/record{path}")).text for path in ("", "/happened")]

    assert 'class="notice bad' in opened
    assert "got nothing" in opened
    assert 'class="notice bad' in happened
    assert "trn_of_another asked for 6 files of Ink and was refused" in happened


async def test_it_is_shown_for_one_style_and_by_pages(
    creator: Person, seat: httpx.AsyncClient, place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("service.pages.studio_record._PER_PAGE", 2)
    first, second = await with_works(creator), await with_works(creator)
    for style_id in (first, second, first, first):
        await refuse(place, creator, style_id)

    page = (await seat.get("/studio/record", params={"style": first})).text
    older = page.split('class="button quiet" href="')[1].split('"')[0].replace("&amp;", "&")
    rest = (await seat.get(older)).text

    assert (page.count("got nothing"), rest.count("got nothing")) == (2, 1)
    assert f'value="{first}" selected' in rest
    assert "Older" not in rest


async def test_another_creator_and_other_roles_see_nothing_of_it(
    creator: Person, other_creator: Person, client: Person, place: Place
):
    style_id = await with_works(creator)
    await refuse(place, creator, style_id)
    line, *_ = (await creator.http.get("/v1/data-use")).json()["items"]
    theirs = browser(place, await sign_in(place, other_creator.account))
    buyer = browser(place, await sign_in(place, client.account))

    pages = [(await theirs.get(f"/studio/record{path}?style={style_id}")).text for path in ("", "/happened")]
    files = await theirs.get(f"/studio/record/files/{line['id']}", headers=HTML)

    assert "Nobody opened a file of yours yet." in pages[0]
    assert "Nothing happened yet." in pages[1]
    assert files.status_code == 404
    assert (await buyer.get("/studio/record", headers=HTML)).status_code == 403
    assert (await place.stranger.get("/studio/record", headers=HTML)).status_code == 303


async def test_an_empty_record_says_so_and_a_wrong_address_is_a_page(seat: httpx.AsyncClient):
    assert "Nobody opened a file of yours yet." in (await seat.get("/studio/record")).text
    assert (await seat.get("/studio/record/happened?before=x", headers=HTML)).status_code == 422
