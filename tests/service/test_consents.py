"""Consents by link: asked without an account, kept as evidence, taken back, and what follows for what learnt."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.consents import answer as keep_answer
from service.consents import consent_by_word
from service.pages.consents import page_of
from tests.service.conftest import (
    Person,
    Place,
    browser,
    draw,
    make_style,
    sign_in,
    slug_of,
    upload,
    wait_for,
    with_works,
)
from tests.service.scripted_trainer import LONG


async def works_of(person: Person, style_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    return found


async def ask(person: Person, style_id: str, works: list[dict[str, Any]], asked: str = "Café Nord") -> dict[str, Any]:
    body = {"asked": asked, "works": [work["id"] for work in works]}
    made = await person.http.post(f"/v1/styles/{style_id}/consents", json=body)
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


async def say(place: Place, url: str, act: str, name: str = "Ada Nord") -> httpx.Response:
    """What a stranger's browser sends; it follows to the page that comes."""
    return await place.stranger.post(
        path_of(url), data={"act": act, "name": name}, headers={"Accept": "text/html"}, follow_redirects=True
    )


def path_of(url: str) -> str:
    return "/consent/" + url.rsplit("/", 1)[-1]


async def show(place: Place, url: str) -> httpx.Response:
    return await place.stranger.get(path_of(url), headers={"Accept": "text/html"})


async def state_of(person: Person, style_id: str) -> str:
    return str((await person.http.get(f"/v1/styles/{style_id}/consents")).json()["items"][0]["state"])


async def published(person: Person, style_id: str) -> str:
    """A version on sale."""
    training = (await person.http.post(f"/v1/styles/{style_id}/trainings", json={})).json()["id"]
    version = (await wait_for(person, training, "passed"))["version"]
    assert (await person.http.post(f"/v1/versions/{version}/publish")).status_code == 200
    return str(version)


async def test_a_yes_lets_the_works_be_used_and_is_kept_with_name_time_and_words(creator: Person, place: Place):
    style_id = await with_works(creator, count=3, rights="unsure")
    works = await works_of(creator, style_id)
    made = await ask(creator, style_id, works[:2])
    page = await show(place, made["url"])
    assert "Café Nord" in page.text
    assert page.text.count("<img class=") == 2
    assert "Ink" in page.text

    answered = await say(place, made["url"], "yes")

    assert "Ada Nord said yes" in answered.text
    rights = {work["id"]: work["rights"] for work in await works_of(creator, style_id)}
    assert [rights[work["id"]] for work in works] == ["client_consented", "client_consented", "unsure"]
    (kept,) = (await creator.http.get(f"/v1/styles/{style_id}/consents")).json()["items"]
    assert (kept["state"], kept["answered_by"], kept["text_version"]) == ("given", "Ada Nord", 3)
    assert kept["answered_at"] is not None
    assert "would like to train a picture model" in kept["words"]
    told = (await creator.http.get("/v1/audit", params={"style": style_id})).json()["items"]
    assert [one["what"] for one in told][:2] == ["consent_given", "consent_asked"]
    assert "Ada" not in str(told)


async def test_a_no_leaves_them_unused_until_another_link_brings_a_yes(creator: Person, place: Place):
    style_id = await with_works(creator, count=2, rights="unsure")
    works = await works_of(creator, style_id)
    first = await ask(creator, style_id, works)
    await say(place, first["url"], "no")

    forced = await creator.http.patch(f"/v1/works/{works[0]['id']}", json={"rights": "mine"})
    left_out = await creator.http.patch(f"/v1/works/{works[1]['id']}", json={"include": False})

    assert (slug_of(forced), left_out.status_code) == ("conflict", 200)
    assert "said no" in forced.json()["detail"]
    assert {work["rights"] for work in await works_of(creator, style_id)} == {"unsure"}
    second = await ask(creator, style_id, works)
    await say(place, second["url"], "yes")
    assert {work["rights"] for work in await works_of(creator, style_id)} == {"client_consented"}


async def test_many_rights_at_once_do_not_go_over_a_no(creator: Person, place: Place):
    style_id = await with_works(creator, count=3, rights="unsure")
    works = await works_of(creator, style_id)
    await say(place, (await ask(creator, style_id, works[:1]))["url"], "no")
    session = await sign_in(place, creator.account)

    await browser(place, session).post(
        f"/studio/styles/{style_id}/rights", data={"csrf": session.csrf, "rights": "mine", "which": "all"}
    )

    rights = {work["id"]: work["rights"] for work in await works_of(creator, style_id)}
    assert [rights[work["id"]] for work in works] == ["unsure", "mine", "mine"]


async def test_a_yes_that_is_taken_back_takes_every_version_off_sale_that_learnt_from_the_file(
    creator: Person, place: Place
):
    shared, others = draw(), [(f"{at}.png", draw()) for at in range(5)]
    first, second = await make_style(creator), await make_style(creator)
    await upload(creator, first, ("logo.png", shared), *others, rights="mine")
    await upload(creator, second, ("same.png", shared), *[(f"b{at}.png", draw()) for at in range(5)], rights="mine")
    (logo,) = [work for work in await works_of(creator, first) if work["filename"] == "logo.png"]
    made = await ask(creator, first, [logo])
    await say(place, made["url"], "yes")
    versions = [await published(creator, style_id) for style_id in (first, second)]

    answered = await say(place, made["url"], "withdraw")

    assert "was taken back" in answered.text
    for style_id, version in zip((first, second), versions, strict=True):
        assert (await place.stranger.get(f"/v1/styles/{style_id}")).status_code == 404
        again = await creator.http.post(f"/v1/versions/{version}/publish")
        assert slug_of(again) == "rights_missing"
    copies = [work for style_id in (first, second) for work in await works_of(creator, style_id)]
    assert {work["rights"] for work in copies if work["sha256"] == logo["sha256"]} == {"unsure"}
    assert {work["rights"] for work in copies if work["sha256"] != logo["sha256"]} == {"mine"}
    without = await published(creator, first)
    receipt = (await creator.http.get(f"/v1/versions/{without}")).json()
    assert logo["id"] not in str(receipt)


async def test_a_training_that_was_given_the_work_stops_when_the_yes_is_taken_back(creator: Person, place: Place):
    style_id = await with_works(creator, rights="unsure")
    made = await ask(creator, style_id, await works_of(creator, style_id))
    await say(place, made["url"], "yes")
    training = (await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": LONG})).json()["id"]
    await wait_for(creator, training, "preparing", "training")

    await say(place, made["url"], "withdraw")

    await wait_for(creator, training, "canceled")


async def test_an_answer_counts_once_and_needs_a_name(creator: Person, place: Place):
    style_id = await with_works(creator, count=1, rights="unsure")
    made = await ask(creator, style_id, await works_of(creator, style_id))

    nameless = await say(place, made["url"], "yes", name="  ")
    withdrawn = await say(place, made["url"], "withdraw")
    await say(place, made["url"], "yes")
    changed = await say(place, made["url"], "no", name="Somebody else")

    assert nameless.status_code == 422
    assert "Write your name" in nameless.text
    assert withdrawn.status_code == 409
    assert changed.status_code == 409
    assert await state_of(creator, style_id) == "given"


async def test_a_question_taken_back_or_too_old_shows_nothing_and_takes_no_answer(creator: Person, place: Place):
    style_id = await with_works(creator, count=1, rights="unsure")
    works = await works_of(creator, style_id)
    revoked, old = await ask(creator, style_id, works), await ask(creator, style_id, works)
    await creator.http.delete(f"/v1/consents/{revoked['id']}")
    later = place.gateway.clock() + timedelta(days=31)
    async with place.gateway.house() as conn:
        late = await keep_answer(conn, old["url"].rsplit("/", 1)[-1], "yes", name="Ada", now=later)
        found = await consent_by_word(conn, old["url"].rsplit("/", 1)[-1])

    page = await show(place, revoked["url"])
    picture = await place.stranger.get(path_of(revoked["url"]) + "/pictures/1")
    answered = await say(place, revoked["url"], "yes")

    assert getattr(late, "slug", "") == "conflict"
    assert found is not None
    assert (found.state(later), found.state(place.gateway.clock())) == ("expired", "asked")
    assert "taken back" in page.text
    assert "<img class=" not in page.text
    assert (picture.status_code, answered.status_code) == (404, 409)
    assert {work["rights"] for work in await works_of(creator, style_id)} == {"unsure"}


async def test_what_the_link_shows_is_small_and_stands_in_the_ledger_of_use(creator: Person, place: Place):
    style_id = await with_works(creator, count=2, rights="unsure")
    works = await works_of(creator, style_id)
    made = await ask(creator, style_id, works[:1])

    picture = await place.stranger.get(path_of(made["url"]) + "/pictures/1")
    beyond = await place.stranger.get(path_of(made["url"]) + "/pictures/2")

    assert picture.headers["content-type"] == "image/jpeg"
    assert beyond.status_code == 404
    uses = (await creator.http.get("/v1/data-use", params={"style": style_id})).json()["items"]
    assert [(use["purpose"], use["num_files"]) for use in uses if use["purpose"] == "consent"] == [("consent", 1)]


async def test_the_word_of_a_link_is_kept_as_a_digest_alone(creator: Person, place: Place):
    style_id = await with_works(creator, count=1, rights="unsure")
    made = await ask(creator, style_id, await works_of(creator, style_id))
    word = made["url"].rsplit("/", 1)[-1]

    async with place.owner() as conn:
        rows = await conn.fetch("SELECT consents::text AS row FROM service.consents")
    listed = await creator.http.get(f"/v1/styles/{style_id}/consents")

    assert word not in str([row["row"] for row in rows])
    assert word not in listed.text
    assert (await show(place, made["url"][:-1])).status_code == 404


async def test_another_creators_work_cannot_be_asked_about(creator: Person, other_creator: Person):
    style_id, theirs = await with_works(creator, count=1), await with_works(other_creator, count=1)
    (work,) = await works_of(other_creator, theirs)

    answer = await creator.http.post(f"/v1/styles/{style_id}/consents", json={"asked": "Jo", "works": [work["id"]]})

    assert slug_of(answer) == "not_found"


async def test_the_studio_asks_shows_the_link_once_and_says_how_it_stands(creator: Person, place: Place):
    style_id = await with_works(creator, count=2, rights="unsure")
    works = await works_of(creator, style_id)
    session = await sign_in(place, creator.account)
    seat, path = browser(place, session), f"/studio/styles/{style_id}/consents"
    form = {"csrf": session.csrf, "asked": "Kaffeerösterei Nord", "works": [works[0]["id"]]}

    nothing = await seat.post(path, data={"csrf": session.csrf, "asked": "Kaffeerösterei Nord"})
    made = await seat.post(path, data=form)

    assert nothing.status_code == 422
    assert "Kaffeerösterei Nord" in nothing.text
    url = re.search(r"http://[^<]*/consent/[\w-]+", made.text)
    assert url
    again = await seat.get(path)
    assert url[0] not in again.text
    assert "Waiting for an answer" in again.text
    assert "Waiting for Kaffeerösterei Nord" in (await seat.get(f"/studio/styles/{style_id}/works")).text
    await say(place, url[0], "yes")
    assert "Ada Nord said yes on" in (await seat.get(f"/studio/styles/{style_id}/works")).text


@pytest.mark.parametrize(
    ("asked_for", "shown", "number"),
    [("", range(60), 1), ("2", range(60, 120), 2), ("3", [120, 121], 3), ("999", [120, 121], 3), ("-1", range(60), 1)],
)
def test_works_to_ask_about_come_by_pages(asked_for: str, shown: Sequence[int], number: int):
    assert page_of(range(122), asked_for) == (list(shown), number, 3)


async def test_a_work_that_is_asked_for_comes_first_and_ticked(creator: Person, place: Place):
    style_id = await with_works(creator, count=3, rights="unsure")
    *_, last = await works_of(creator, style_id)
    seat = browser(place, await sign_in(place, creator.account))

    text = (await seat.get(f"/studio/styles/{style_id}/consents?work={last['id']}")).text

    assert text.index(f'value="{last["id"]}" checked') < text.index('name="works"', text.index("checked"))


async def test_a_deleted_work_is_not_shown_and_a_yes_to_the_rest_counts(creator: Person, place: Place):
    style_id = await with_works(creator, count=2, rights="unsure")
    gone, stays = await works_of(creator, style_id)
    made = await ask(creator, style_id, [gone, stays])
    await creator.http.delete(f"/v1/works/{gone['id']}")

    page = await show(place, made["url"])
    await say(place, made["url"], "yes")

    assert page.text.count("<img class=") == 1
    assert [work["rights"] for work in await works_of(creator, style_id)] == ["client_consented"]
