"""What `destroyed` deletes, what it leaves, and the list that proves it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from licensing.authority import verify_document
from licensing.tenancy import APPLICATION
from service.destruction import list_late_deletions, mend_destructions
from service.doctor import examine
from service.heartbeats import this_process
from service.leftovers import Search, look_for
from service.scratch import tidy
from tests.service.conftest import Person, Place, draw, make_style, slug_of, upload, with_works
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
    listed = {(file["place"], file["key"]): file["sha256"] for file in said["files"]}
    assert listed["objects", f"trainings/{training['id']}/1/adapter.safetensors"] == version["adapter"]["sha256"]
    assert ("objects", f"trainings/{training['id']}/1/adapter.flat") in listed
    assert {work["sha256"] for work in works} < set(listed.values())
    assert len([key for _, key in listed if key.startswith(f"works/{style_id}/")]) == 12
    assert all(file["num_bytes"] > 0 and len(file["sha256"]) == 64 for file in said["files"])
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
    await list_late_deletions(place.gateway)
    training = (await creator.http.get(f"/v1/trainings/{training_id}")).json()
    assert training["state"] == "canceled"
    proof = (await creator.http.get(f"/v1/styles/{style_id}/deletion")).json()
    said = verify_document(place.gateway.authority, proof["document"])
    assert said is not None
    on_disk = [file for file in said["files"] if file["place"] == this_process().actor]
    assert any(file["key"].endswith("/trainer/step") for file in on_disk), on_disk
    assert len(said["works"]) == 6
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


async def search(place: Place, style_id: str) -> Search:
    async with place.gateway.pool.acquire() as conn:
        return await look_for(conn, place.gateway.storage.unlocked, place.settings.home, style_id)


async def test_a_search_after_it_finds_nothing_and_says_how_much_it_saw(creator: Person, place: Place):
    style_id = await with_works(creator)
    await wait_for(creator, await start(creator, style_id), "passed")
    await destroy(creator, style_id)
    await tidy(place.gateway)

    found = await search(place, style_id)

    assert found.found == ()
    assert found.num_hashes > 12
    assert found.num_columns > 3


async def test_a_search_finds_what_was_left_by_key_and_by_bytes(creator: Person, place: Place):
    style_id, work = await make_style(creator), draw()
    await upload(creator, style_id, ("a.png", work), rights="mine")
    training_id = await start_unfinished(creator, place, style_id)
    await destroy(creator, style_id)
    assert (await search(place, style_id)).found == ()
    storage, home = place.gateway.storage.unlocked, place.settings.home
    storage.put(f"works/{style_id}/stray.png", b"of its key")
    storage.put("astray/elsewhere.png", work)
    storage.put("works/sty_other/same.png", work)
    (home / "objects" / ".unfinished" / "cut-off").write_bytes(work)
    checkpoint = home / "scratch" / training_id / "checkpoint-5"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"of its training")
    (home / "cache" / "adapters").mkdir(parents=True, exist_ok=True)
    (home / "cache" / "adapters" / "copy").write_bytes(work)
    async with place.owner() as conn:
        await conn.execute(
            f"CREATE TABLE service.planted (content bytea); GRANT SELECT ON service.planted TO {APPLICATION}"
        )
        await conn.execute("INSERT INTO service.planted VALUES ($1)", work)

    found = await search(place, style_id)

    assert set(found.found) == {
        f"object works/{style_id}/stray.png",
        "object astray/elsewhere.png",
        "object .unfinished/cut-off",
        f"file {checkpoint}",
        f"file {home / 'cache' / 'adapters' / 'copy'}",
        "1 rows of service.planted (content)",
    }
    assert found.elsewhere == ("object works/sty_other/same.png",)
    async with place.owner() as conn:
        await conn.execute("DROP TABLE service.planted")
    here = replace(place.settings, database_url=place.database_url)
    findings = await asyncio.to_thread(lambda: asyncio.run(examine(here, style_id=style_id)))
    said = next(finding for finding in findings if finding.subject == "leftovers")
    assert not said.is_well
    assert "astray/elsewhere.png" in said.sentence


async def test_a_search_for_a_style_that_is_there_is_refused(creator: Person, place: Place):
    style_id = await make_style(creator)

    with pytest.raises(ValueError, match="is not destroyed"):
        await search(place, style_id)
    with pytest.raises(ValueError, match="there is no style"):
        await search(place, "sty_none")


async def start_unfinished(creator: Person, place: Place, style_id: str) -> str:
    """The row of a training that never ran; its id."""
    training_id = place.gateway.new_id("trn")
    async with place.gateway.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO service.trainings (id, style_id, creator_id, base, recipe, seed, state, created_at,"
            " updated_at) VALUES ($1, $2, $3, 'tiny', 'tiny-style', 1, 'canceled', $4, $4)",
            *(training_id, style_id, creator.account.id, place.gateway.clock()),
        )
    return training_id
