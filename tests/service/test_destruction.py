"""What `destroyed` deletes, what it leaves, and the list that proves it."""

import asyncio
from typing import Any

from licensing.authority import verify_document
from service.destruction import mend_destructions
from service.scratch import tidy
from tests.service.conftest import Person, Place, draw, slug_of, upload, with_works
from tests.service.test_trainings import LONG, start, wait_for, wait_for_step


async def destroy(creator: Person, style_id: str) -> dict[str, Any]:
    answer = await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "destroyed"})
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(30):
        while (proof := await creator.http.get(f"/v1/styles/{style_id}/deletion")).status_code != 200:
            await asyncio.sleep(0.05)
    document: dict[str, Any] = proof.json()
    return document


async def test_works_weights_and_samples_are_gone_and_their_hashes_are_signed(creator: Person, place: Place):
    style_id = await with_works(creator)
    other_style = await with_works(creator)
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    training = await wait_for(creator, await start(creator, style_id), "passed")
    version = (await creator.http.get(f"/v1/versions/{training['version']}")).json()
    await creator.http.post(f"/v1/versions/{version['id']}/publish")
    assert f"trainings/{training['id']}/1/adapter.flat" in place.gateway.storage.list_keys("trainings/")

    looks = [key for key in place.gateway.storage.list_keys(f"trainings/{training['id']}/") if "looks" in key]

    proof = await destroy(creator, style_id)

    assert len(looks) == 1
    said = verify_document(place.gateway.authority, proof["document"])
    assert said is not None
    assert said["works"] == sorted(work["sha256"] for work in works)
    assert said["adapters"] == [version["adapter"]["sha256"]]
    left = list(place.gateway.storage.list_keys(""))
    assert not [key for key in left if style_id in key or training["id"] in key]
    assert len([key for key in left if other_style in key]) == 12
    assert slug_of(await creator.http.get(works[0]["file_url"])) == "not_found"
    assert slug_of(await creator.http.get(version["adapter"]["url"])) == "not_found"
    assert (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"] == []


async def test_nothing_can_be_added_to_a_destroyed_style(creator: Person):
    style_id = await with_works(creator)
    training = await wait_for(creator, await start(creator, style_id), "passed")
    await destroy(creator, style_id)

    answers = [
        await creator.http.post(f"/v1/versions/{training['version']}/publish"),
        await upload(creator, style_id, ("a.png", draw())),
        await creator.http.post(f"/v1/styles/{style_id}/trainings", json={}),
        await creator.http.patch(f"/v1/styles/{style_id}", json={"name": "Again"}),
        await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "live"}),
    ]

    assert {slug_of(answer) for answer in answers} == {"style_destroyed"}
    assert {answer.status_code for answer in answers} == {410}


async def test_a_running_training_stops_and_leaves_nothing_on_the_worker(creator: Person, place: Place):
    style_id = await with_works(creator)
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 5)

    await destroy(creator, style_id)

    scratch = place.settings.home / "scratch" / training_id
    async with asyncio.timeout(30):
        while scratch.exists():
            await tidy(place.gateway)
            await asyncio.sleep(0.1)
    training = (await creator.http.get(f"/v1/trainings/{training_id}")).json()
    assert training["state"] == "canceled"
    assert not [key for key in place.gateway.storage.list_keys("") if training_id in key]


async def test_an_emptying_that_a_crash_prevented_is_done_by_the_sweep(creator: Person, place: Place):
    style_id = await with_works(creator)
    async with place.gateway.pool.acquire() as conn:
        await conn.execute("UPDATE service.styles SET destroyed_at = now() WHERE id = $1", style_id)

    await mend_destructions(place.gateway)

    async with asyncio.timeout(30):
        while (await creator.http.get(f"/v1/styles/{style_id}/deletion")).status_code != 200:
            await asyncio.sleep(0.05)
    assert not [key for key in place.gateway.storage.list_keys("works/") if style_id in key]


async def test_the_proof_is_only_there_once_everything_is_gone(creator: Person):
    style_id = await with_works(creator)

    answer = await creator.http.get(f"/v1/styles/{style_id}/deletion")

    assert slug_of(answer) == "conflict"
