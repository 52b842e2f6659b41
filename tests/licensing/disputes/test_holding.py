"""Opening a dispute: its share is held while it runs, once and by its own parties."""

from dataclasses import replace
from typing import Any

import pytest

from licensing.docket import Dispute
from tests.licensing.disputes.case import Case, case_of
from tests.licensing.paying import SHARE, end, opened, sums
from tests.licensing.world import World, eur, refused


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
