"""Uploading a portfolio: every file is kept or refused by itself, and nothing is lost."""

import io
import struct
import zlib

from PIL import Image

from tests.service.conftest import Person, Place, draw, make_style, slug_of, upload, with_works


def bomb() -> bytes:
    """A PNG that says it is 20,000 x 20,000 pixels: a few bytes here, gigabytes when decoded."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def objects(place: Place) -> list[str]:
    return list(place.gateway.storage.list_keys("works/"))


async def test_an_uploaded_work_is_kept_as_it_came(creator: Person):
    style_id, content = await make_style(creator), draw()

    answer = await upload(creator, style_id, ("red house.png", content))

    work = answer.json()["items"][0]["work"]
    assert answer.status_code == 201
    assert work["filename"] == "red house.png"
    assert (work["width"], work["height"], work["bytes"]) == (48, 48, len(content))
    assert (await creator.http.get(work["file_url"])).content == content
    thumbnail = Image.open(io.BytesIO((await creator.http.get(work["thumbnail_url"])).content))
    assert thumbnail.format == "JPEG"


async def test_rights_are_unsure_until_somebody_says_whose_it_is(creator: Person):
    style_id = await make_style(creator)

    silent = await upload(creator, style_id, ("a.png", draw()))
    said = await upload(creator, style_id, ("b.png", draw()), rights="client_consented")

    assert silent.json()["items"][0]["work"]["rights"] == "unsure"
    assert said.json()["items"][0]["work"]["rights"] == "client_consented"


async def test_good_files_are_kept_where_others_are_refused(creator: Person, place: Place):
    style_id = await make_style(creator)
    picture = draw()

    answer = await upload(
        creator,
        style_id,
        ("good.png", picture),
        ("notes.txt", b"these are notes"),
        ("bomb.png", bomb()),
        ("half.png", picture[: len(picture) // 2]),
        ("good too.png", draw()),
    )

    items = {item["filename"]: item for item in answer.json()["items"]}
    assert answer.status_code == 201
    assert {name for name, item in items.items() if "work" in item} == {"good.png", "good too.png"}
    for name in ("notes.txt", "bomb.png", "half.png"):
        problem = items[name]["problem"]
        assert problem["type"].endswith("/image_refused")
        assert name in problem["detail"]
        assert len(problem["detail"]) > 30
    assert "40 million" in items["bomb.png"]["problem"]["detail"]
    listed = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    assert {work["filename"] for work in listed} == {"good.png", "good too.png"}
    assert len([key for key in await objects(place) if style_id in key]) == 4


async def test_an_upload_of_nothing_usable_is_a_problem(creator: Person):
    style_id = await make_style(creator)

    answer = await upload(creator, style_id, ("notes.txt", b"these are notes"))

    assert answer.status_code == 422
    assert slug_of(answer) == "image_refused"
    assert answer.json()["items"][0]["filename"] == "notes.txt"


async def test_a_file_too_large_is_refused_by_its_size(creator: Person):
    style_id = await make_style(creator)

    answer = await upload(creator, style_id, ("huge.tiff", bytes(50 * 1024**2 + 1)))

    assert answer.status_code == 413
    assert slug_of(answer) == "payload_too_large"


async def test_a_picture_too_small_to_learn_from_is_refused(creator: Person):
    style_id = await make_style(creator)

    answer = await upload(creator, style_id, ("tiny.png", draw(size=8)))

    assert slug_of(answer) == "image_refused"
    assert "8 x 8" in answer.json()["detail"]


async def test_too_many_files_at_once_are_refused_whole(creator: Person):
    style_id = await make_style(creator)

    answer = await upload(creator, style_id, *[(f"{n}.png", b"x") for n in range(10_000)])

    assert (answer.status_code, slug_of(answer)) == (413, "payload_too_large")
    assert "send at most 20 at a time. None of these was kept." in answer.json()["detail"]
    assert (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"] == []


async def test_a_style_takes_only_so_many_works(creator: Person, place: Place):
    style_id = await make_style(creator)
    await upload(creator, style_id, *[(f"{n}.png", draw()) for n in range(16)])

    answer = await upload(creator, style_id, *[(f"more {n}.png", draw()) for n in range(16)])

    items = answer.json()["items"]
    assert answer.status_code == 201
    assert sum("work" in item for item in items) == 14
    assert all(item["problem"]["type"].endswith("/payload_too_large") for item in items[14:])
    assert len([key for key in await objects(place) if style_id in key]) == 60


async def test_the_same_file_again_is_the_same_work(creator: Person):
    style_id, content = await make_style(creator), draw()
    first = await upload(creator, style_id, ("a.png", content))

    again = await upload(creator, style_id, ("renamed.png", content), ("new.png", draw()))

    items = again.json()["items"]
    assert items[0]["work"]["id"] == first.json()["items"][0]["work"]["id"]
    assert [item["is_new"] for item in items] == [False, True]


async def test_an_upload_without_files_or_with_odd_rights_is_refused(creator: Person):
    style_id = await make_style(creator)

    empty = await creator.http.post(f"/v1/styles/{style_id}/works", files=[("other", ("a.png", draw()))])
    odd = await upload(creator, style_id, ("a.png", draw()), rights="stolen")

    assert slug_of(empty) == slug_of(odd) == "invalid_request"
    assert "stolen" in odd.json()["detail"]


async def test_a_filename_cannot_name_a_place(creator: Person):
    style_id = await make_style(creator)

    answer = await upload(creator, style_id, ("../../etc/pass\nwd.png", draw()), ("C:\\art\\cat.png", draw()))

    names = [item["work"]["filename"] for item in answer.json()["items"]]
    assert names[1] == "cat.png"
    assert "/" not in names[0]
    assert "\n" not in names[0]


async def test_rights_captions_and_use_can_be_changed(creator: Person):
    style_id = await make_style(creator)
    work_id = (await upload(creator, style_id, ("a.png", draw()))).json()["items"][0]["work"]["id"]

    answer = await creator.http.patch(
        f"/v1/works/{work_id}", json={"rights": "licensed", "captions": ["a red house", "houses"], "include": False}
    )
    long = await creator.http.patch(f"/v1/works/{work_id}", json={"captions": ["x" * 301]})

    work = answer.json()
    assert (work["rights"], work["captions"], work["include"]) == ("licensed", ["a red house", "houses"], False)
    assert slug_of(long) == "invalid_request"


async def test_without_a_captioning_model_nothing_is_suggested(creator: Person, place: Place):
    style_id = await make_style(creator)

    work = (await upload(creator, style_id, ("boat.png", draw()))).json()["items"][0]["work"]

    asked = "SELECT count(*) FROM dbos.workflow_status WHERE name = 'description'"
    async with place.gateway.pool.acquire() as conn:
        assert await conn.fetchval(asked) == 0
    assert work["suggested"] == []


async def test_a_deleted_work_is_gone_with_its_files(creator: Person, place: Place):
    style_id = await make_style(creator)
    work = (await upload(creator, style_id, ("a.png", draw()))).json()["items"][0]["work"]

    answer = await creator.http.delete(f"/v1/works/{work['id']}")

    assert answer.status_code == 204
    assert slug_of(await creator.http.get(work["file_url"])) == "not_found"
    assert slug_of(await creator.http.delete(f"/v1/works/{work['id']}")) == "not_found"
    assert [key for key in await objects(place) if style_id in key] == []


async def test_another_creators_works_read_as_missing(creator: Person, other_creator: Person):
    style_id = await make_style(creator)
    work = (await upload(creator, style_id, ("a.png", draw()))).json()["items"][0]["work"]

    answers = [
        await other_creator.http.get(work["file_url"]),
        await other_creator.http.get(work["thumbnail_url"]),
        await other_creator.http.patch(f"/v1/works/{work['id']}", json={"rights": "mine"}),
        await other_creator.http.delete(f"/v1/works/{work['id']}"),
        await upload(other_creator, style_id, ("b.png", draw())),
    ]

    assert {slug_of(answer) for answer in answers} == {"not_found"}
    assert (await creator.http.get(work["file_url"])).status_code == 200


async def test_works_are_listed_by_pages_in_the_order_they_came(creator: Person):
    style_id = await with_works(creator, count=5)

    first = (await creator.http.get(f"/v1/styles/{style_id}/works?limit=3")).json()
    second = (await creator.http.get(f"/v1/styles/{style_id}/works?limit=3&cursor={first['next_cursor']}")).json()

    names = [work["filename"] for work in [*first["items"], *second["items"]]]
    assert names == [f"work-{number}.png" for number in range(5)]
    assert second["next_cursor"] is None
    assert slug_of(await creator.http.get(f"/v1/styles/{style_id}/works?limit=1000")) == "invalid_request"
