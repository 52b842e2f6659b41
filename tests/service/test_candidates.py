"""A creator has another adapter of a training examined: through the whole gate, into a version or a sentence."""

import asyncio

from service.trainings import find_training
from service.versions import KEPT_FILES
from tests.service.conftest import Person, Place, browser, draw, sign_in, slug_of, upload, wait_for, with_works
from tests.service.scripted_trainer import REFUSED
from tests.service.test_destruction import destroy


async def trained(person: Person, *, seed: int = 0, state: str = "passed") -> tuple[str, dict]:
    """A style, and a training of it that has ended."""
    style_id = await with_works(person)
    begun = await person.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": seed})
    return style_id, await wait_for(person, begun.json()["id"], state)


async def test_another_adapter_becomes_a_version_of_its_own_that_costs_nothing(creator: Person, place: Place):
    style_id, first = await trained(creator)

    asked = await creator.http.post(f"/v1/trainings/{first['id']}/candidates/10")
    done = await wait_for(creator, asked.json()["id"], "passed")

    assert first["candidates"] == [{"step": 10, "gain": 0.1, "error": 0.02}]
    assert asked.status_code == 201
    assert (done["of"], done["takes"], done["price"]["amount"]) == (first["id"], 10, 0)
    assert done["candidates"] == []
    versions = (await creator.http.get(f"/v1/styles/{style_id}/versions")).json()["items"]
    assert [version["id"] for version in versions] == [done["version"], first["version"]]
    assert [version["gate_passed"] for version in versions] == [True, True]
    uses = (await creator.http.get("/v1/data-use", params={"style": style_id})).json()["items"]
    lines = [use for use in uses if use["job"] == done["id"]]
    # The works, what was kept, and the new adapter for its receipt.
    assert sorted(use["num_files"] for use in lines) == [1, 2, 6]
    assert not any(use["refused"] for use in uses)
    again = await creator.http.post(f"/v1/trainings/{first['id']}/candidates/10")
    assert slug_of(again) == "conflict"
    assert done["id"] in again.json()["detail"]


async def test_one_that_the_gate_refuses_ends_with_the_sentence_and_cannot_be_published(creator: Person):
    _, first = await trained(creator, seed=REFUSED, state="refused")

    asked = await creator.http.post(f"/v1/trainings/{first['id']}/candidates/10")
    done = await wait_for(creator, asked.json()["id"], "refused")

    assert done["message"] == "It copies its works; add different ones."
    published = await creator.http.post(f"/v1/versions/{done['version']}/publish")
    assert slug_of(published) == "gate_not_passed"


async def test_what_is_not_kept_or_not_learnt_from_the_works_of_today_is_not_examined(
    creator: Person, other_creator: Person
):
    style_id, first = await trained(creator)
    address = f"/v1/trainings/{first['id']}/candidates"

    missing = await creator.http.post(f"{address}/11")
    anothers = await other_creator.http.post(f"{address}/10")
    await upload(creator, style_id, ("new.png", draw()), rights="mine")
    changed = await creator.http.post(f"{address}/10")

    assert (slug_of(missing), slug_of(anothers), slug_of(changed)) == ("not_found", "not_found", "conflict")
    assert "there are: 10" in missing.json()["detail"]
    assert "train again" in changed.json()["detail"]


async def test_what_is_kept_goes_with_the_style(creator: Person, place: Place):
    style_id, first = await trained(creator)
    async with place.gateway.house() as conn:
        training = await find_training(conn, first["id"], creator_id=None)
    assert training is not None
    keys = [one["key"] for one in training.kept["files"]]
    assert all(f"/{KEPT_FILES}/" in key and place.gateway.storage.exists(key) for key in keys)

    proof = await destroy(creator, style_id)

    assert not any([await asyncio.to_thread(place.gateway.storage.exists, key) for key in keys])
    assert all(key in str(proof) for key in keys) or len(keys) == 2
    gone = await creator.http.post(f"/v1/trainings/{first['id']}/candidates/10")
    assert slug_of(gone) == "style_destroyed"


async def test_the_page_shows_them_with_their_numbers_and_has_one_examined(creator: Person, place: Place):
    style_id, first = await trained(creator)
    session = await sign_in(place, creator.account)
    seat, page = browser(place, session), f"/studio/styles/{style_id}/training"

    shown = (await seat.get(page)).text
    form = {"csrf": session.csrf, "act": "examine", "step": "10"}
    pressed = await seat.post(f"{page}/{first['id']}", data=form)
    latest = (await creator.http.get(f"/v1/styles/{style_id}/trainings")).json()["items"][0]
    await wait_for(creator, latest["id"], "passed")
    after = (await seat.get(page)).text

    assert "Examine step 10" in shown
    assert "10.0 ± 2.0 %" in shown
    assert pressed.status_code == 303
    assert latest["takes"] == 10
    assert "Examine step 10" not in after
    assert ">Examined<" in after
    assert "Publish version 2" in after
