"""A creator sees how long a training takes before it starts, and may limit it."""

import asyncio

import httpx
import pytest

from tests.service.conftest import Person, Place, browser, sign_in, wait_for, with_works
from tests.service.scripted_trainer import FAILS


@pytest.fixture
async def studio(place: Place, creator: Person) -> tuple[httpx.AsyncClient, str]:
    """A browser that is signed in, and the word its forms need."""
    session = await sign_in(place, creator.account)
    return browser(place, session), session.csrf


async def page_once_measured(http: httpx.AsyncClient, url: str) -> str:
    async with asyncio.timeout(20):
        while "is being measured" in (text := (await http.get(url)).text):
            await asyncio.sleep(0.05)
    return text


async def test_minutes_and_memory_stand_beside_the_button(creator: Person, studio: tuple[httpx.AsyncClient, str]):
    http, _ = studio
    url = f"/studio/styles/{await with_works(creator)}/training"

    text = await page_once_measured(http, url)

    assert "Takes about <strong>" in text
    assert "3.2 GB of its memory" in text
    assert "Start training" in text


async def test_a_limit_that_is_too_short_is_refused_in_place(creator: Person, studio: tuple[httpx.AsyncClient, str]):
    http, csrf = studio
    url = f"/studio/styles/{await with_works(creator)}/training"
    await page_once_measured(http, url)

    too_many = await http.post(url, data={"csrf": csrf, "max_minutes": "1000"})
    no_number = await http.post(url, data={"csrf": csrf, "max_minutes": "soon"})

    assert too_many.status_code == 422
    assert "a training may take at most 480 here" in too_many.text
    assert 'value="1000"' in too_many.text, "what was typed is there to be changed"
    assert no_number.status_code == 422
    assert "is no whole number" in no_number.text


async def test_a_training_that_failed_is_given_another_limit(creator: Person, studio: tuple[httpx.AsyncClient, str]):
    http, csrf = studio
    style_id = await with_works(creator)
    url = f"/studio/styles/{style_id}/training"
    begun = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": FAILS, "max_minutes": 100})
    await wait_for(creator, begun.json()["id"], "failed")

    page = (await http.get(url)).text
    too_many = await http.post(
        f"{url}/{begun.json()['id']}", data={"csrf": csrf, "act": "resume", "max_minutes": "481"}
    )
    resumed = await http.post(f"{url}/{begun.json()['id']}", data={"csrf": csrf, "act": "resume", "max_minutes": "300"})
    training = (await creator.http.get(f"/v1/trainings/{begun.json()['id']}")).json()

    assert "Give it another limit" in page
    assert 'placeholder="100"' in page
    assert "a training may take at most 480 here" in too_many.text
    assert 'value="481"' in too_many.text
    assert resumed.status_code == 303
    assert training["max_minutes"] == 300
    assert training["state"] != "paused"


async def test_there_is_no_plan_while_too_few_works_may_train(creator: Person, studio: tuple[httpx.AsyncClient, str]):
    http, _ = studio
    url = f"/studio/styles/{await with_works(creator, count=2)}/training"

    text = (await http.get(url)).text

    assert "Takes about" not in text
    assert "is being measured" not in text
