"""The review of a portfolio: a worker looks, the page shows what is known, the creator answers."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.service.conftest import Person, Place, browser, draw, make_style, sign_in, slug_of, upload, with_works


async def current(person: Person, style_id: str, *, timeout_s: float = 30) -> list[dict[str, Any]]:
    """The findings, once a worker has looked."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        review = (await person.http.get(f"/v1/styles/{style_id}/review")).json()
        if review["state"] == "current":
            return list(review["items"])
    raise AssertionError(f"nobody looked at the works of {style_id} within {timeout_s} s")


async def work_named(person: Person, style_id: str, name: str) -> dict[str, Any]:
    works = (await person.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    return next(work for work in works if work["filename"] == name)


@pytest.fixture
async def style_id(creator: Person) -> str:
    """Six good works and a blurred one."""
    style_id = await with_works(creator)
    await upload(creator, style_id, ("blur.png", draw()), rights="mine")
    return style_id


@pytest.fixture
async def studio(place: Place, creator: Person) -> httpx.AsyncClient:
    return browser(place, await sign_in(place, creator.account))


async def csrf_of(place: Place, creator: Person) -> tuple[httpx.AsyncClient, str]:
    session = await sign_in(place, creator.account)
    return browser(place, session), session.csrf


async def test_a_worker_looks_and_its_findings_name_the_work(creator: Person, style_id: str):
    blurred = await work_named(creator, style_id, "blur.png")

    findings = await current(creator, style_id)

    finding = next(one for one in findings if one["work"] == blurred["id"])
    assert (finding["kind"], finding["severity"]) == ("blur", "warning")
    assert "blur.png" in finding["why"]
    assert finding["can_keep"] is True
    assert finding["kept"] is None


async def test_rights_are_named_before_anybody_has_looked(creator: Person):
    style_id = await with_works(creator, count=5, rights="unsure")
    await upload(creator, style_id, ("slow.png", draw()), rights="mine")

    review = (await creator.http.get(f"/v1/styles/{style_id}/review")).json()

    assert review["state"] == "looking"
    assert {one["kind"] for one in review["items"]} == {"rights"}


async def test_a_change_of_the_works_ends_the_look_and_starts_another(creator: Person):
    style_id = await with_works(creator)
    await upload(creator, style_id, ("slow.png", draw()), rights="mine")
    assert (await creator.http.get(f"/v1/styles/{style_id}/review")).json()["state"] == "looking"

    slow = await work_named(creator, style_id, "slow.png")
    await creator.http.patch(f"/v1/works/{slow['id']}", json={"include": False})

    assert await current(creator, style_id, timeout_s=20) == []


async def test_works_that_changed_back_are_looked_at_again(creator: Person):
    style_id = await with_works(creator)
    await upload(creator, style_id, ("blur.png", draw()), rights="mine")
    first = await current(creator, style_id)
    blurred = await work_named(creator, style_id, "blur.png")

    await creator.http.patch(f"/v1/works/{blurred['id']}", json={"include": False})
    without = await current(creator, style_id)
    await creator.http.patch(f"/v1/works/{blurred['id']}", json={"include": True})
    back = await current(creator, style_id)

    assert without == []
    assert back == first


async def test_a_review_never_waits_for_a_training(creator: Person, style_id: str):
    begun = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": 4})
    await upload(creator, style_id, ("text.png", draw()), rights="mine")

    findings = await current(creator, style_id, timeout_s=8)

    training = (await creator.http.get(f"/v1/trainings/{begun.json()['id']}")).json()
    assert training["state"] in ("queued", "preparing", "training")
    assert {one["kind"] for one in findings} == {"blur", "text"}
    await creator.http.post(f"/v1/trainings/{begun.json()['id']}/cancel")


async def test_a_reviewer_that_dies_leaves_a_sentence_and_the_style_can_go_on(creator: Person):
    style_id = await with_works(creator)
    await upload(creator, style_id, ("broken.png", draw()), rights="mine")

    findings = await current(creator, style_id)

    assert [one["kind"] for one in findings] == ["not_looked_at"]


async def test_what_is_kept_with_a_reason_is_settled_and_can_be_taken_back(creator: Person, style_id: str):
    await current(creator, style_id)
    blurred = await work_named(creator, style_id, "blur.png")
    answers = f"/v1/works/{blurred['id']}/answers"

    kept = await creator.http.post(answers, json={"kind": "blur", "reason": "It is meant to be fog."})
    settled = await current(creator, style_id)
    await creator.http.post(answers, json={"kind": "blur", "reason": ""})
    again = await current(creator, style_id)

    assert kept.json()["kept"] == {"blur": "It is meant to be fog."}
    assert [(one["severity"], one["kept"]) for one in settled] == [("note", "It is meant to be fog.")]
    assert [(one["severity"], one["kept"]) for one in again] == [("warning", None)]


async def test_what_is_a_rule_cannot_be_kept(creator: Person, other_creator: Person, style_id: str):
    blurred = await work_named(creator, style_id, "blur.png")
    answers = f"/v1/works/{blurred['id']}/answers"

    rule = await creator.http.post(answers, json={"kind": "too_few", "reason": "I like few."})
    no_case = await creator.http.post(answers, json={"kind": "others_work", "reason": "It is mine."})
    stranger = await other_creator.http.post(answers, json={"kind": "blur", "reason": "Mine now."})

    assert slug_of(rule) == "invalid_request"
    assert "too_few" in rule.json()["detail"]
    assert slug_of(no_case) == "not_found"
    assert slug_of(stranger) == "not_found"


async def test_the_page_shows_what_is_known_and_asks_for_the_rest(place: Place, creator: Person):
    style_id = await with_works(creator)
    await upload(creator, style_id, ("slow.png", draw()), rights="mine")
    seat, _ = await csrf_of(place, creator)

    page = await seat.get(f"/studio/styles/{style_id}/works")

    assert "Looking at your pictures" in page.text
    assert f'hx-get="/studio/styles/{style_id}/works"' in page.text
    assert "slow.png" in page.text


async def test_the_part_that_asks_brings_the_findings_once_they_are_there(place: Place, creator: Person, style_id: str):
    seat, _ = await csrf_of(place, creator)
    await current(creator, style_id)
    blurred = await work_named(creator, style_id, "blur.png")

    part = await seat.get(f"/studio/styles/{style_id}/works", headers={"HX-Request": "true", "HX-Target": "looked"})

    assert "Looking at your pictures" not in part.text
    assert f'<div id="found-{blurred["id"]}" class="stack near" hx-swap-oob="true">' in part.text
    assert "blur.png has a blur." in part.text
    assert "Keep it, because" in part.text
    assert "<html" not in part.text


async def test_a_finding_is_answered_on_the_page(place: Place, creator: Person, style_id: str):
    seat, csrf = await csrf_of(place, creator)
    await current(creator, style_id)
    blurred = await work_named(creator, style_id, "blur.png")
    url = f"/studio/works/{blurred['id']}/answer"

    await seat.post(url, data={"csrf": csrf, "kind": "blur", "act": "answer", "reason": "Fog."})
    kept = await seat.get(f"/studio/styles/{style_id}/works")
    await seat.post(url, data={"csrf": csrf, "kind": "blur", "act": "exclude", "reason": ""})

    assert "You keep it: Fog." in kept.text
    assert (await work_named(creator, style_id, "blur.png"))["include"] is False


async def test_a_second_style_is_left_out_with_one_button(place: Place, creator: Person):
    style_id = await with_works(creator)
    await upload(creator, style_id, ("pair a.png", draw()), ("pair b.png", draw()), rights="mine")
    await current(creator, style_id)
    seat, csrf = await csrf_of(place, creator)
    page = (await seat.get(f"/studio/styles/{style_id}/works")).text
    pair = [(await work_named(creator, style_id, f"pair {letter}.png"))["id"] for letter in "ab"]

    answer = await seat.post(f"/studio/styles/{style_id}/exclude", data={"csrf": csrf, "works": pair})

    assert "Leave these 2 out here" in page
    assert answer.status_code == 303
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    assert {work["filename"] for work in works if not work["include"]} == {"pair a.png", "pair b.png"}


async def test_an_empty_style_has_nothing_to_look_at(creator: Person):
    style_id = await make_style(creator)

    review = (await creator.http.get(f"/v1/styles/{style_id}/review")).json()

    assert (review["state"], review["items"]) == ("current", [])


async def test_two_who_ask_at_once_get_one_look(creator: Person, place: Place, style_id: str):
    await asyncio.gather(*(creator.http.get(f"/v1/styles/{style_id}/review") for _ in range(4)))

    await current(creator, style_id)

    async with place.gateway.pool.acquire() as conn:
        ended = "SELECT count(*) FROM dbos.workflow_status WHERE name = 'review' AND status IN ('ENQUEUED', 'PENDING')"
        while await conn.fetchval(ended):
            await asyncio.sleep(0.1)
    left = list((place.settings.home / "scratch").glob("look_*"))
    assert left == [], "the works that were laid out are deleted"
