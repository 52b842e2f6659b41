"""Trainings that wait are taken together by one trainer, each with a story of its own; here it follows a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from licensing.money import Money
from service import finetuning, trainings
from service.scratch import hold_scratch, release_scratch
from service.storage import Storage
from service.storage.closed import Closed
from service.trainings import Training
from tests.service.conftest import Person, Place, wait_for, with_works
from tests.service.scripted_trainer import DIES, DIES_IN_COMPANY, FAILS, LONG, MUTE, REFUSED
from tests.service.test_trainings import events_of, start, wait_for_step, wait_until_gone


def scratch_of(place: Place, training_id: str) -> Path:
    return place.settings.home / "scratch" / training_id


def companies(place: Place, training_id: str) -> list[list[str]]:
    """With whom its trainers were started, one after another; empty for one that was alone."""
    lines = (scratch_of(place, training_id) / "trainer" / "company").read_text().splitlines()
    return [line.split() for line in lines]


async def steps_of(person: Person, training_id: str) -> list[int]:
    return [data["step"] for _, kind, data in await events_of(person, training_id) if kind == "progress"]


@pytest.fixture
async def people(place: Place) -> list[Person]:
    return [await place.person("creator") for _ in range(4)]


@pytest.fixture
async def busy(place: Place) -> AsyncIterator[Any]:
    """Holds the trainer until it is called."""
    somebody = await place.person("creator")
    training_id = await start(somebody, await with_works(somebody), seed=LONG)
    await wait_for(somebody, training_id, "training")
    is_over = False

    async def let_go() -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            await somebody.http.post(f"/v1/trainings/{training_id}/cancel")
            await wait_for(somebody, training_id, "canceled")

    yield let_go
    await let_go()


async def begin_together(people: list[Person], busy: Any, *seeds: int) -> list[str]:
    """A training of each creator with one of these seeds; all wait before the first is taken."""
    ids = [await start(one, await with_works(one), seed=seed) for one, seed in zip(people, seeds, strict=False)]
    await busy()
    return ids


async def end(person: Person, training_id: str) -> None:
    await person.http.post(f"/v1/trainings/{training_id}/cancel")
    await wait_for(person, training_id, "canceled")


async def test_those_that_wait_are_taken_together_and_end_each_in_their_own_way(
    people: list[Person], busy: Any, place: Place
):
    ids = await begin_together(people, busy, LONG, 0, REFUSED, FAILS)
    await wait_for_step(people[0], ids[0], 1)
    together = companies(place, ids[0])

    passed = await wait_for(people[1], ids[1], "passed")
    refused = await wait_for(people[2], ids[2], "refused")
    failed = await wait_for(people[3], ids[3], "failed")

    assert together == [ids]
    goes_on = (await people[0].http.get(f"/v1/trainings/{ids[0]}")).json()
    assert goes_on["state"] == "training", "nobody waits for the others' end"
    assert goes_on["samples"]
    assert goes_on["eta_s"] > 0
    assert failed["message"] == "The works taught nothing; add more."
    version = (await people[1].http.get(f"/v1/versions/{passed['version']}")).json()
    assert (version["state"], version["gate_passed"]) == ("draft", True)
    assert refused["version"] not in (None, passed["version"])
    receipt = (await people[1].http.get(version["receipt_url"])).json()["receipt"]
    async with place.gateway.pool.acquire() as conn:
        own = await trainings.find_training(conn, ids[1], creator_id=people[1].account.id)
    assert own is not None
    assert receipt["works"]["trained"] == sorted(work["sha256"] for work in own.manifest)
    for person, training_id in zip(people[1:3], ids[1:3], strict=True):
        assert await steps_of(person, training_id) == sorted(set(await steps_of(person, training_id)))
        await wait_until_gone(scratch_of(place, training_id))
    await end(people[0], ids[0])


async def test_a_creator_with_many_waiting_keeps_nobody_elses_out_of_the_round(
    people: list[Person], busy: Any, place: Place
):
    first, second, *_ = people
    many = [await start(first, await with_works(first), seed=LONG) for _ in range(4)]
    single = await start(second, await with_works(second), seed=LONG)

    await busy()
    await wait_for_step(second, single, 1)

    assert companies(place, single) == [[many[0], single, many[1], many[2]]]
    assert (await first.http.get(f"/v1/trainings/{many[3]}")).json()["state"] == "queued", "four is the limit here"
    for person, training_id in [(second, single), *((first, one) for one in many[:3])]:
        await end(person, training_id)
    await wait_for_step(first, many[3], 1)
    assert companies(place, many[3]) == [[]]
    await end(first, many[3])


@pytest.mark.parametrize("verb", ["cancel", "pause"])
async def test_one_that_is_stopped_leaves_within_seconds_and_the_others_go_on(
    people: list[Person], busy: Any, place: Place, verb: str
):
    stays, leaves, _ = ids = await begin_together(people, busy, LONG, LONG, 0)
    await wait_for_step(people[1], leaves, 5)
    before = (await people[0].http.get(f"/v1/trainings/{stays}")).json()["step"]

    await people[1].http.post(f"/v1/trainings/{leaves}/{verb}")
    async with asyncio.timeout(5):
        stopped = await wait_for(people[1], leaves, "canceled" if verb == "cancel" else "paused")

    await wait_for_step(people[0], stays, before + 30)
    await wait_for(people[2], ids[2], "passed")
    assert companies(place, stays) == [ids], "it is the same trainer"
    if verb == "cancel":
        await wait_until_gone(scratch_of(place, leaves))
        await end(people[0], stays)
        return
    await people[1].http.post(f"/v1/trainings/{leaves}/resume")
    assert (await people[1].http.get(f"/v1/trainings/{leaves}")).json()["state"] == "queued", "the trainer is busy"
    await end(people[0], stays)
    await wait_for_step(people[1], leaves, stopped["step"] + 5)
    await end(people[1], leaves)
    steps = await steps_of(people[1], leaves)
    assert steps == sorted(set(steps)), "no step was taken twice"


async def test_a_trainer_that_one_kills_takes_the_others_on_without_it(people: list[Person], busy: Any, place: Place):
    ids = await begin_together(people, busy, 0, DIES, LONG)
    kept = asyncio.create_task(wait_for(people[0], ids[0], "passed"))

    broken = await wait_for(people[1], ids[1], "failed")
    await kept
    await wait_for_step(people[2], ids[2], 10)

    assert "was logged. Resume goes on" in broken["message"]
    assert companies(place, ids[2]) == [ids, []]
    assert companies(place, ids[1]) == [ids, []]
    await end(people[2], ids[2])
    for person, training_id in ((people[0], ids[0]), (people[2], ids[2])):
        steps = await steps_of(person, training_id)
        assert steps == sorted(set(steps)), "each went on from its own checkpoint"


async def test_what_breaks_in_company_alone_passes_alone(people: list[Person], busy: Any, place: Place):
    ids = await begin_together(people, busy, DIES_IN_COMPANY, DIES_IN_COMPANY)

    ended = [await wait_for(person, one, "passed") for person, one in zip(people, ids, strict=False)]

    assert all(training["version"] for training in ended)


async def test_one_that_waits_for_its_turn_alone_can_be_stopped_as_well(people: list[Person], busy: Any, place: Place):
    first, waits, _ = await begin_together(people, busy, LONG, LONG, DIES)
    await wait_for_step(people[0], first, 10)

    await people[1].http.post(f"/v1/trainings/{waits}/cancel")
    async with asyncio.timeout(5):
        await wait_for(people[1], waits, "canceled")

    await wait_until_gone(scratch_of(place, waits))
    await end(people[0], first)


class Losing:
    """A storage that has lost whatever lies under a prefix."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage, self._prefix = storage, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get(self, key: str) -> bytes:
        if key.startswith(self._prefix):
            raise RuntimeError(f"{key} is lost")
        return self._storage.get(key)


async def test_one_whose_works_are_lost_fails_and_the_others_go_on(
    people: list[Person], busy: Any, place: Place, monkeypatch: pytest.MonkeyPatch
):
    lost_style = await with_works(people[1])
    ids = [await start(people[0], await with_works(people[0])), await start(people[1], lost_style)]
    web = place.gateway
    losing = replace(web, storage=Closed(Losing(web.storage.unlocked, f"works/{lost_style}/")))
    monkeypatch.setattr("service.workflows._resources", losing)
    await busy()

    failed = await wait_for(people[1], ids[1], "failed")
    await wait_for(people[0], ids[0], "passed")

    assert "was logged" in failed["message"]


async def test_one_that_goes_on_elsewhere_leaves_and_the_others_go_on(people: list[Person], busy: Any, place: Place):
    stays, taken = await begin_together(people, busy, LONG, LONG)
    await wait_for_step(people[1], taken, 5)

    async with place.gateway.pool.acquire() as conn:
        await conn.execute("UPDATE service.trainings SET fence = fence + 1 WHERE id = $1", taken)
    async with asyncio.timeout(5):
        while (scratch_of(place, taken) / "lock").exists():
            await asyncio.sleep(0.05)
    left_at = (scratch_of(place, taken) / "trainer" / "step").read_text()

    before = (await people[0].http.get(f"/v1/trainings/{stays}")).json()["step"]
    await wait_for_step(people[0], stays, before + 10)
    assert (scratch_of(place, taken) / "trainer" / "step").read_text() == left_at, "its folder is the other's"
    await end(people[0], stays)


async def test_one_that_does_not_let_go_is_ended_with_the_trainer_and_the_others_go_on_alone(
    people: list[Person], busy: Any, place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finetuning, "_PATIENCE_S", 0.5)
    stays, hangs = await begin_together(people, busy, LONG, MUTE)
    await wait_for_step(people[1], hangs, 5)

    await people[1].http.post(f"/v1/trainings/{hangs}/cancel")
    await wait_for(people[1], hangs, "canceled")

    before = (await people[0].http.get(f"/v1/trainings/{stays}")).json()["step"]
    await wait_for_step(people[0], stays, before + 10)
    assert companies(place, stays) == [[stays, hangs], []]
    await end(people[0], stays)


async def test_a_machine_is_never_measured_beside_a_round(people: list[Person], busy: Any, place: Place):
    ids = await begin_together(people, busy, LONG, LONG)
    await wait_for_step(people[1], ids[1], 1)
    async with place.gateway.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.speeds")
    style_id = await with_works(people[2])

    asked = [(await people[2].http.get(f"/v1/styles/{style_id}/estimate")).json()["state"]]
    before = (await people[0].http.get(f"/v1/trainings/{ids[0]}")).json()["step"]
    await wait_for_step(people[0], ids[0], before + 50)
    asked.append((await people[2].http.get(f"/v1/styles/{style_id}/estimate")).json()["state"])
    await end(people[0], ids[0])
    await end(people[1], ids[1])

    assert asked == ["measuring", "measuring"]
    async with asyncio.timeout(20):
        while (await people[2].http.get(f"/v1/styles/{style_id}/estimate")).json()["state"] == "measuring":
            await asyncio.sleep(0.05)


async def test_a_folder_that_was_given_back_is_free_though_its_old_lock_is_held(tmp_path: Path):
    async with AsyncExitStack() as others, hold_scratch(tmp_path, "trn_1") as first:
        coming = asyncio.create_task(others.enter_async_context(hold_scratch(tmp_path, "trn_1")))
        await asyncio.sleep(0.3)
        assert not coming.done()

        release_scratch(first)
        second = await asyncio.wait_for(coming, 5)
        release_scratch(first)

        assert (second.folder / "lock").exists(), "what is another's is not given back"


# --- whom a story takes

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Line:
    """Trainings that wait, in a transaction that is never committed: no worker sees them."""

    def __init__(self, conn: asyncpg.Connection, place: Place, people: list[Person]) -> None:
        self.conn, self.place, self.people = conn, place, people
        self._minutes = 0

    async def waits(self, creator: int, **changes: Any) -> str:
        """One more; `changes` to its row."""
        training_id, style_id = self.place.gateway.new_id("trn"), await with_works(self.people[creator], count=1)
        self._minutes += 1
        made = await trainings.add_training(
            self.conn,
            training_id=training_id,
            style_id=style_id,
            creator_id=self.people[creator].account.id,
            base="tiny",
            recipe="tiny-style",
            seed=0,
            max_minutes=10,
            price=Money(0, "EUR"),
            now=NOW + timedelta(minutes=self._minutes),
        )
        assert isinstance(made, Training)
        for name, value in changes.items():
            await self.conn.execute(f"UPDATE service.trainings SET {name} = $2 WHERE id = $1", training_id, value)
        return training_id

    async def take(self, training_id: str, *, run: int = 1, most: int = 4, num_workers: int = 1) -> list[Training]:
        return await trainings.take(
            self.conn, training_id=training_id, run=run, most=most, num_workers=num_workers, now=NOW
        )


@pytest.fixture
async def line(place: Place, people: list[Person]) -> AsyncIterator[Line]:
    async with place.gateway.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        yield Line(conn, place, people)
        await transaction.rollback()


def ids_of(taken: list[Training]) -> list[str]:
    return [training.id for training in taken]


async def test_of_every_creator_one_is_taken_before_of_any_a_second(line: Line):
    waiting = [await line.waits(creator) for creator in (0, 0, 0, 1, 1, 2)]

    first = await line.take(waiting[0])
    second = await line.take(waiting[2])

    assert ids_of(first) == [waiting[0], waiting[3], waiting[5], waiting[1]]
    assert ids_of(second) == [waiting[2], waiting[4]]


async def test_with_a_limit_of_one_everybody_is_alone(line: Line):
    waiting = [await line.waits(creator) for creator in (0, 1)]

    assert ids_of(await line.take(waiting[0], most=1)) == [waiting[0]]


async def test_only_the_same_base_and_recipe_share_a_round(line: Line):
    first, other_base = await line.waits(0), await line.waits(1, base="large")
    other_recipe, same = await line.waits(2, recipe="slow"), await line.waits(3)

    assert ids_of(await line.take(first)) == [first, same]
    assert ids_of(await line.take(other_recipe)) == [other_recipe]
    assert ids_of(await line.take(other_base)) == [other_base]


async def test_what_waits_is_divided_among_the_workers(line: Line):
    waiting = [await line.waits(creator) for creator in (0, 1, 2)]

    first = await line.take(waiting[0], num_workers=2)
    second = await line.take(waiting[2], num_workers=2)

    assert ids_of(first) == waiting[:2]
    assert ids_of(second) == waiting[2:]


async def test_whoever_was_taken_along_is_not_taken_by_its_own_story(line: Line):
    first, along = await line.waits(0), await line.waits(1)
    await line.take(first)

    assert await line.take(along) == []


async def test_a_process_that_takes_the_place_of_a_dead_one_takes_all_of_its_round(line: Line):
    first, along = await line.waits(0), await line.waits(1)
    before = await line.take(first)
    late = await line.waits(2)
    await line.conn.execute("UPDATE service.trainings SET state = 'canceled' WHERE id = $1", first)

    again = await line.take(first)

    assert [(one.id, one.fence) for one in before] == [(first, 1), (along, 1)]
    assert [(one.id, one.fence) for one in again] == [(along, 2), (late, 1)]


async def test_one_that_saw_two_processes_die_goes_alone(line: Line):
    unlucky, along = await line.waits(0), await line.waits(1)
    for _ in range(2):
        await line.take(unlucky, most=1)

    third = await line.take(unlucky)

    assert ids_of(third) == [unlucky]
    assert third[0].goes_alone
    assert not (await line.take(along))[0].goes_alone


async def test_a_resumed_training_waits_as_one_that_has_just_come(line: Line):
    paused = await line.waits(0)
    await line.take(paused, most=1)
    await line.conn.execute("UPDATE service.trainings SET state = 'paused', wanted = 'pause' WHERE id = $1", paused)
    since = NOW + timedelta(hours=1)
    resumed = await trainings.resume(
        line.conn, training_id=paused, creator_id=line.people[0].account.id, max_minutes=None, now=since
    )
    other, late = await line.waits(1), await line.waits(2)

    assert isinstance(resumed, Training)
    assert await line.take(paused, run=1) == []
    assert ids_of(await line.take(other, most=2)) == [other, late]
    assert ids_of(await line.take(paused, run=2)) == [paused]


async def test_what_broke_is_said_of_all_that_its_story_tells(line: Line):
    first, along = await line.waits(0), await line.waits(1)
    filed, other = await line.waits(2, told_by="another.1.1.file"), await line.waits(3, base="large")
    await line.take(first)

    await trainings.give_up(line.conn, story=f"{first}.1", now=NOW)

    rows = await line.conn.fetch(
        "SELECT id, state FROM service.trainings WHERE id = ANY($1::text[])", [first, along, filed, other]
    )
    assert {row["id"]: row["state"] for row in rows} == {
        first: "failed",
        along: "failed",
        filed: "queued",
        other: "queued",
    }
    said = await line.conn.fetchval("SELECT data FROM service.events WHERE subject = $1 AND kind = 'failed'", along)
    assert "was logged" in json.loads(said)["message"]
