"""What is said in a dispute is kept in order, rewritten by nobody, and forgotten with whoever leaves."""

import asyncpg
import pytest

from licensing import disputes
from licensing.docket import Dispute
from tests.licensing.disputes.case import case_of, notes
from tests.licensing.paying import dispute
from tests.licensing.world import World, eur, new_id, refused


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
