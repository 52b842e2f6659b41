"""Somebody else's picture: it does not train, the operator decides, and nobody sees what is not theirs."""

import io
import re
import time

import httpx
import numpy as np
import pytest
from PIL import Image, ImageOps

from inference.likeness import THUMB, Look, look_at
from licensing.tenancy import ACTING, APPLICATION, HOUSE
from service.resemblance import nearest_of_others, note_look
from tests.service.conftest import Person, Place, browser, draw, make_style, sign_in, slug_of, upload
from tests.training.portfolio import drawing

NAME_BEFORE = "secret-commission-for-acme.png"


def picture(number: int) -> Image.Image:
    return drawing(number, 200)


def as_file(image: Image.Image, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **({"format": "PNG"} | how))
    return file.getvalue()


async def add(person: Person, name: str, content: bytes) -> dict:
    answer = await upload(person, await make_style(person), (name, content), rights="mine")
    return dict(answer.json()["items"][0]["work"])


async def review(person: Person, work: dict) -> list[dict]:
    found = (await person.http.get(f"/v1/styles/{work['style']}/review")).json()["items"]
    return [one for one in found if one["work"] == work["id"]]


@pytest.fixture
async def before(creator: Person, request: pytest.FixtureRequest) -> dict:
    """A work of the first creator; every test has another picture."""
    return await add(creator, NAME_BEFORE, as_file(picture(_number(request))))


@pytest.fixture
async def copy(before: dict, other_creator: Person, request: pytest.FixtureRequest) -> dict:
    """The same picture, saved again by another creator, who says it is theirs."""
    image = picture(_number(request)).resize((180, 180))
    return await add(other_creator, "mine.jpg", as_file(image, format="JPEG", quality=70))


@pytest.fixture
async def office(place: Place, operator: Person) -> tuple[httpx.AsyncClient, str]:
    session = await sign_in(place, operator.account)
    return browser(place, session), session.csrf


def _number(request: pytest.FixtureRequest) -> int:
    return 1000 + sum(map(ord, request.node.name))


async def case_of(office: tuple[httpx.AsyncClient, str], place: Place, work: dict) -> str:
    async with place.gateway.pool.acquire() as conn:
        return str(await conn.fetchval("SELECT id FROM service.cases WHERE subject = $1", work["id"]))


async def test_a_copy_of_anothers_work_does_not_train_and_says_so(copy: dict, other_creator: Person):
    findings = await review(other_creator, copy)

    assert copy["rights"] == "unsure"
    assert [(one["kind"], one["severity"], one["can_appeal"]) for one in findings] == [("others_work", "error", True)]
    assert "person" in findings[0]["fix"]


async def test_a_mirrored_copy_is_found_as_well(before: dict, other_creator: Person, request: pytest.FixtureRequest):
    mirrored = await add(other_creator, "mine.png", as_file(ImageOps.mirror(picture(_number(request)))))

    assert mirrored["rights"] == "unsure"


async def test_another_picture_and_the_same_creators_own_are_no_case(before: dict, creator: Person, request):
    own = await add(creator, "again.jpg", as_file(picture(_number(request)), format="JPEG"))
    fresh = await add(creator, "fresh.png", as_file(picture(_number(request) + 1)))

    assert (own["rights"], fresh["rights"]) == ("mine", "mine")


async def test_the_uploader_learns_nothing_of_the_other(
    before: dict, copy: dict, other_creator: Person, creator: Person, place: Place
):
    seat = browser(place, await sign_in(place, other_creator.account))

    seen = [
        (await other_creator.http.get(f"/v1/styles/{copy['style']}/review")).text,
        (await other_creator.http.get(f"/v1/styles/{copy['style']}/works")).text,
        (await seat.get(f"/studio/styles/{copy['style']}/works")).text,
    ]

    for text in seen:
        assert copy["id"] in text
        for secret in (before["id"], before["style"], before["sha256"], NAME_BEFORE, creator.account.email):
            assert secret not in text
    for url in (before["file_url"], before["thumbnail_url"]):
        assert slug_of(await other_creator.http.get(url)) == "not_found"


async def test_nobody_but_the_operator_sees_a_case(
    copy: dict, other_creator: Person, place: Place, office: tuple[httpx.AsyncClient, str]
):
    case_id = await case_of(office, place, copy)
    seat = browser(place, await sign_in(place, other_creator.account))

    for path in ("", "/pictures/other", "/pictures/subject"):
        assert (await seat.get(f"/office/cases/{case_id}{path}")).status_code == 403
        assert (await place.stranger.get(f"/office/cases/{case_id}{path}")).status_code in (303, 401)


async def test_rights_cannot_be_set_past_the_case(copy: dict, other_creator: Person, place: Place):
    session = await sign_in(place, other_creator.account)
    seat = browser(place, session)

    answer = await other_creator.http.patch(f"/v1/works/{copy['id']}", json={"rights": "mine"})
    form = {"csrf": session.csrf, "rights": "mine", "which": "all"}
    await seat.post(f"/studio/styles/{copy['style']}/rights", data=form)

    assert slug_of(answer) == "conflict"
    works = (await other_creator.http.get(f"/v1/styles/{copy['style']}/works")).json()["items"]
    assert [work["rights"] for work in works] == ["unsure"]


async def test_the_operator_sees_both_pictures_and_who_brought_them(
    before: dict, copy: dict, place: Place, office: tuple[httpx.AsyncClient, str], creator: Person
):
    seat, _ = office
    case_id = await case_of(office, place, copy)

    listed, page = (await seat.get("/office")).text, (await seat.get(f"/office/cases/{case_id}")).text
    pictures = [await seat.get(f"/office/cases/{case_id}/pictures/{side}") for side in ("subject", "other")]

    assert f"/office/cases/{case_id}" in listed
    assert NAME_BEFORE in page
    assert creator.account.email in page
    assert [Image.open(io.BytesIO(one.content)).format for one in pictures] == ["JPEG", "JPEG"]


async def test_allowed_it_has_the_rights_back_that_were_named(
    copy: dict, other_creator: Person, place: Place, office: tuple[httpx.AsyncClient, str]
):
    seat, csrf = office
    case_id = await case_of(office, place, copy)

    answer = await seat.post(
        f"/office/cases/{case_id}", data={"csrf": csrf, "outcome": "allowed", "sentence": "Both made it together."}
    )

    assert answer.status_code == 303
    assert await review(other_creator, copy) == []
    works = (await other_creator.http.get(f"/v1/styles/{copy['style']}/works")).json()["items"]
    assert works[0]["rights"] == "mine"


async def test_refused_it_stays_out_and_an_appeal_opens_the_case_again(
    copy: dict, other_creator: Person, place: Place, office: tuple[httpx.AsyncClient, str]
):
    seat, csrf = office
    case_id = await case_of(office, place, copy)
    decision = {"csrf": csrf, "outcome": "refused", "sentence": "The other one is older."}
    await seat.post(f"/office/cases/{case_id}", data=decision)
    refused = await review(other_creator, copy)

    said = "I drew it; my sketches are on my page."
    answer = await other_creator.http.post(
        f"/v1/works/{copy['id']}/answers", json={"kind": "others_work", "reason": said}
    )

    assert "The other one is older." in refused[0]["why"]
    assert answer.status_code == 200
    assert "The operator has been asked" in (await review(other_creator, copy))[0]["why"]
    page = (await seat.get(f"/office/cases/{case_id}")).text
    assert said in page
    assert re.search(r"badge busy\W+Open", page)


async def test_a_decision_needs_its_sentence(
    copy: dict, place: Place, office: tuple[httpx.AsyncClient, str], other_creator: Person
):
    seat, csrf = office
    case_id = await case_of(office, place, copy)

    answer = await seat.post(f"/office/cases/{case_id}", data={"csrf": csrf, "outcome": "allowed", "sentence": " "})

    assert answer.status_code == 422
    assert "say why" in answer.text
    assert len(await review(other_creator, copy)) == 1


async def test_the_other_work_may_be_gone_when_the_operator_looks(
    before: dict, copy: dict, creator: Person, place: Place, office: tuple[httpx.AsyncClient, str]
):
    seat, _ = office
    case_id = await case_of(office, place, copy)
    await creator.http.delete(f"/v1/works/{before['id']}")

    page = await seat.get(f"/office/cases/{case_id}")

    assert "it was deleted since" in page.text
    assert (await seat.get(f"/office/cases/{case_id}/pictures/other")).status_code == 404


@pytest.mark.parametrize("num_bits", [0, 3, 6])
async def test_a_hash_up_to_six_bits_away_is_found_among_many(
    place: Place, creator: Person, other_creator: Person, num_bits: int
):
    dice = np.random.default_rng(num_bits)
    work = await add(creator, f"{num_bits}.png", draw(size=96))
    look = look_at(picture(5000 + num_bits))
    turned = look.bits_64.copy()
    turned[dice.choice(64, num_bits, replace=False)] ^= True
    thumb = np.clip(look.thumb, 0, 1).reshape(THUMB, THUMB, 3)

    async with place.gateway.pool.acquire() as conn, conn.transaction():
        await conn.execute("DELETE FROM service.looks WHERE work_id = $1", work["id"])
        await note_look(conn, look, work_id=work["id"], creator_id=creator.account.id)
        near = [Look(bits_64=turned, thumb=thumb)]
        found = await nearest_of_others(conn, near, creator_id=other_creator.account.id)
        own = await nearest_of_others(conn, near, creator_id=creator.account.id)

    assert found is not None
    assert (found.work_id, found.bits_apart) == (work["id"], num_bits)
    assert own is None


async def test_a_hundred_thousand_works_are_searched_in_no_time(place: Place, creator: Person, other_creator: Person):
    work = await add(creator, "one.png", draw(size=96))
    async with place.owner() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await _add_many(conn, work["id"], 100_000)
        await conn.execute(f"SET LOCAL ROLE {APPLICATION}; SET LOCAL {ACTING} = '{HOUSE}'")
        began = time.perf_counter()
        for number in range(10):
            await nearest_of_others(conn, [look_at(picture(number))], creator_id=other_creator.account.id)
        took_s = (time.perf_counter() - began) / 10
        await transaction.rollback()

    assert took_s < 0.1


async def _add_many(conn, work_id: str, count: int) -> None:
    """Looks by chance, all of one creator: the index is asked, not the works."""
    await conn.execute("ALTER TABLE service.looks DROP CONSTRAINT looks_work_id_fkey")
    await conn.execute(
        "INSERT INTO service.looks (work_id, creator_id, bits, thumb, band_0, band_1, band_2, band_3)"
        " SELECT 'made-' || n, l.creator_id, l.bits, l.thumb, (random() * 65535)::int, (random() * 65535)::int,"
        " (random() * 65535)::int, (random() * 65535)::int FROM service.looks l, generate_series(1, $2::int) n"
        " WHERE l.work_id = $1",
        *(work_id, count),
    )
    await conn.execute("ANALYZE service.looks")
