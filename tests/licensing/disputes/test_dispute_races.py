"""Disputes, payouts and refunds at once: each share is held once, and each end carried out once."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from licensing import disputes
from licensing.docket import Dispute
from licensing.errors import Refusal
from licensing.payouts import Payout
from tests.licensing.disputes.case import PRICE, Case, case_of, open_on
from tests.licensing.paying import SHARE, dispute, open_one, sums
from tests.licensing.world import World, eur, refused


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
        await open_on(slow, case)
        second = asyncio.create_task(second_case.open("creator"))
        await asyncio.sleep(0.1)
        assert not second.done()

    refused(await second, "conflict")


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
        await open_on(slow, case)
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
