"""The clock of a dispute: every step has its day, and its date is written when its time begins."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licensing import docket
from licensing.deadlines import working_days_after
from licensing.docket import Dispute, step
from tests.licensing.disputes.case import Case, case_of, notes, settled_at
from tests.licensing.paying import SHARE, dispute, sums
from tests.licensing.world import World, refused


async def test_every_date_is_written_when_its_time_begins(world: World):
    case = await case_of(world)

    def january(day: int) -> datetime:
        return datetime(2026, 1, day, 15, tzinfo=UTC)

    world.now = january(2)  # a Friday
    case.order_id = (await world.sold(case.style, await _with_money(case))).order_id
    case.outputs = [f"out_{case.order_id}_0"]

    found = await case.opened()
    assert (found.opened_at, found.answer_due_at, found.decide_due_at) == (january(2), january(9), january(16))

    world.now = january(4)  # a Sunday
    answered = await case.say("creator")
    assert (answered.answered_at, answered.decide_due_at) == (january(4), january(9))

    world.now = january(7)
    decided = await case.decide("released")
    assert (decided.decided_at, decided.appeal_due_at) == (january(7), january(10))

    world.now = january(10)  # a Saturday
    appealed = await case.appeal("client")
    assert (appealed.appealed_at, appealed.final_due_at) == (january(10), january(16))

    world.now = january(12)
    final = await case.decide("refunded")
    assert (final.state, final.closed_at, final.outcome) == ("closed", january(12), "refunded")


async def _with_money(case: Case) -> str:
    await case.world.credit(case.client, 60)
    return case.client


async def test_a_creators_own_dispute_has_no_other_side_to_wait_for(world: World):
    case = await case_of(world)

    found = await case.opened("creator")

    assert (found.client_id, found.answer_due_at) == (None, None)
    assert found.decide_due_at == working_days_after(world.now, 5)
    assert isinstance(await case.decide("released"), Dispute)


async def test_what_was_sold_can_be_disputed_for_thirty_days_and_claimed_for_ever(world: World):
    case, other, stolen = await case_of(world), await case_of(world), await case_of(world)
    world.now = await settled_at(case) + timedelta(days=30)
    assert isinstance(await case.open(), Dispute)

    world.now = await settled_at(other) + timedelta(days=30, seconds=1)
    refused(await other.open("creator"), "conflict")
    refusal = refused(await other.open(), "conflict")
    assert f"{await settled_at(other) + timedelta(days=30):%Y-%m-%d %H:%M} UTC" in refusal.message

    world.later(days=1000)
    assert isinstance(await stolen.open("operator"), Dispute)


async def test_who_disputes_first_keeps_nobody_else_out(world: World):
    case = await case_of(world)
    world.now = await settled_at(case) + timedelta(days=29)
    blocker = await case.next_case()
    await blocker.opened("creator")
    refused(await case.open(), "conflict")
    await blocker.decide("released")
    world.later(days=4)
    await blocker.close()

    world.later(days=7)
    assert isinstance(await case.open(), Dispute)


async def test_that_chance_ends_after_a_week(world: World):
    case = await case_of(world)
    blocker = await case.next_case()
    world.now = await settled_at(case) + timedelta(days=29)
    await blocker.opened("creator")
    await blocker.decide("released")
    world.later(days=4)
    await blocker.close()

    world.later(days=7, seconds=1)

    refused(await case.open(), "conflict")


async def test_nothing_is_decided_before_the_other_side_could_answer(world: World):
    case = await case_of(world)
    found = await case.opened()

    refusal = refused(await case.decide("refunded"), "conflict")
    assert found.answer_due_at is not None
    assert f"{found.answer_due_at:%Y-%m-%d %H:%M} UTC" in refusal.message
    await case.say("client")
    await case.say("operator")
    refused(await case.decide("refunded"), "conflict")
    world.now = found.answer_due_at
    refused(await case.decide("refunded"), "conflict")

    world.later(seconds=1)
    assert isinstance(await case.decide("refunded"), Dispute)


async def test_an_answer_that_comes_late_is_evidence_and_moves_no_date(world: World):
    case = await case_of(world)
    found = await case.opened()
    world.later(days=7, seconds=1)

    late = await case.say("creator")

    assert (late.answered_at, late.decide_due_at) == (None, found.decide_due_at)
    assert [note.act for note in await notes(case)] == ["opened", "evidence"]


async def test_a_decision_takes_effect_when_nobody_appealed_in_time(world: World):
    case = await case_of(world)
    await case.opened()
    decided = await case.decided("refunded")

    assert decided.appeal_due_at is not None
    world.now = decided.appeal_due_at
    assert not await case.close()
    assert await sums(world, case.creator) == (0, SHARE, 0, 0)
    world.later(microseconds=1)
    assert await case.close()
    assert not await case.close()
    assert await sums(world, case.creator) == (0, 0, 0, 0)


async def test_an_appeal_is_heard_once_and_in_time(world: World):
    case, late = await case_of(world), await case_of(world)
    for one in (case, late):
        await one.opened()
        refused(await one.appeal("client"), "conflict")
        await one.decided("released")
    refused(await case.appeal("operator"), "conflict")
    world.later(days=3, microseconds=1)
    refused(await late.appeal("client"), "conflict")
    world.later(microseconds=-1)

    await case.appeal("client")
    refused(await case.appeal("creator"), "conflict")
    assert not await case.close()
    world.later(days=40)
    final = await case.decide("released")

    assert final.state == "closed"
    refused(await case.appeal("client"), "conflict")
    refused(await case.decide("refunded"), "conflict")


async def test_a_creator_and_a_stranger_appeal_too(world: World):
    case, claim = await case_of(world), await case_of(world)
    await case.opened()
    await case.decided("refunded")
    await claim.opened("operator")
    await claim.decided("released")

    assert (await case.appeal("creator")).state == "appealed"
    assert (await claim.appeal("operator")).state == "appealed"
    assert (await case.decide("released")).state == "closed"
    assert await case.revoked() == [None]
    assert await sums(world, case.creator) == (SHARE, 0, 0, 0)


async def test_the_operator_sees_what_waits_and_what_is_late(world: World):
    waiting, answered, decided, appealed, done = [await case_of(world) for _ in range(5)]
    for case in (waiting, answered, decided, appealed, done):
        await case.opened()
    await answered.say("creator")
    await decided.decided("released")
    await appealed.decided("released")
    await appealed.appeal("client")
    await done.withdraw("client")
    ids = [case.id for case in (waiting, answered, decided, appealed, done)]

    async def look() -> tuple[dict[str, Any], set[str], set[str]]:
        async with world.pool.acquire() as conn:
            running = [one for one in await docket.running(conn, limit=10_000) if one.id in ids]
            late = {one.id for one in await docket.overdue(conn, now=world.now, limit=10_000)} & set(ids)
            due = set(await docket.due_to_close(conn, now=world.now, limit=10_000)) & set(ids)
        steps = {one.id: step(one, world.now) for one in running}
        assert {one for one, at in steps.items() if at and at.is_overdue} == late
        return {one: at.waits_for for one, at in steps.items() if at}, late, due

    began = world.now
    assert await look() == (
        {waiting.id: "answer", answered.id: "decision", decided.id: "appeal", appealed.id: "final decision"},
        set(),
        set(),
    )
    world.now = began + timedelta(days=3, seconds=1)
    assert (await look())[2] == {decided.id}
    world.now = working_days_after(began, 5)
    assert (await look())[1] == set()
    world.later(seconds=1)
    assert (await look())[1] == {answered.id, appealed.id}
    assert (await look())[0][waiting.id] == "answer"
    world.now = working_days_after(began + timedelta(days=7), 5) + timedelta(seconds=1)
    assert (await look())[0] == {
        waiting.id: "decision",
        answered.id: "decision",
        decided.id: "effect",
        appealed.id: "final decision",
    }
    assert (await look())[1] == {waiting.id, answered.id, appealed.id}
    assert step(await dispute(world, done.id), world.now) is None


async def test_what_waits_is_listed_by_its_date_page_by_page(world: World):
    cases = []
    for _ in range(4):
        cases.append(await case_of(world))
        await cases[-1].opened()
    ids = {case.id for case in cases}

    async with world.pool.acquire() as conn:
        every = await docket.running(conn, limit=10_000)
        paged, after = [], None
        while page := await docket.running(conn, limit=3, after=after):
            paged += page
            after = page[-1].id

    assert paged == every
    assert [one.id for one in every if one.id in ids] == [case.id for case in cases]


@pytest.mark.parametrize(
    ("moment", "days", "expected"),
    [
        (datetime(2026, 1, 5, 9, tzinfo=UTC), 5, datetime(2026, 1, 12, 9, tzinfo=UTC)),  # Monday to Monday
        (datetime(2026, 1, 9, 15, tzinfo=UTC), 5, datetime(2026, 1, 16, 15, tzinfo=UTC)),  # Friday to Friday
        (datetime(2026, 1, 10, 15, tzinfo=UTC), 5, datetime(2026, 1, 16, 15, tzinfo=UTC)),  # from a Saturday
        (datetime(2026, 1, 11, 23, 59, tzinfo=UTC), 1, datetime(2026, 1, 12, 23, 59, tzinfo=UTC)),  # from a Sunday
        (datetime(2028, 2, 25, tzinfo=UTC), 3, datetime(2028, 3, 1, tzinfo=UTC)),  # over a leap day
        (datetime(2026, 1, 5, 9, tzinfo=UTC), 0, datetime(2026, 1, 5, 9, tzinfo=UTC)),
    ],
)
def test_working_days_are_mondays_to_fridays(moment: datetime, days: int, expected: datetime):
    assert working_days_after(moment, days) == expected
