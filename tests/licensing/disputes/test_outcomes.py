"""How a dispute ends: money moves once and exactly, whatever happened before or beside it."""

from datetime import datetime

import pytest

from licensing import disputes, docket, statements
from licensing.analytics.totals import earnings
from licensing.money import Money
from licensing.refunds import Refund
from tests.licensing.disputes.case import FEE, PRICE, Case, case_of, notes, settled_at
from tests.licensing.paying import SHARE, acting, dispute, seller, sums
from tests.licensing.world import World, eur, refused


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
            earned = await earnings(conn, creator_id=case.creator, now=world.now)
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
