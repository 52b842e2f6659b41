"""Training through the API, with a trainer that follows a script instead of learning."""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inference.likeness import unpack_looks
from licensing.authority import verify_document
from licensing.compute import training_price
from licensing.ledger import balance
from licensing.money import Money
from service import filing, finetuning, trainings
from service.speeds import plan_training
from service.styles import find_style
from service.versions import find_version
from tests.service.conftest import Person, Place, make_style, slug_of, wait_for, with_works
from tests.service.scripted_trainer import DIES_ONCE, FAILS, LONG, REFUSED
from training.messages import Way, read_request
from training.recipe import load_recipe


async def start(person: Person, style_id: str, *, seed: int = 0) -> str:
    answer = await person.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": seed})
    assert answer.status_code == 201, answer.text
    training_id: str = answer.json()["id"]
    return training_id


async def wait_for_step(person: Person, training_id: str, step: int) -> None:
    async with asyncio.timeout(30):
        while (await person.http.get(f"/v1/trainings/{training_id}")).json()["step"] < step:
            await asyncio.sleep(0.05)


async def wait_until_gone(folder: Path) -> None:
    """Files go a moment after the row has said how it ended."""
    async with asyncio.timeout(30):
        while folder.exists():
            await asyncio.sleep(0.05)


async def events_of(person: Person, training_id: str, *, after: str = "") -> list[tuple[str, str, dict[str, Any]]]:
    """(id, kind, data) of every event up to the end."""
    headers = {"Last-Event-ID": after} if after else {}
    async with asyncio.timeout(60):
        text = (await person.http.get(f"/v1/trainings/{training_id}/events", headers=headers)).text
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if "id: " in block
    ]
    return [(block["id"], block["event"], json.loads(block["data"])) for block in blocks]


@pytest.fixture
async def style_id(creator: Person) -> str:
    return await with_works(creator)


async def test_a_training_ends_as_a_draft_version(creator: Person, style_id: str, place: Place):
    training_id = await start(creator, style_id)

    training = await wait_for(creator, training_id, "passed")

    versions = (await creator.http.get(f"/v1/styles/{style_id}/versions")).json()["items"]
    assert [version["id"] for version in versions] == [training["version"]]
    version = versions[0]
    assert (version["state"], version["gate_passed"], version["number"]) == ("draft", True, 1)
    assert version["trigger"] == "zorbel"
    assert version["scores"] == {"heldout_gain": 0.2}
    assert training["step"] == training["steps"] == 20
    assert [look["step"] for look in training["heldout"]] == [10, 20]
    assert (await creator.http.get(training["samples"][0]["url"])).content.startswith(b"\x89PNG")
    report = await creator.http.get(version["report_url"])
    assert b"It looks right, on cpu" in report.content
    assert "style-src 'sha256-" in report.headers["content-security-policy"]
    assert "unsafe" not in report.headers["content-security-policy"]
    receipt = (await creator.http.get(version["receipt_url"])).json()
    assert verify_document(place.gateway.authority, receipt["signature"]) == receipt["receipt"]
    adapter = (await creator.http.get(version["adapter"]["url"])).content
    assert adapter[8:].startswith(b'{"__metadata__"')
    assert version["near_copies"] == 0
    async with place.gateway.pool.acquire() as conn:
        found = await find_version(conn, version["id"], creator_id=creator.account.id)
    assert found is not None
    assert found.looks_key is not None
    assert len(unpack_looks(place.gateway.storage.unlocked.get(found.looks_key))) == training["works"]
    await wait_until_gone(place.settings.home / "scratch" / training_id)


async def test_what_engines_read_lies_beside_an_adapter_that_passed(creator: Person, style_id: str, place: Place):
    passed = await wait_for(creator, await start(creator, style_id), "passed")
    refused = await wait_for(creator, await start(creator, style_id, seed=REFUSED), "refused")

    async with place.gateway.pool.acquire() as conn:
        made, none = [
            await find_version(conn, training["version"], creator_id=creator.account.id)
            for training in (passed, refused)
        ]

    assert made is not None
    assert made.flat_key is not None
    assert made.flat_sha256 == hashlib.sha256(place.gateway.storage.unlocked.get(made.flat_key)).hexdigest()
    assert none is not None
    assert (none.flat_key, none.flat_sha256) == (None, None)


async def test_what_happens_can_be_followed_and_picked_up_again(creator: Person, style_id: str):
    training_id = await start(creator, style_id)

    events = await events_of(creator, training_id)

    kinds = [kind for _, kind, _ in events]
    states = [data["state"] for _, kind, data in events if kind == "state"]
    assert states == ["queued", "preparing", "training", "measuring", "passed"]
    assert {"finding", "estimate", "progress", "heldout", "sample"} <= set(kinds)
    assert kinds[-1] == "passed"
    assert events[-1][2]["version"].startswith("ver_")
    middle = len(events) // 2
    assert await events_of(creator, training_id, after=events[middle][0]) == events[middle + 1 :]
    assert slug_of(await creator.http.get(f"/v1/trainings/{training_id}/events?last_event_id=x")) == "invalid_request"


async def test_too_few_works_do_not_train(creator: Person):
    style_id = await with_works(creator, count=2)

    answer = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})

    assert slug_of(answer) == "conflict"
    assert "4" in answer.json()["detail"]


async def test_a_style_trains_once_at_a_time(creator: Person, style_id: str):
    training_id = await start(creator, style_id, seed=LONG)

    second = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")

    assert slug_of(second) == "conflict"
    assert training_id in second.json()["detail"]
    await wait_for(creator, await start(creator, style_id), "passed")


async def test_a_running_training_is_canceled_within_seconds(creator: Person, style_id: str, place: Place):
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 5)

    answer = await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    training = await wait_for(creator, training_id, "canceled")

    assert answer.json()["wanted"] == "cancel"
    assert training["version"] is None
    assert (await events_of(creator, training_id))[-1][1] == "canceled"
    assert slug_of(await creator.http.post(f"/v1/trainings/{training_id}/resume")) == "conflict"
    assert slug_of(await creator.http.post(f"/v1/trainings/{training_id}/pause")) == "conflict"
    await wait_until_gone(place.settings.home / "scratch" / training_id)


async def test_a_paused_training_goes_on_where_it_was(creator: Person, style_id: str):
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 5)

    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    paused = await wait_for(creator, training_id, "paused")
    resumed = await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await wait_for(creator, training_id, "training")
    await wait_for_step(creator, training_id, paused["step"] + 5)
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")

    assert resumed.json()["state"] == "queued"
    steps = [data["step"] for _, kind, data in await events_of(creator, training_id) if kind == "progress"]
    assert steps == sorted(steps)
    assert len(set(steps)) == len(steps), "no step was taken twice"


async def test_a_work_that_lost_its_right_in_the_pause_does_not_train_on(creator: Person, style_id: str):
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 5)
    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")
    work = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"][0]

    await creator.http.patch(f"/v1/works/{work['id']}", json={"rights": "unsure"})
    await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await wait_for(creator, training_id, "training")
    steps_before = (await creator.http.get(f"/v1/trainings/{training_id}")).json()["step"]
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    training = await wait_for(creator, training_id, "canceled")

    assert training["works"] == 5
    progress = [data["step"] for _, kind, data in await events_of(creator, training_id) if kind == "progress"]
    assert progress != sorted(progress) or training["step"] < steps_before + 5, "it began anew"


async def test_a_work_whose_words_changed_in_the_pause_is_learnt_anew(creator: Person, style_id: str):
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 5)
    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")
    work = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"][0]

    await creator.http.patch(f"/v1/works/{work['id']}", json={"captions": ["a red boat"]})
    await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await wait_for(creator, training_id, "training")
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")

    steps = [data["step"] for _, kind, data in await events_of(creator, training_id) if kind == "progress"]
    assert steps != sorted(steps), "it began anew"


async def test_what_the_gate_refuses_cannot_be_published(creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id, seed=REFUSED), "refused")

    answer = await creator.http.post(f"/v1/versions/{training['version']}/publish")

    assert training["message"].startswith("It copies its works")
    assert answer.status_code == 409
    assert slug_of(answer) == "gate_not_passed"


async def test_a_failed_training_says_why(creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id, seed=FAILS), "failed")

    assert training["message"] == "The works taught nothing; add more."
    assert training["version"] is None


async def test_a_trainer_that_dies_is_started_again(creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id, seed=DIES_ONCE), "passed")

    assert training["version"] is not None


async def test_a_published_version_is_the_styles(creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id), "passed")

    answer = await creator.http.post(f"/v1/versions/{training['version']}/publish")

    assert answer.status_code == 200
    assert answer.json()["state"] == "published"
    style = (await creator.http.patch(f"/v1/styles/{style_id}", json={})).json()
    assert style["version"] == training["version"]


@pytest.mark.parametrize("withdraw", ["delete", "unsure"])
async def test_a_version_leaves_the_catalogue_with_a_work_it_learnt_from(creator: Person, style_id: str, withdraw: str):
    training = await wait_for(creator, await start(creator, style_id), "passed")
    await creator.http.post(f"/v1/versions/{training['version']}/publish")
    work = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"][0]

    if withdraw == "delete":
        await creator.http.delete(f"/v1/works/{work['id']}")
    else:
        await creator.http.patch(f"/v1/works/{work['id']}", json={"rights": "unsure"})

    version = (await creator.http.get(f"/v1/versions/{training['version']}")).json()
    again = await creator.http.post(f"/v1/versions/{training['version']}/publish")
    assert version["state"] == "retired"
    assert (await creator.http.patch(f"/v1/styles/{style_id}", json={})).json()["version"] is None
    assert slug_of(again) == "rights_missing"


async def test_another_creators_training_reads_as_missing(creator: Person, other_creator: Person, style_id: str):
    training = await wait_for(creator, await start(creator, style_id), "passed")
    version = (await creator.http.get(f"/v1/versions/{training['version']}")).json()

    answers = [
        *[await other_creator.http.get(f"/v1/trainings/{training['id']}{path}") for path in ("", "/events")],
        *[await other_creator.http.post(f"/v1/trainings/{training['id']}/{verb}") for verb in ("cancel", "resume")],
        await other_creator.http.get(training["samples"][0]["url"]),
        await other_creator.http.get(version["adapter"]["url"]),
        await other_creator.http.get(version["report_url"]),
        await other_creator.http.post(f"/v1/versions/{version['id']}/publish"),
    ]

    assert {slug_of(answer) for answer in answers} == {"not_found"}


async def test_a_receipt_that_does_not_fit_is_not_signed(creator: Person, style_id: str, place: Place):
    training_id = await start(creator, style_id, seed=LONG)
    await wait_for_step(creator, training_id, 1)
    key = f"trainings/{training_id}/1/adapter.safetensors"
    place.gateway.storage.put(key, b"an adapter")
    of_another = {"adapter": {"sha256": "0" * 64}, "works": {"trained": [], "held_out": []}}

    with pytest.raises(ValueError, match="another adapter"):
        await filing.sign_receipt(training_id, key, of_another)
    with pytest.raises(ValueError, match="does not run"):
        await filing.sign_receipt("trn_unknown", key, of_another)
    with pytest.raises(ValueError, match="is not of training"):
        await filing.sign_receipt(training_id, "trainings/other/1/adapter.safetensors", of_another)

    await creator.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(creator, training_id, "canceled")


async def test_a_style_without_works_and_an_unknown_recipe_are_told_so(creator: Person, style_id: str):
    empty = await make_style(creator)

    assert slug_of(await creator.http.post(f"/v1/styles/{empty}/trainings", json={})) == "conflict"
    unknown = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"recipe": "magic"})
    assert slug_of(unknown) == "invalid_request"
    assert "tiny-style" in unknown.json()["detail"]


async def test_an_accepted_training_whose_story_never_started_is_started_by_the_sweep(
    creator: Person, style_id: str, place: Place
):
    web = place.gateway
    async with web.pool.acquire() as conn:
        made = await trainings.add_training(
            conn,
            training_id=web.new_id("trn"),
            style_id=style_id,
            creator_id=creator.account.id,
            base="tiny",
            recipe="tiny-style",
            seed=0,
            max_minutes=480,
            price=Money(0, "EUR"),
            now=web.clock() - timedelta(minutes=1),
        )
    assert isinstance(made, trainings.Training)

    await finetuning.mend_trainings(web)

    assert (await wait_for(creator, made.id, "passed"))["version"] is not None


async def test_a_training_whose_story_broke_is_told_to_have_failed(creator: Person, style_id: str, place: Place):
    training_id = await start(creator, style_id)
    await wait_for(creator, training_id, "passed")
    async with place.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.trainings SET state = 'training', ended_at = NULL, updated_at = now() - interval '1 minute'"
            " WHERE id = $1",
            training_id,
        )

    async with asyncio.timeout(30):
        # The engine notes the story's end a moment after the training's.
        while (training := (await creator.http.get(f"/v1/trainings/{training_id}")).json())["state"] == "training":
            await finetuning.mend_trainings(place.gateway)

    assert training["state"] == "failed"
    assert "Resume" in training["message"]


async def test_a_training_whose_version_cannot_be_filed_is_told_to_have_failed(
    creator: Person, style_id: str, place: Place, monkeypatch: pytest.MonkeyPatch
):
    def no_key(*_: object) -> str:
        raise RuntimeError("the key is gone")

    monkeypatch.setattr(filing, "sign_document", no_key)
    training_id = await start(creator, style_id)
    await wait_for(creator, training_id, "measuring")
    web = place.gateway
    later = replace(web, clock=lambda: web.clock() + timedelta(minutes=1))

    async with asyncio.timeout(30):
        while (training := (await creator.http.get(f"/v1/trainings/{training_id}")).json())["state"] == "measuring":
            await finetuning.mend_trainings(later)
            await asyncio.sleep(0.05)

    assert training["state"] == "failed"
    assert "Resume" in training["message"]


# --- the plan


async def estimated(person: Person, style_id: str, *, timeout_s: float = 20) -> dict[str, Any]:
    """The estimate, once a worker has measured."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        found = (await person.http.get(f"/v1/styles/{style_id}/estimate")).json()
        if found["state"] != "measuring":
            return dict(found)
        await asyncio.sleep(0.05)
    raise AssertionError(f"nobody measured for {style_id} within {timeout_s} s")


async def test_how_long_it_takes_is_told_before_it_starts(creator: Person, style_id: str, place: Place):
    found = await estimated(creator, style_id)

    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    recipe = load_recipe("tiny-style", folder=place.settings.configs / "recipes")
    assert found["state"] == "ready"
    assert found["works"] == len(works)
    assert found["steps"] == recipe.steps
    assert found["seconds"] > 2 + recipe.steps * 0.5
    assert found["memory_bytes"] == 3 * 2**30
    assert found["max_minutes"] == 480


async def test_a_limit_that_is_known_to_be_too_short_starts_nothing(creator: Person, style_id: str):
    await estimated(creator, style_id)

    refused = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"max_minutes": 0.01})
    too_much = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"max_minutes": 481})

    assert refused.status_code == 409
    assert "its limit is 0.01" in refused.json()["detail"]
    assert refused.json()["estimate"]["state"] == "ready"
    assert too_much.status_code == 422
    assert "at most 480 here" in too_much.json()["detail"]
    assert (await creator.http.get(f"/v1/styles/{style_id}/trainings")).json()["items"] == []


async def test_the_limit_and_the_measured_way_reach_the_trainer(creator: Person, style_id: str, place: Place):
    await estimated(creator, style_id)

    begun = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": LONG, "max_minutes": 200})
    request = place.settings.home / "scratch" / begun.json()["id"] / "request.json"
    while not request.exists():
        await asyncio.sleep(0.05)

    asked = read_request(request.read_text())
    assert begun.json()["max_minutes"] == 200
    assert asked.max_minutes == 200
    assert asked.way == Way(precision="float32", is_checkpointed=True, rows_at_once=3)
    await creator.http.post(f"/v1/trainings/{begun.json()['id']}/cancel")


async def test_a_training_that_ended_early_goes_on_within_a_new_limit(creator: Person, style_id: str, place: Place):
    begun = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": LONG, "max_minutes": 200})
    training_id = begun.json()["id"]
    await wait_for_step(creator, training_id, 5)
    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")
    request = place.settings.home / "scratch" / training_id / "request.json"

    too_much = await creator.http.post(f"/v1/trainings/{training_id}/resume", json={"max_minutes": 481})
    resumed = await creator.http.post(f"/v1/trainings/{training_id}/resume", json={"max_minutes": 300})
    await wait_for(creator, training_id, "training")
    asked = read_request(request.read_text())
    await creator.http.post(f"/v1/trainings/{training_id}/pause")
    await wait_for(creator, training_id, "paused")
    again = await creator.http.post(f"/v1/trainings/{training_id}/resume")
    await creator.http.post(f"/v1/trainings/{training_id}/cancel")

    assert too_much.status_code == 422
    assert "at most 480 here" in too_much.json()["detail"]
    assert resumed.json()["max_minutes"] == 300
    assert asked.max_minutes == 300
    assert again.json()["max_minutes"] == 300, "without a word about it the limit stays"


async def test_a_machine_that_cannot_be_measured_trains_all_the_same(creator: Person, style_id: str, place: Place):
    recipes = place.settings.configs / "recipes"
    (recipes / "odd-style.toml").write_text((recipes / "tiny-style.toml").read_text())
    odd = load_recipe("odd-style", folder=recipes)
    web = place.gateway
    async with web.pool.acquire() as conn:
        style = await find_style(conn, style_id, creator_id=creator.account.id)
        assert style is not None
        ends = time.monotonic() + 20
        while (plan := await plan_training(web, conn, style, odd, num_works=8)).state == "measuring":
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)

    assert plan.state == "unknown"
    assert plan.estimate is None


# --- what it costs


@pytest.fixture
def priced(place: Place) -> Iterator[Money]:
    """A minute costs 7 cents while the test runs."""
    free, minute = place.gateway, Money(7, "EUR")
    place.app.state.gateway = replace(free, prices=replace(free.prices, training_minute=minute))
    yield minute
    place.app.state.gateway = free


async def payable(place: Place, creator: Person) -> int:
    async with place.gateway.pool.acquire() as conn:
        return await balance(conn, f"payable:{creator.account.id}:EUR")


async def test_nobody_starts_a_training_whose_price_is_not_known(
    creator: Person, style_id: str, place: Place, priced: Money
):
    async with place.gateway.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.speeds")

    asked = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})

    assert asked.status_code == 409
    assert "is being measured" in asked.json()["detail"]
    assert "Retry-After" in asked.headers


async def test_what_passes_costs_exactly_what_was_told(creator: Person, style_id: str, place: Place, priced: Money):
    told = (await estimated(creator, style_id))["price"]
    assert told["amount"] == training_price(priced, (await estimated(creator, style_id))["seconds"]).amount > 0

    training_id = await start(creator, style_id)
    ended = await wait_for(creator, training_id, "passed")

    assert ended["price"] == told
    assert await payable(place, creator) == -told["amount"]
    month = place.gateway.clock().strftime("%Y-%m")
    [line] = (await creator.http.get(f"/v1/statements/{month}")).json()["lines"]
    assert (line["kind"], line["share"]["amount"]) == ("compute", -told["amount"])


async def test_company_changes_nothing_of_what_it_costs(
    creator: Person, other_creator: Person, style_id: str, place: Place, priced: Money
):
    told = (await estimated(creator, style_id))["price"]
    somebody = await place.person("creator")
    before = await start(somebody, await with_works(somebody), seed=LONG)
    await wait_for(somebody, before, "training")
    own = await start(creator, style_id)
    beside = await start(other_creator, await with_works(other_creator), seed=LONG)

    await somebody.http.post(f"/v1/trainings/{before}/cancel")
    await wait_for_step(other_creator, beside, 1)
    ended = await wait_for(creator, own, "passed")
    company = (place.settings.home / "scratch" / beside / "trainer" / "company").read_text().split()
    await other_creator.http.post(f"/v1/trainings/{beside}/cancel")
    await wait_for(other_creator, beside, "canceled")

    assert company == [own, beside]
    assert ended["price"] == told
    assert await payable(place, creator) == -told["amount"]
    assert await payable(place, other_creator) == 0


async def test_what_is_refused_costs_nothing(creator: Person, style_id: str, place: Place, priced: Money):
    await estimated(creator, style_id)

    await wait_for(creator, await start(creator, style_id, seed=REFUSED), "refused")

    assert await payable(place, creator) == 0
