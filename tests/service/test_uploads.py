"""Uploads that are gone on with: nothing is lost where a connection ends, and nothing arrives twice."""

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from service.arriving import PIECE_BYTES, forget_uploads
from tests.service.conftest import Person, Place, draw, make_style, slug_of, upload
from tests.service.test_destruction import destroy

Files = dict[str, bytes]


def some(number: int) -> Files:
    return {f"folder/work {at}.png": draw() for at in range(number)}


async def name(person: Person, style_id: str, files: Files, *, rights: str = "mine") -> httpx.Response:
    named = [{"filename": path, "bytes": len(content), "modified": 5} for path, content in files.items()]
    return await person.http.post(f"/v1/styles/{style_id}/uploads", json={"files": named, "rights": rights})


async def bring(person: Person, item: dict[str, Any], piece: bytes, *, at: int = 0, **headers: str) -> httpx.Response:
    return await person.http.put(f"/v1/uploads/{item['id']}?offset={at}", content=piece, headers=headers)


async def opened(person: Person, style_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await person.http.get(f"/v1/styles/{style_id}/uploads")).json()["items"][0]
    return found


async def filenames(person: Person, style_id: str) -> list[str]:
    answer = await person.http.get(f"/v1/styles/{style_id}/works", params={"limit": 200})
    return sorted(work["filename"] for work in answer.json()["items"])


def pieces(place: Place, style_id: str) -> list[str]:
    return list(place.gateway.storage.list_keys(f"arriving/{style_id}/"))


async def test_whoever_comes_back_sends_only_what_is_missing(creator: Person):
    style_id, files = await make_style(creator), some(4)
    items = (await name(creator, style_id, files)).json()["items"]
    for item in items[:2]:
        await bring(creator, item, files[item["filename"]])
    half = files[items[2]["filename"]][:100]
    await bring(creator, items[2], half)
    before = await opened(creator, style_id)

    again = (await name(creator, style_id, files)).json()

    assert {item["filename"]: item["id"] for item in again["items"]} == {item["filename"]: item["id"] for item in items}
    assert (again["arrived"], again["waiting"]) == (2, 2)
    assert again["received"] == before["received"] == sum(len(files[one["filename"]]) for one in items[:2]) + 100
    rest = [one for one in again["items"] if one["state"] == "waiting"]
    for one in rest:
        await bring(creator, one, files[one["filename"]][one["received"] :], at=one["received"])
    assert await filenames(creator, style_id) == sorted(path.split("/")[1] for path in files)
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    assert {work["sha256"] for work in works} == {hashlib.sha256(content).hexdigest() for content in files.values()}
    assert {work["rights"] for work in works} == {"mine"}


async def test_a_piece_whose_answer_was_lost_is_sent_again_and_counts_once(creator: Person):
    style_id, (path, content) = await make_style(creator), draw_one()
    (item,) = (await name(creator, style_id, {path: content})).json()["items"]
    await bring(creator, item, content[:50])

    again = await bring(creator, item, content[:50])

    assert (again.status_code, slug_of(again), again.json()["received"]) == (409, "conflict", 50)
    done = await bring(creator, item, content[50:], at=50)
    assert done.json()["state"] == "arrived"
    repeated = await bring(creator, item, content[50:], at=50)
    assert repeated.json() == done.json()
    assert len(await filenames(creator, style_id)) == 1


async def test_pieces_are_gone_once_the_file_is_whole(creator: Person, place: Place):
    style_id, (path, content) = await make_style(creator), draw_one()
    (item,) = (await name(creator, style_id, {path: content})).json()["items"]
    await bring(creator, item, content[:50])
    assert len(pieces(place, style_id)) == 1

    await bring(creator, item, content[50:], at=50)

    assert pieces(place, style_id) == []


async def test_a_piece_that_was_damaged_on_its_way_is_not_kept(creator: Person):
    style_id, (path, content) = await make_style(creator), draw_one()
    (item,) = (await name(creator, style_id, {path: content})).json()["items"]
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"

    damaged = await bring(creator, item, content[:-1] + b"x", **{"Content-Digest": digest})
    whole = await bring(creator, item, content, **{"Content-Digest": digest})

    assert (damaged.status_code, damaged.json()["kind"]) == (422, "damaged")
    assert whole.json()["state"] == "arrived"


async def test_a_file_that_is_no_picture_says_so_and_may_be_tried_again(creator: Person):
    style_id = await make_style(creator)
    files = {"notes.png": b"these are notes", "empty.png": b"", "good.png": draw()}
    named = (await name(creator, style_id, files)).json()
    states = {item["filename"]: item for item in named["items"]}
    assert "is empty" in states["empty.png"]["problem"]["detail"]
    for path in ("notes.png", "good.png"):
        await bring(creator, states[path], files[path])

    refused = {one["filename"]: one for one in (await opened(creator, style_id))["items"]}["notes.png"]
    again = (await name(creator, style_id, {"notes.png": files["notes.png"]})).json()["items"]

    assert refused["state"] == "refused"
    assert "notes.png" in refused["problem"]["detail"]
    assert [(one["state"], one["received"]) for one in again] == [("waiting", 0)]
    assert await filenames(creator, style_id) == ["good.png"]


async def test_the_same_picture_under_two_names_is_one_work(creator: Person):
    style_id, content = await make_style(creator), draw()
    items = (await name(creator, style_id, {"a.png": content, "b.png": content})).json()["items"]

    answers = [await bring(creator, item, content) for item in items]

    assert {answer.json()["work"] for answer in answers} == {answers[0].json()["work"]}
    assert len(await filenames(creator, style_id)) == 1


async def test_one_upload_is_one_line_of_the_record(creator: Person):
    style_id, files = await make_style(creator), some(5)
    for item in (await name(creator, style_id, files)).json()["items"]:
        await bring(creator, item, files[item["filename"]])
    await name(creator, style_id, some(1))

    told = (await creator.http.get("/v1/audit", params={"style": style_id})).json()["items"]

    assert [one["sentence"] for one in told if one["what"] == "works_added"] == ["5 works came to Ink."]
    assert next(one for one in told if one["what"] == "works_added")["who"]["key"].startswith("key_")


async def test_more_files_than_are_taken_at_once_are_refused_with_the_number(creator: Person):
    style_id = await make_style(creator)
    await name(creator, style_id, some(15))

    answer = await name(creator, style_id, {f"more {at}.png": b"x" for at in range(6)})

    assert slug_of(answer) == "payload_too_large"
    assert "21 files" in answer.json()["detail"]
    assert len((await opened(creator, style_id))["items"]) == 15


async def test_a_style_that_is_full_says_so_for_each_file_and_the_others_stay(creator: Person):
    style_id = await make_style(creator)
    await upload(creator, style_id, *[(f"{at}.png", draw()) for at in range(15)])
    await upload(creator, style_id, *[(f"{at}.png", draw()) for at in range(14)])
    files = some(2)
    items = (await name(creator, style_id, files)).json()["items"]

    answers = [(await bring(creator, item, files[item["filename"]])).json() for item in items]

    assert [answer["state"] for answer in answers] == ["arrived", "refused"]
    assert "30 works" in answers[1]["problem"]["detail"]


async def test_what_is_given_up_or_left_for_days_is_forgotten_and_what_arrived_stays(creator: Person, place: Place):
    first, second, files = await make_style(creator), await make_style(creator), some(2)
    for style_id in (first, second):
        whole, half = (await name(creator, style_id, files)).json()["items"]
        await bring(creator, whole, files[whole["filename"]])
        await bring(creator, half, files[half["filename"]][:10])

    await creator.http.delete(f"/v1/styles/{first}/uploads")
    await forget_uploads(place.gateway)
    assert pieces(place, first) == []
    assert len(pieces(place, second)) == 1
    later = place.gateway.clock() + timedelta(days=8)
    await forget_uploads(replace(place.gateway, clock=lambda: later))

    assert pieces(place, second) == []
    for style_id in (first, second):
        assert (await creator.http.get(f"/v1/styles/{style_id}/uploads")).json()["items"] == []
        assert len(await filenames(creator, style_id)) == 1
    gone = await bring(creator, half, files[half["filename"]][10:], at=10)
    assert slug_of(gone) == "not_found"


async def test_a_work_that_was_deleted_may_come_again(creator: Person):
    style_id, files = await make_style(creator), some(2)
    items = (await name(creator, style_id, files)).json()["items"]
    done = (await bring(creator, items[0], files[items[0]["filename"]])).json()
    await creator.http.delete(f"/v1/works/{done['work']}")

    again = (await name(creator, style_id, files)).json()["items"]

    assert [one["state"] for one in again] == ["waiting", "waiting"]


async def test_destroying_a_style_deletes_what_was_on_its_way(creator: Person, place: Place):
    style_id, (path, content) = await make_style(creator), draw_one()
    (item,) = (await name(creator, style_id, {path: content})).json()["items"]
    await bring(creator, item, content[:50])

    await destroy(creator, style_id)

    assert pieces(place, style_id) == []
    assert (await bring(creator, item, content[50:], at=50)).status_code in (404, 410)
    assert pieces(place, style_id) == []


async def test_a_piece_over_the_limit_and_one_past_the_end_are_refused(creator: Person):
    style_id, (path, content) = await make_style(creator), draw_one()
    (item,) = (await name(creator, style_id, {path: content})).json()["items"]

    large = await bring(creator, item, b"x" * (PIECE_BYTES + 1))
    past = await bring(creator, item, content + b"x")
    nothing = await bring(creator, item, b"")

    assert slug_of(large) == "payload_too_large"
    assert (slug_of(past), slug_of(nothing)) == ("invalid_request", "invalid_request")


def draw_one() -> tuple[str, bytes]:
    return "one.png", draw()
