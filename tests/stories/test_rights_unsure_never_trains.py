"""A work whose rights are unsure never reaches a trainer, whatever the creator tries."""

import json
from pathlib import Path

import pytest

from tests.service.conftest import Person, Place, configs, creator, draw, place, slug_of, upload, with_works
from tests.service.test_trainings import LONG, start, wait_for, wait_for_step

__all__ = ["configs", "creator", "place"]


@pytest.fixture
async def style_id(creator: Person) -> str:
    return await with_works(creator)


async def test_only_works_with_rights_reach_the_trainer(creator: Person, style_id: str):
    unsure = (await upload(creator, style_id, ("whose.png", draw()))).json()["items"][0]["work"]
    excluded = (await upload(creator, style_id, ("no.png", draw()), rights="mine")).json()["items"][0]["work"]
    await creator.http.patch(f"/v1/works/{excluded['id']}", json={"include": False})

    training = await wait_for(creator, await start(creator, style_id), "passed")

    version = (await creator.http.get(f"/v1/versions/{training['version']}")).json()
    receipt = (await creator.http.get(version["receipt_url"])).json()["receipt"]
    assert len(receipt["works"]["trained"]) == 6
    assert not {unsure["sha256"], excluded["sha256"]} & set(receipt["works"]["trained"])


async def test_a_portfolio_of_unclear_rights_does_not_train(creator: Person):
    style_id = await with_works(creator, rights="unsure")

    answer = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})

    assert answer.status_code == 409
    assert slug_of(answer) == "rights_missing"
    assert len(answer.json()["works"]) == 6
    assert (await creator.http.get(f"/v1/styles/{style_id}/trainings")).json()["items"] == []


async def test_what_lies_before_the_trainer_are_the_works_with_rights_alone(
    creator: Person, style_id: str, place: Place
):
    unsure = (await upload(creator, style_id, ("whose.png", draw()))).json()["items"][0]["work"]

    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 1)

    folder = place.settings.home / "scratch" / training_id
    request = json.loads((folder / "request.json").read_text())
    assert len(request["works"]) == 6
    assert unsure["id"] not in {work["id"] for work in request["works"]}
    assert all(Path(work["path"]).name != "whose.png" for work in request["works"])
    assert not list(folder.rglob("whose.png"))
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")


async def test_a_version_that_learnt_from_a_work_is_not_sold_once_its_rights_are_unsure(creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id), "passed")
    assert (await creator.http.post(f"/v1/versions/{training['version']}/publish")).status_code == 200
    work = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"][0]

    await creator.http.patch(f"/v1/works/{work['id']}", json={"rights": "unsure"})

    again = await creator.http.post(f"/v1/versions/{training['version']}/publish")
    assert slug_of(again) == "rights_missing"
    assert again.json()["values"] == {"works": [work["id"]]}
