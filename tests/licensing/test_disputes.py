"""Disputes: the share is held while they run, every step has its day, and their end moves money once and exactly."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from licensing import disputes, docket, payouts, statements
from licensing.deadlines import CLOCK, working_days_after
from licensing.docket import Dispute, step
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payouts import Payout
from licensing.refunds import Refund, refund_output
from licensing.terms import StyleTerms
from tests.licensing.paying import SHARE, acting, dispute, end, open_one, opened, put, seller, sums
from tests.licensing.world import World, eur, new_id, refused

PRICE, FEE = 60, 9


@dataclass(kw_only=True)
class Case:
    """A sale and what its parties do about it, each call on a connection of its own."""

    world: World
    style: StyleTerms
    client: str
    order_id: str
    outputs: list[str]
    id: str = field(default_factory=lambda: new_id("dsp"))

    @property
    def creator(self) -> str:
        return self.style.creator_id

    def party(self, side: str) -> str:
        return {"client": self.client, "creator": self.creator, "operator": "operator"}[side]

    async def open(self, side: Any = "client", **changes: Any) -> Any:
        grounds = {"client": "not_as_ordered", "creator": "share", "operator": "takedown"}
        wanted = {
            "dispute_id": self.id,
            "side": side,
            "party_id": self.party(side),
            "ground": grounds[side],
            "words": "This is not a fox.",
            "output_id": self.outputs[0],
            "contact": "a stranger, +49 30 901820" if side == "operator" else None,
            "now": self.world.now,
        }
        async with self.world.pool.acquire() as conn:
            return await disputes.open_dispute(conn, **wanted | changes)

    async def opened(self, side: Any = "client", **changes: Any) -> Dispute:
        found = await self.open(side, **changes)
        assert isinstance(found, Dispute), found
        return found

    async def act(self, verb: Any, side: str | None = None, **given: Any) -> Any:
        who = {"side": side, "party_id": self.party(side)} if side else {}
        wanted = {"note_id": new_id("note"), "dispute_id": self.id, "now": self.world.now} | who
        async with self.world.pool.acquire() as conn:
            return await verb(conn, **wanted | given)

    async def say(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.say, side, **{"words": "Look again."} | given)

    async def decide(self, outcome: str, amount: int | None = None, **given: Any) -> Any:
        money = eur(amount) if amount is not None else None
        return await self.act(
            disputes.decide, **{"outcome": outcome, "amount": money, "reason": "It is a dog."} | given
        )

    async def decided(self, outcome: str, amount: int | None = None) -> Dispute:
        """Decided after the other side has answered."""
        if (await dispute(self.world, self.id)).answer_due_at is not None:
            await self.say("creator")
        found = await self.decide(outcome, amount)
        assert isinstance(found, Dispute), found
        return found

    async def appeal(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.appeal, side, **{"words": "It is a fox."} | given)

    async def withdraw(self, side: str, **given: Any) -> Any:
        return await self.act(disputes.withdraw, side, **{"words": "Never mind."} | given)

    async def close(self) -> bool:
        async with self.world.pool.acquire() as conn:
            return await disputes.close(conn, dispute_id=self.id, now=self.world.now)

    async def ended(self, outcome: str, amount: int | None = None) -> Dispute:
        """Decided, not appealed, and carried out."""
        await self.decided(outcome, amount)
        self.world.later(days=CLOCK.appeal_days, seconds=1)
        assert await self.close()
        return await dispute(self.world, self.id)

    async def refund(self, output_id: str | None = None) -> Any:
        async with self.world.pool.acquire() as conn:
            return await refund_output(
                conn, output_id=output_id or self.outputs[0], reason="a mistake", by="op", now=self.world.now
            )

    async def next_case(self) -> "Case":
        """The same sale, another dispute."""
        return Case(
            world=self.world, style=self.style, client=self.client, order_id=self.order_id, outputs=self.outputs
        )

    async def prepaid(self) -> int:
        return (await self.world.usage(self.client)).prepaid.amount

    async def revoked(self) -> list[str | None]:
        async with self.world.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT revoked_reason FROM licensing.output WHERE order_id = $1 ORDER BY position", self.order_id
            )
        return [row["revoked_reason"] for row in rows]


async def case_of(world: World, *, pictures: int = 1, tier: str = "personal") -> Case:
    style = await seller(world, pictures=0)
    client = await world.client(prepaid=60 * pictures if tier == "personal" else 2900)
    order_id = (await world.sold(style, client, count=pictures, tier=tier)).order_id
    outputs = [f"out_{order_id}_{number}" for number in range(pictures)]
    return Case(world=world, style=style, client=client, order_id=order_id, outputs=outputs)


# Holding.


async def test_opening_holds_the_share_and_no_payout_can_take_it(world: World):
    case = await case_of(world, pictures=10)

    opened_case = await case.opened()

    assert opened_case.held == eur(SHARE)
    assert await sums(world, case.creator) == (9 * SHARE, SHARE, 0, 0)
    assert (await opened(world, case.creator)).amount == eur(9 * SHARE)


async def test_what_was_paid_out_before_is_held_and_filled_up_by_the_next_sales(world: World):
    case = await case_of(world, pictures=2)
    await end(world, (await opened(world, case.creator)).id)

    await case.opened()
    below = await sums(world, case.creator)
    await world.sold(case.style, await world.client(prepaid=60))

    assert below == (-SHARE, SHARE, 0, 2 * SHARE)
    assert await sums(world, case.creator) == (0, SHARE, 0, 2 * SHARE)


async def test_a_dispute_while_a_payout_is_on_its_way_calls_nothing_back(world: World):
    case = await case_of(world, pictures=2)
    payout = await opened(world, case.creator)

    await case.opened()
    await end(world, payout.id)

    assert await sums(world, case.creator) == (-SHARE, SHARE, 0, 2 * SHARE)


async def test_a_whole_order_is_disputed_without_what_was_taken_back(world: World):
    case = await case_of(world, pictures=4)
    await case.refund(case.outputs[1])

    found = await case.opened(output_id=None, order_id=case.order_id)

    assert found.output_ids == (case.outputs[0], *case.outputs[2:])
    assert found.held == eur(3 * SHARE)
    assert await sums(world, case.creator) == (0, 3 * SHARE, 0, 0)


async def test_one_dispute_of_an_output_runs_at_a_time(world: World):
    case = await case_of(world, pictures=2)
    await case.opened()
    other = await case.next_case()

    refused(await other.open("creator"), "conflict")
    refused(await other.open("operator"), "conflict")
    refused(await other.open(output_id=None, order_id=case.order_id), "conflict")

    assert isinstance(await other.open("creator", output_id=case.outputs[1]), Dispute)
    assert await sums(world, case.creator) == (0, 2 * SHARE, 0, 0)


async def test_the_same_dispute_again_is_that_dispute(world: World):
    case = await case_of(world, pictures=2)
    found = await case.opened()

    assert await case.open() == found
    assert (await case.open(output_id=None, order_id=case.order_id)).id == found.id
    refused(await case.open("creator"), "conflict")
    refused(await case.open(output_id=case.outputs[1]), "conflict")
    elsewhere = await case_of(world)
    elsewhere.id = case.id
    refused(await elsewhere.open(), "conflict")
    assert await sums(world, case.creator) == (SHARE, SHARE, 0, 0)


async def test_a_side_disputes_an_output_once(world: World):
    case = await case_of(world)
    await case.opened()
    await case.ended("released")

    again = await case.next_case()
    refused(await again.open(), "conflict")
    assert isinstance(await again.open("creator"), Dispute)
    await again.decide("released")
    world.later(days=4)
    await again.close()
    for _ in range(2):
        claim = await case.next_case()
        await claim.opened("operator")
        await claim.ended("released")


async def test_only_its_own_parties_dispute_what_was_sold(world: World):
    case, other = await case_of(world), await case_of(world)

    refused(await case.open(party_id=other.client), "not_found")
    refused(await case.open(party_id=case.creator), "not_found")
    refused(await case.open("creator", party_id=other.creator), "not_found")
    refused(await case.open(output_id="out_never"), "not_found")
    refused(await case.open(output_id=None, order_id="gen_never"), "not_found")
    tried = await world.sold(case.style, case.client, test=True)
    refused(await case.open(output_id=f"out_{tried.order_id}_0"), "not_found")


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        ("client", {"ground": "share"}),
        ("client", {"ground": ""}),
        ("client", {"words": " \n"}),
        ("client", {"words": "a" * 4001}),
        ("client", {"words": "a\0b"}),
        ("client", {"references": ["file"] * 11}),
        ("client", {"references": [""]}),
        ("client", {"references": ["f" * 201]}),
        ("client", {"output_id": None}),
        ("client", {"order_id": "gen_1"}),
        ("client", {"contact": "me"}),
        ("operator", {"contact": None}),
        ("operator", {"contact": " "}),
    ],
)
async def test_a_dispute_that_says_too_little_or_too_much_is_refused(world: World, side: str, changes: dict[str, Any]):
    case = await case_of(world)

    refused(await case.open(side, **changes), "invalid_request")


async def test_what_was_taken_back_cannot_be_disputed(world: World):
    case = await case_of(world)
    await case.refund()

    refused(await case.open(), "conflict")
    refused(await case.open(output_id=None, order_id=case.order_id), "conflict")


async def test_a_picture_that_cost_nothing_can_be_disputed_and_holds_nothing(world: World):
    tiers = world.prices.default_terms(style_id="", creator_id="").tiers
    style = await world.style(tiers={name: replace(tier, price=eur(0), offer=None) for name, tier in tiers.items()})
    client = await world.client()
    order_id = (await world.sold(style, client)).order_id
    case = Case(world=world, style=style, client=client, order_id=order_id, outputs=[f"out_{order_id}_0"])

    assert (await case.opened()).held == eur(0)
    await case.say("creator")
    refused(await case.decide("partly", 1), "invalid_request")
    assert (await case.ended("refunded")).outcome == "refunded"
    assert await case.revoked() == ["It is a dog."]


# The clock.


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


async def settled_at(case: Case) -> datetime:
    async with case.world.pool.acquire() as conn:
        found: datetime = await conn.fetchval(
            "SELECT settled_at FROM licensing.output WHERE output_id = $1", case.outputs[0]
        )
    return found


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


# What was said.


async def notes(case: Case) -> list[docket.Note]:
    async with case.world.pool.acquire() as conn:
        return await docket.notes(conn, case.id)


async def test_all_that_was_said_is_kept_in_order_and_without_names(world: World):
    case = await case_of(world)
    await case.opened(references=["file_1", "file_2"])
    await case.say("creator", words="It is a fox.", references=["file_3"])
    await case.say("client", words="It has five legs.")
    await case.decide("partly", 20)
    await case.appeal("creator")
    await case.decide("released", reason="Foxes vary.")

    found = await notes(case)

    assert [(note.side, note.act) for note in found] == [
        ("client", "opened"),
        ("creator", "answer"),
        ("client", "evidence"),
        ("operator", "decision"),
        ("creator", "appeal"),
        ("operator", "decision"),
    ]
    assert found[0].references == ("file_1", "file_2")
    assert (found[1].words, found[1].references, found[1].at) == ("It is a fox.", ("file_3",), world.now)
    assert [(note.outcome, note.amount) for note in found if note.act == "decision"] == [
        ("partly", eur(20)),
        ("released", None),
    ]
    assert not any(party in repr(found) for party in (case.client, case.creator))


async def test_a_step_that_is_taken_twice_happens_once(world: World):
    case = await case_of(world)
    await case.opened()
    answer = {"note_id": new_id("note"), "words": "It is a fox."}
    first, appeal, final = ({"note_id": new_id("note")} for _ in range(3))

    for _ in range(2):
        await case.say("creator", **answer)
    for _ in range(2):
        await case.decide("refunded", **first)
    for _ in range(2):
        await case.appeal("creator", **appeal)
    # A first decision that is told again after the appeal is not the final one.
    assert (await case.decide("refunded", **first)).state == "appealed"
    for _ in range(2):
        found = await case.decide("released", **final)

    assert (found.state, found.outcome) == ("closed", "released")
    assert len(await notes(case)) == 5
    other = await case_of(world)
    await other.opened()
    refused(await other.say("creator", **answer), "conflict")


async def test_one_side_cannot_fill_the_place(world: World):
    case = await case_of(world)
    await case.opened()
    for _ in range(disputes.NOTES_MAX - 1):
        assert isinstance(await case.say("client"), Dispute)

    refused(await case.say("client"), "conflict")

    assert isinstance(await case.say("creator"), Dispute)
    refused(await case.say("creator", words=""), "invalid_request")
    refused(await case.say("creator", references=["f"] * 11), "invalid_request")


async def test_nothing_is_said_between_a_decision_and_an_appeal_nor_after_the_end(world: World):
    case = await case_of(world)
    await case.opened()
    await case.decided("released")
    refused(await case.say("client"), "conflict")

    await case.appeal("client")
    assert isinstance(await case.say("creator"), Dispute)
    await case.decide("released")
    refused(await case.say("creator"), "conflict")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing.dispute_note SET words = 'nothing'",
        "UPDATE licensing.dispute_note SET at = now()",
        "DELETE FROM licensing.dispute_note",
        "UPDATE licensing.dispute SET reason = 'another' WHERE state = 'closed'",
        "DELETE FROM licensing.dispute",
        "UPDATE licensing.disputed SET held = held + 1",
        "UPDATE licensing.disputed SET ended_at = NULL WHERE ended_at IS NOT NULL",
        "DELETE FROM licensing.disputed",
    ],
)
async def test_nobody_rewrites_what_was_said_or_decided(world: World, statement: str):
    case = await case_of(world)
    await case.opened()
    await case.ended("released")

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute(statement)


async def test_the_words_of_somebody_who_leaves_are_forgotten_and_the_decision_stays(world: World):
    case = await case_of(world)
    await case.opened(words="I am Jo, and it is no fox.", references=["file"])
    await case.ended("partly", 20)

    async with world.pool.acquire() as conn:
        await disputes.forget_in_disputes(conn, case.client)
        await disputes.forget_in_disputes(conn, case.client)

    found = await notes(case)
    assert [(note.side, bool(note.words), note.references) for note in found] == [
        ("client", False, ()),
        ("creator", True, ()),
        ("operator", True, ()),
    ]
    assert (await dispute(world, case.id)).reason == "It is a dog."


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "INSERT INTO licensing.disputed (dispute_id, output_id, opener, held)"
            " SELECT $2, output_id, 'operator', held FROM licensing.disputed WHERE dispute_id = $1",
            "disputed_one_open",
        ),
        (
            "INSERT INTO licensing.disputed (dispute_id, output_id, opener, held, ended_at)"
            " SELECT $2, output_id, opener, held, now() FROM licensing.disputed WHERE dispute_id = $1",
            "disputed_once_a_side",
        ),
        (
            "UPDATE licensing.disputed SET to_client = 1 WHERE dispute_id = $1 AND $2::text <> ''",
            "disputed_check",
        ),
    ],
)
async def test_the_tables_refuse_what_must_never_be(world: World, statement: str, constraint: str):
    case, other = await case_of(world), await case_of(world)
    await case.opened()
    await other.opened()

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await conn.execute(statement, case.id, other.id)

    assert refusal.value.constraint_name == constraint


# How it ends.


async def test_refunded_takes_the_sale_back_like_any_refund(world: World):
    case = await case_of(world, pictures=2)
    await case.opened()

    found = await case.ended("refunded")

    assert (found.state, found.outcome, found.held, found.reason) == ("closed", "refunded", eur(0), "It is a dog.")
    assert await case.revoked() == ["It is a dog.", None]
    assert await case.prepaid() == PRICE
    assert await sums(world, case.creator) == (SHARE, 0, 0, 0)
    assert (await case.refund()).repeated


async def test_released_gives_the_share_back_and_the_certificate_stays(world: World):
    case = await case_of(world)
    await case.opened()

    await case.ended("released")

    assert await case.revoked() == [None]
    assert await case.prepaid() == 0
    assert await sums(world, case.creator) == (SHARE, 0, 0, 0)


async def test_partly_gives_the_client_an_amount_by_share_and_fee_and_the_certificate_stays(world: World):
    case = await case_of(world)
    fees = await world.balance("fee:operator:EUR")
    await case.opened()

    found = await case.ended("partly", 20)

    assert (found.outcome, found.amount) == ("partly", eur(20))
    assert await case.revoked() == [None]
    assert await case.prepaid() == 20
    assert await sums(world, case.creator) == (SHARE - 17, 0, 0, 0)
    assert await world.balance("fee:operator:EUR") == fees - 3


@pytest.mark.parametrize(("amount", "share"), [(1, 1), (3, 3), (4, 3), (10, 8), (30, 25), (50, 42), (59, 50)])
async def test_a_part_is_split_by_largest_remainder_and_a_tie_is_the_operators(world: World, amount: int, share: int):
    """Of 60 the share is 51 and the fee 9: of 10 that would be 8.5 and 1.5."""
    case = await case_of(world)
    await case.opened()

    await case.ended("partly", amount)

    assert await case.prepaid() == amount
    assert await sums(world, case.creator) == (SHARE - share, 0, 0, 0)


async def test_a_part_of_an_order_is_shared_by_its_pictures_exactly(world: World):
    case = await case_of(world, pictures=7)
    await case.opened(output_id=None, order_id=case.order_id)

    await case.ended("partly", 100)

    async with world.pool.acquire() as conn:
        parts = await conn.fetch("SELECT * FROM licensing.disputed WHERE dispute_id = $1 ORDER BY output_id", case.id)
    assert await case.prepaid() == sum(part["to_client"] for part in parts) == 100
    assert {part["to_client"] for part in parts} == {14, 15}
    assert await sums(world, case.creator) == (7 * SHARE - sum(part["from_share"] for part in parts), 0, 0, 0)


async def test_corrected_moves_the_fee_to_the_creator_and_the_client_learns_nothing(world: World, licensing_url: str):
    case = await case_of(world)
    fees = await world.balance("fee:operator:EUR")
    await case.opened("creator")

    await case.ended("corrected", 5)

    assert await sums(world, case.creator) == (SHARE + 5, 0, 0, 0)
    assert await world.balance("fee:operator:EUR") == fees - 5
    assert (await case.prepaid(), await case.revoked()) == (0, [None])
    async with acting(licensing_url, case.client) as conn:
        assert await docket.disputes_of(conn, case.client) == []


async def test_an_outcome_that_does_not_fit_is_refused_with_those_that_do(world: World):
    case, own = await case_of(world), await case_of(world)
    await case.opened()
    await case.say("creator")
    await own.opened("creator")

    refusal = refused(await case.decide("corrected", 5), "invalid_request")
    assert "refunded, released, partly" in refusal.message
    refused(await own.decide("refunded"), "invalid_request")
    refused(await own.decide("partly", 5), "invalid_request")
    refused(await case.decide("partly"), "invalid_request")
    refused(await case.decide("partly", 0), "invalid_request")
    refused(await case.decide("partly", -5), "invalid_request")
    refused(await case.decide("released", 5), "invalid_request")
    refused(await case.decide("released", reason=""), "invalid_request")
    over = refused(await case.decide("partly", PRICE), "invalid_request")
    assert "0.59 EUR" in over.message
    over = refused(await own.decide("corrected", FEE + 1), "invalid_request")
    assert "0.09 EUR" in over.message
    money = Money(5, "USD")
    refused(await case.act(disputes.decide, outcome="partly", amount=money, reason="r"), "invalid_request")
    refused(await case.act(disputes.decide, outcome="released", reason="r", dispute_id="dsp_never"), "not_found")


async def test_a_later_dispute_has_what_the_earlier_left(world: World):
    case = await case_of(world)
    await case.opened()
    await case.ended("partly", 20)
    claim = await case.next_case()

    held = (await claim.opened("operator")).held
    await claim.say("creator")
    refused(await claim.decide("partly", 40), "invalid_request")
    await claim.ended("partly", 39)

    assert held == eur(SHARE - 17)
    assert await case.prepaid() == 59
    payable, *rest = await sums(world, case.creator)
    assert rest == [0, 0, 0]
    assert 0 <= payable <= 1


@pytest.mark.parametrize("by", ["a dispute", "a refund"])
async def test_a_sale_taken_back_after_a_part_gives_the_price_back_once(world: World, by: str):
    case = await case_of(world)
    fees = await world.balance("fee:operator:EUR")
    await case.opened()
    await case.ended("partly", 20)
    # The client has spent what came back.
    await world.credit(case.client, 40)
    await world.sold(await world.style(), case.client)

    if by == "a refund":
        assert isinstance(await case.refund(), Refund)
    else:
        claim = await case.next_case()
        await claim.opened("operator")
        await claim.ended("refunded")

    assert await case.prepaid() == PRICE - 20
    assert await sums(world, case.creator) == (0, 0, 0, 0)
    # Of the two sales the fee of the second is left.
    assert await world.balance("fee:operator:EUR") == fees - FEE + FEE


async def test_a_sale_taken_back_after_a_correction_takes_the_correction_back(world: World):
    case = await case_of(world)
    fees = await world.balance("fee:operator:EUR")
    await case.opened("creator")
    await case.ended("corrected", 5)

    await case.refund()

    assert await case.prepaid() == PRICE
    assert await sums(world, case.creator) == (0, 0, 0, 0)
    assert await world.balance("fee:operator:EUR") == fees - FEE


@pytest.mark.parametrize("state", ["open", "decided", "appealed"])
async def test_a_refund_beside_a_dispute_ends_it(world: World, state: str):
    case = await case_of(world)
    await case.opened()
    if state != "open":
        await case.decided("partly", 20)
    if state == "appealed":
        await case.appeal("client")

    await case.refund()

    found = await dispute(world, case.id)
    assert (found.state, found.outcome, found.amount, found.reason) == ("closed", "refunded", None, "a mistake")
    assert (await notes(case))[-1].outcome == "refunded"
    assert await case.prepaid() == PRICE
    assert await sums(world, case.creator) == (0, 0, 0, 0)
    world.later(days=30)
    assert not await case.close()


async def test_a_refund_of_one_picture_leaves_the_dispute_about_the_others(world: World):
    case = await case_of(world, pictures=3)
    await case.opened(output_id=None, order_id=case.order_id)
    await case.decided("partly", 150)

    await case.refund(case.outputs[1])
    halfway = await sums(world, case.creator)
    world.later(days=4)
    await case.close()

    assert halfway == (0, 2 * SHARE, 0, 0)
    # Of the 150 no more than the price of the two that are left can be given back.
    assert await case.prepaid() == PRICE + 2 * PRICE
    assert (await case.revoked()).count(None) == 2
    assert await sums(world, case.creator) == (0, 0, 0, 0)


async def test_who_opened_a_dispute_may_let_it_go(world: World):
    case = await case_of(world)
    await case.opened()
    refused(await case.withdraw("creator"), "conflict")
    refused(await case.withdraw("client", words=""), "invalid_request")

    found = await case.withdraw("client")

    assert (found.state, found.outcome, found.closed_at) == ("closed", "withdrawn", world.now)
    assert await sums(world, case.creator) == (SHARE, 0, 0, 0)
    refused(await case.withdraw("client"), "conflict")
    refused(await case.decide("refunded"), "conflict")
    other = await case_of(world)
    await other.opened()
    await other.decided("released")
    refused(await other.withdraw("client"), "conflict")


async def test_what_a_plan_paid_comes_back_as_prepaid_money(world: World):
    style = await seller(world, pictures=0)
    client = await world.client(prepaid=4900)
    await world.subscribe(client)
    order_id = (await world.sold(style, client, count=2)).order_id
    case = Case(
        world=world, style=style, client=client, order_id=order_id, outputs=[f"out_{order_id}_{n}" for n in range(2)]
    )
    await case.opened(output_id=None, order_id=order_id)

    await case.ended("refunded")

    assert await case.prepaid() == 2 * 49
    assert await sums(world, case.creator) == (0, 0, 0, 0)


async def test_the_statement_has_a_line_for_what_a_dispute_changed_and_for_its_end(world: World):
    case = await case_of(world)
    await case.opened()
    await case.ended("partly", 20)
    world.later(days=35)
    await case.refund()

    async def lines(month: datetime) -> list[statements.Line]:
        async with world.pool.acquire() as conn:
            found = await statements.statement(conn, creator_id=case.creator, month=f"{month:%Y-%m}")
            earned = await statements.earnings(conn, creator_id=case.creator, now=world.now)
        assert found.total.amount == sum(line.share.amount for line in found.lines)
        assert earned.payable == sum((line.share for line in earned.by_style), eur(0))
        return list(found.lines)

    first, second = await lines(await settled_at(case)), await lines(world.now)

    assert [(one.kind, one.price, one.fee, one.share) for one in first] == [
        ("sale", eur(60), eur(9), eur(51)),
        ("adjustment", eur(-20), eur(-3), eur(-17)),
    ]
    assert {(one.kind, one.price, one.fee, one.share) for one in second} == {
        ("refund", eur(-60), eur(-9), eur(-51)),
        ("adjustment", eur(20), eur(3), eur(17)),
    }
    assert {one.output_id for one in [*first, *second]} == {case.outputs[0]}


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        (
            "UPDATE licensing.disputed SET held = held + 1 WHERE dispute_id = $1",
            "what is held is what open disputes hold",
        ),
        (
            "UPDATE licensing.disputed SET ended_at = now() WHERE dispute_id = $1",
            "a dispute runs while it has outputs to decide about",
        ),
        (
            "UPDATE licensing.disputed SET to_client = 5, from_share = 5 WHERE dispute_id = $1",
            "what a dispute changed about a sale is posted, and undone with the sale",
        ),
        (
            "UPDATE licensing.disputed SET to_client = 99, from_share = 99 WHERE dispute_id = $1",
            "no more of a sale is given back than it had",
        ),
        (
            "UPDATE licensing.output SET revoked_at = now(), revoked_reason = 'r' WHERE output_id IN"
            " (SELECT output_id FROM licensing.disputed WHERE dispute_id = $1)",
            "what a dispute changed about a sale is posted, and undone with the sale",
        ),
    ],
)
async def test_the_check_finds_what_was_tampered_with(world: World, tampering: str, rule: str):
    case = await case_of(world)
    await case.opened()

    async with world.pool.acquire() as conn:
        undone = conn.transaction()
        await undone.start()
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(tampering, case.id)
        found = {row["rule"] for row in await conn.fetch("SELECT rule FROM licensing.problems()")}
        await undone.rollback()

    assert rule in found


# Races.


async def test_of_16_openers_at_once_one_opens(world: World):
    case = await case_of(world)
    cases = [await case.next_case() for _ in range(16)]

    answers = await asyncio.gather(
        *(one.open(side) for one, side in zip(cases, ["client", "creator", "operator", "client"] * 4, strict=True))
    )

    assert Counter(type(answer) for answer in answers) == {Dispute: 1, Refusal: 15}
    assert await sums(world, case.creator) == (0, SHARE, 0, 0)


async def test_a_second_opener_waits_for_the_first_and_is_refused(world: World):
    case = await case_of(world)
    second_case = await case.next_case()
    async with world.pool.acquire() as slow, slow.transaction():
        await _open_on(slow, case)
        second = asyncio.create_task(second_case.open("creator"))
        await asyncio.sleep(0.1)
        assert not second.done()

    refused(await second, "conflict")


async def _open_on(conn: asyncpg.Connection, case: Case) -> None:
    """The client opens, in a transaction that goes on."""
    await disputes.open_dispute(
        conn,
        dispute_id=case.id,
        side="client",
        party_id=case.client,
        ground="other",
        words="w",
        output_id=case.outputs[0],
        now=case.world.now,
    )


async def test_one_dispute_opened_16_times_at_once_is_one(world: World):
    case = await case_of(world)

    answers = await asyncio.gather(*(case.open() for _ in range(16)))

    assert {answer.id for answer in answers} == {case.id}
    assert await sums(world, case.creator) == (0, SHARE, 0, 0)


async def test_an_order_and_its_pictures_disputed_at_once_hold_each_share_once(world: World):
    case = await case_of(world, pictures=4)
    cases = [await case.next_case() for _ in range(4)]

    answers = await asyncio.gather(
        case.open(output_id=None, order_id=case.order_id),
        *(one.open("creator", output_id=output) for one, output in zip(cases, reversed(case.outputs), strict=True)),
    )

    held = sum(len(answer.output_ids) for answer in answers if isinstance(answer, Dispute))
    assert await sums(world, case.creator) == ((4 - held) * SHARE, held * SHARE, 0, 0)
    assert held == 4


async def test_a_dispute_that_was_opened_is_not_paid_out_by_a_payout_beside_it(world: World):
    case = await case_of(world, pictures=10)
    async with world.pool.acquire() as slow, slow.transaction():
        await _open_on(slow, case)
        paying = asyncio.create_task(open_one(world, case.creator))
        await asyncio.sleep(0.1)
        assert not paying.done()

    payout = await paying
    assert isinstance(payout, Payout)
    assert payout.amount == eur(9 * SHARE)
    assert await sums(world, case.creator) == (0, SHARE, 9 * SHARE, 0)


async def test_a_dispute_and_a_payout_at_once_lose_nothing(world: World):
    for _ in range(8):
        case = await case_of(world, pictures=10)

        payout, found = await asyncio.gather(open_one(world, case.creator), case.open())

        assert isinstance(found, Dispute)
        assert await sums(world, case.creator) in {
            (0, SHARE, 9 * SHARE, 0) if payout.amount == eur(9 * SHARE) else (-SHARE, SHARE, 10 * SHARE, 0)
        }


async def test_a_refund_and_a_decision_at_once_refund_once(world: World):
    for _ in range(6):
        case = await case_of(world)
        await case.opened()
        await case.decided("partly", 20)
        world.later(days=4)

        await asyncio.gather(case.close(), case.refund(), case.close(), case.refund())

        assert await case.prepaid() == PRICE
        assert await sums(world, case.creator) == (0, 0, 0, 0)


async def test_refunds_of_all_pictures_beside_the_end_of_their_dispute_do_not_wait_in_a_circle(world: World):
    case = await case_of(world, pictures=8)
    await case.opened(output_id=None, order_id=case.order_id)
    await case.decided("refunded")
    world.later(days=4)

    await asyncio.gather(*(case.refund(output) for output in reversed(case.outputs)), case.close(), case.close())

    assert await case.prepaid() == 8 * PRICE
    assert None not in await case.revoked()
    assert (await dispute(world, case.id)).state == "closed"


async def test_of_two_decisions_at_once_one_is_the_decision(world: World):
    case = await case_of(world)
    await case.opened()
    await case.say("creator")

    answers = await asyncio.gather(*(case.decide(outcome) for outcome in ("refunded", "released") for _ in range(4)))

    assert Counter(type(answer) for answer in answers) == {Dispute: 1, Refusal: 7}


async def test_an_appeal_and_the_end_of_its_time_at_once_are_one_of_them(world: World):
    for _ in range(6):
        case = await case_of(world)
        await case.opened()
        decided = await case.decided("released")
        assert decided.appeal_due_at is not None
        in_time, too_late = decided.appeal_due_at, decided.appeal_due_at + timedelta(seconds=1)

        async def end_it(case: Case = case, at: datetime = too_late) -> bool:
            async with world.pool.acquire() as conn:
                return await disputes.close(conn, dispute_id=case.id, now=at)

        appealed, closed = await asyncio.gather(case.appeal("client", now=in_time), end_it())

        assert closed is isinstance(appealed, Refusal)


# Who may see and do what.


async def test_both_parties_see_their_dispute_and_neither_how_to_reach_the_stranger(world: World, licensing_url: str):
    case, other = await case_of(world), await case_of(world)
    await case.opened("operator")
    await other.opened()

    for party in (case.client, case.creator):
        async with acting(licensing_url, party) as conn:
            seen = await docket.disputes_of(conn, party)
            assert [one.id for one in seen] == [case.id]
            assert (await docket.notes(conn, case.id))[0].words == "This is not a fox."
            assert seen[0].output_ids == (case.outputs[0],)
            assert await docket.contact(conn, case.id) is None
            assert await docket.find_dispute(conn, other.id) is None
            assert await docket.notes(conn, other.id) == []
            assert await docket.disputes_of(conn, other.client) == []
            assert await docket.running(conn) == seen
    async with acting(licensing_url, "house") as conn:
        assert await docket.contact(conn, case.id) == "a stranger, +49 30 901820"


async def test_a_party_acts_for_itself_and_the_house_for_everybody(world: World, licensing_url: str):
    case, other = await case_of(world), await case_of(world)
    given = {"ground": "other", "words": "w", "now": world.now}

    async with acting(licensing_url, case.client) as conn:
        found = await disputes.open_dispute(
            conn, dispute_id=case.id, side="client", party_id=case.client, output_id=case.outputs[0], **given
        )
        assert isinstance(found, Dispute)
        answer = {"note_id": new_id("note"), "dispute_id": case.id, "words": "w", "now": world.now}
        assert isinstance(await disputes.say(conn, side="client", party_id=case.client, **answer), Dispute)
        for forbidden in (
            disputes.say(conn, side="creator", party_id=case.creator, **answer),
            disputes.say(conn, side="operator", party_id=case.client, **answer),
            disputes.decide(conn, note_id="n", dispute_id=case.id, outcome="refunded", reason="mine", now=world.now),
            disputes.close(conn, dispute_id=case.id, now=world.now),
            disputes.open_dispute(
                conn,
                dispute_id=new_id("dsp"),
                side="client",
                party_id=other.client,
                output_id=other.outputs[0],
                **given,
            ),
            disputes.forget_in_disputes(conn, case.creator),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await forbidden
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("UPDATE licensing.dispute SET state = 'closed'")
    async with acting(licensing_url, other.client) as conn:
        stranger = {"note_id": new_id("note"), "dispute_id": case.id, "words": "w", "now": world.now}
        refused(await disputes.say(conn, side="client", party_id=other.client, **stranger), "not_found")
        refused(await disputes.appeal(conn, side="client", party_id=other.client, **stranger), "not_found")
        refused(await disputes.withdraw(conn, side="client", party_id=other.client, **stranger), "not_found")


async def test_the_application_does_all_of_it_without_owning_a_row(world: World, licensing_url: str):
    case = await case_of(world, pictures=2)
    async with acting(licensing_url, "house") as conn:
        payout = await payouts.open_payout(
            conn, payout_id=new_id("pay"), creator_id=case.creator, at_least=eur(1), now=world.now
        )
        assert isinstance(payout, Payout)
        await payouts.end_payout(conn, payout_id=payout.id, outcome="paid", detail="t", now=world.now)
        await _open_on(conn, case)
        later = {"dispute_id": case.id, "now": world.now + timedelta(days=8)}
        await disputes.decide(conn, note_id=new_id("note"), outcome="partly", amount=eur(20), reason="r", **later)
        assert await disputes.close(conn, dispute_id=case.id, now=world.now + timedelta(days=12))
        await refund_output(conn, output_id=case.outputs[0], reason="r", by="op", now=world.now + timedelta(days=13))

    assert await case.prepaid() == PRICE
    assert await sums(world, case.creator) == (-SHARE, 0, 0, 2 * SHARE)


async def test_disputes_are_listed_newest_first_page_by_page(world: World):
    case, ids = await case_of(world, pictures=5), []
    for output in case.outputs:
        one = await case.next_case()
        await one.opened(output_id=output)
        ids.insert(0, one.id)
        world.later(hours=1)

    async with world.pool.acquire() as conn:
        first = await docket.disputes_of(conn, case.client, limit=2)
        rest = await docket.disputes_of(conn, case.client, limit=9, before=first[-1].id)

    assert [one.id for one in [*first, *rest]] == ids


async def test_a_payout_beside_a_dispute_that_ends_takes_the_rest_later(world: World):
    case = await case_of(world, pictures=3)
    await put(world, case.creator)
    await case.opened()
    await end(world, (await opened(world, case.creator)).id)
    await case.ended("released")

    async with world.pool.acquire() as conn:
        later = await payouts.open_payout(
            conn, payout_id=new_id("pay"), creator_id=case.creator, at_least=eur(1), now=world.now
        )

    assert isinstance(later, Payout)
    assert later.amount == eur(SHARE)
