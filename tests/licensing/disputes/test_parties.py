"""Who may see and do what in a dispute."""

from datetime import timedelta

import asyncpg
import pytest

from licensing import disputes, docket, payouts
from licensing.docket import Dispute
from licensing.payouts import Payout
from licensing.refunds import refund_output
from tests.licensing.disputes.case import PRICE, case_of, open_on
from tests.licensing.paying import SHARE, acting, end, opened, put, sums
from tests.licensing.world import World, eur, new_id, refused


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
        await open_on(conn, case)
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
