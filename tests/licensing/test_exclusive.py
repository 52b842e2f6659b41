"""What is one client's alone: pictures of the tier `exclusive`, and a style while a licence of that tier runs."""

import asyncio
import hashlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from licensing import gateway, plans
from licensing.errors import Refusal
from licensing.fingerprint import NEAR
from licensing.orders import Hold, Made, Settle, Settled
from licensing.plans import Allowance
from licensing.refunds import refund_output
from licensing.terms import Offer, StyleTerms
from tests.licensing.world import World, eur, new_id, refused

LOOKS = hashlib.sha256(b"a lighthouse").hexdigest()
"""A fingerprint with about half of its bits set, as pictures have."""
PRICE = 30_000


def like(bits: int, looks: str = LOOKS) -> str:
    """A fingerprint that differs in so many bits."""
    return f"{int(looks, 16) ^ ((1 << bits) - 1):064x}"


def picture(looks: str) -> Made:
    name = new_id("out")
    return Made(output_id=name, sha256=hashlib.sha256(name.encode()).hexdigest(), phash=looks, certificate=name)


async def made(world: World, style: StyleTerms, client: str, tier: str, *, count: int = 1, **given: Any) -> Hold:
    """An order whose pictures are drawn and not yet paid."""
    hold = await world.held(style, client, tier=tier, count=count, **given)
    await world.begin(hold)
    return hold


async def settle(world: World, hold: Hold, *looks: str) -> Any:
    async with world.pool.acquire() as conn:
        pictures = [picture(one) for one in looks]
        return await gateway.settle(conn, order_id=hold.order_id, fence=1, made=pictures, now=world.now)


async def sold(world: World, style: StyleTerms, client: str, tier: str, *looks: str) -> Any:
    return await settle(world, await made(world, style, client, tier, count=len(looks)), *looks)


@pytest.mark.parametrize("tier", ["draft", "personal", "commercial", "exclusive"])
async def test_what_was_sold_exclusively_is_sold_to_nobody_else(world: World, tier: str):
    style = await world.style()
    owner, other = await world.client(prepaid=2900), await world.client(prepaid=2900)
    assert isinstance(await sold(world, style, owner, "exclusive", LOOKS), Settled)

    hold = await made(world, style, other, tier)
    answer = refused(await settle(world, hold, like(NEAR)), "conflict")

    assert answer.detail["reason"] == "exclusive"
    assert (await world.usage(other)).prepaid_held == hold.amount
    await world.void(hold)
    assert (await world.usage(other)).prepaid == eur(2900)


async def test_only_the_pictures_that_are_taken_are_named(world: World):
    style = await world.style()
    owner, other = await world.client(prepaid=2900), await world.client(prepaid=2900)
    await sold(world, style, owner, "exclusive", LOOKS)
    hold = await made(world, style, other, "personal", count=3)
    pictures = [picture(looks) for looks in (like(NEAR + 1), LOOKS, like(100))]

    async with world.pool.acquire() as conn:
        answer = await gateway.settle(conn, order_id=hold.order_id, fence=1, made=pictures, now=world.now)
        rest = await gateway.settle(conn, order_id=hold.order_id, fence=1, made=pictures[::2], now=world.now)

    assert isinstance(answer, Refusal)
    assert answer.detail["outputs"] == [pictures[1].output_id]
    assert isinstance(rest, Settled)
    assert (rest.made, rest.amount) == (2, eur(120))


async def test_what_another_client_has_cannot_become_exclusive(world: World):
    style = await world.style()
    first, second = await world.client(prepaid=2900), await world.client(prepaid=2900)
    await sold(world, style, first, "personal", LOOKS)

    answer = refused(await sold(world, style, second, "exclusive", like(3)), "conflict")

    assert answer.detail["reason"] == "exclusive"


async def test_its_owner_may_have_more_of_the_same(world: World):
    style, owner = await world.style(), await world.client(prepaid=9000)
    await sold(world, style, owner, "draft", LOOKS)

    for tier in ("exclusive", "exclusive", "personal"):
        assert isinstance(await sold(world, style, owner, tier, like(2)), Settled)


async def test_other_styles_taken_back_sales_tests_and_single_colours_are_no_matter(world: World):
    style, elsewhere = await world.style(), await world.style()
    owner, other = await world.client(prepaid=9000), await world.client(prepaid=9000)
    await sold(world, style, owner, "exclusive", LOOKS)
    blank = "0" * 64
    await sold(world, style, owner, "exclusive", blank)

    assert isinstance(await sold(world, elsewhere, other, "personal", LOOKS), Settled)
    assert isinstance(await sold(world, style, other, "personal", blank), Settled)
    test_order = await made(world, style, other, "personal", test=True)
    assert isinstance(await settle(world, test_order, LOOKS), Settled)
    async with world.pool.acquire() as conn:
        output = await conn.fetchval("SELECT output_id FROM licensing.output WHERE style_id = $1", style.style_id)
        await refund_output(conn, output_id=output, reason="a mistake", by="acc_operator", now=world.now)
    assert isinstance(await sold(world, style, other, "personal", LOOKS), Settled)


@pytest.mark.parametrize("tiers", [("exclusive", "exclusive"), ("exclusive", "personal"), ("personal", "exclusive")])
async def test_of_two_that_are_sold_at_once_one_is_refused(world: World, tiers: tuple[str, str]):
    for _ in range(6):
        style = await world.style()
        holds = [await made(world, style, await world.client(prepaid=2900), tier) for tier in tiers]

        answers = await asyncio.gather(*(settle(world, hold, LOOKS) for hold in holds))

        assert Counter(type(answer) for answer in answers) == {Settled: 1, Refusal: 1}


async def test_sales_of_both_kinds_in_batches_never_wait_for_each_other(world: World):
    styles = [await world.style() for _ in range(3)]
    clients = [await world.client(prepaid=90_000) for _ in range(4)]
    rounds = []
    for number in range(12):
        client = clients[number % 4]
        tiers = ["exclusive", "personal", "commercial"]
        rounds.append([await made(world, style, client, tiers[(number + at) % 3]) for at, style in enumerate(styles)])

    async def settle_round(holds: list[Hold]) -> list[Any]:
        sales = [
            Settle(order_id=hold.order_id, fence=1, made=(picture(hashlib.sha256(hold.order_id.encode()).hexdigest()),))
            for hold in holds
        ]
        async with world.pool.acquire() as conn:
            return await gateway.settle_all(conn, sales, now=world.now)

    async with asyncio.timeout(30):
        answers = await asyncio.gather(
            *(settle_round(holds[::-1] if at % 2 else holds) for at, holds in enumerate(rounds))
        )

    assert all(isinstance(answer, Settled) for batch in answers for answer in batch)


async def with_window(world: World, **changes: Any) -> StyleTerms:
    """A style that may be had alone for three months, with ten pictures."""
    tiers = dict(world.prices.tiers)
    tiers["exclusive"] = replace(tiers["exclusive"], offer=Offer(price=eur(PRICE), units=10, months=3))
    return await world.style(tiers=tiers, **changes)


async def test_while_a_window_runs_nobody_else_orders_or_buys_a_licence(world: World):
    style = await with_window(world)
    owner, other = await world.client(prepaid=PRICE + 60), await world.client(prepaid=PRICE)
    window = await world.buy_licence(style, owner, "exclusive")
    assert isinstance(window, Allowance)

    for answer in (
        await world.reserve(style, other),
        await world.reserve(style, other, test=True),
        await world.buy_licence(style, other),
        await world.buy_licence(style, other, "exclusive"),
    ):
        no = refused(answer, "style_exclusive")
        assert f"{window.ends_at:%Y-%m-%d}" in no.message
    async with world.pool.acquire() as conn:
        quoted = await gateway.quote(
            conn, style_id=style.style_id, client_id=other, tier="draft", count=1, now=world.now
        )
        assert await plans.windows(conn, [style.style_id, "sty_none"], now=world.now) == {
            style.style_id: window.ends_at
        }
    refused(quoted, "style_exclusive")


async def test_who_has_the_window_orders_from_it_and_beside_it(world: World):
    style = await with_window(world)
    owner = await world.client(prepaid=PRICE + 60)
    await world.buy_licence(style, owner, "exclusive")

    alone, beside = await world.sold(style, owner, tier="exclusive"), await world.sold(style, owner)

    assert (alone.amount, alone.units, beside.amount) == (eur(0), 1, eur(60))


async def test_after_its_months_the_style_is_everybodys_again(world: World):
    style = await with_window(world)
    owner, other = await world.client(prepaid=PRICE), await world.client(prepaid=60)
    window = await world.buy_licence(style, owner, "exclusive")

    world.now = window.ends_at - timedelta(seconds=1)
    refused(await world.reserve(style, other), "style_exclusive")
    world.now = window.ends_at
    assert isinstance(await world.reserve(style, other), Hold)


async def test_a_pause_moves_the_date_that_others_are_told(world: World):
    style = await with_window(world)
    owner, other = await world.client(prepaid=PRICE), await world.client(prepaid=60)
    window = await world.buy_licence(style, owner, "exclusive")
    assert isinstance(window, Allowance)
    world.now = window.ends_at - timedelta(days=3)
    await world.set_level(style, "paused")
    world.later(days=20)

    async with world.pool.acquire() as conn:
        told = await plans.windows(conn, [style.style_id], now=world.now)
    refused(await world.reserve(style, other), "style_paused")
    await world.set_level(style, "live")

    assert told == {style.style_id: window.ends_at + timedelta(days=20)}
    answer = refused(await world.reserve(style, other), "style_exclusive")
    assert f"{told[style.style_id]:%Y-%m-%d}" in answer.message


async def test_a_window_waits_for_licences_and_orders_of_others_and_is_not_renewed(world: World):
    style = await with_window(world)
    owner = await world.client(prepaid=PRICE)
    holder, orderer = await world.client(prepaid=1200), await world.client(prepaid=60)
    licence = await world.buy_licence(style, holder)
    assert isinstance(licence, Allowance)
    hold = await world.held(style, orderer)

    with_licence = refused(await world.buy_licence(style, owner, "exclusive"), "conflict")
    assert f"{licence.ends_at:%Y-%m-%d}" in with_licence.message
    world.now = licence.ends_at
    refused(await world.buy_licence(style, owner, "exclusive"), "conflict")
    await world.void(hold)
    refused(await world.buy_licence(style, owner, "exclusive", renews=True), "invalid_request")
    assert isinstance(await world.buy_licence(style, owner, "exclusive"), Allowance)


async def test_a_licence_that_renews_keeps_the_style_open(world: World):
    style = await with_window(world)
    owner, holder = await world.client(prepaid=PRICE), await world.client(prepaid=2400)
    licence = await world.buy_licence(style, holder, renews=True)

    world.now = licence.ends_at + timedelta(minutes=1)

    refused(await world.buy_licence(style, owner, "exclusive"), "conflict")


async def test_a_style_without_such_an_offer_cannot_be_had_alone(world: World):
    style, client = await world.style(), await world.client(prepaid=PRICE)

    refused(await world.buy_licence(style, client, "exclusive"), "invalid_request")


async def test_off_in_a_window_gives_the_rest_back_and_on_opens_the_style(world: World):
    style = await with_window(world)
    owner, other = await world.client(prepaid=PRICE), await world.client(prepaid=60)
    window = await world.buy_licence(style, owner, "exclusive")
    world.now = window.starts_at + (window.ends_at - window.starts_at) / 2

    off = await world.set_level(style, "off")
    await world.set_level(style, "live")

    assert off.refunded == eur(PRICE // 2)
    assert (await world.usage(owner)).prepaid == eur(PRICE // 2)
    assert isinstance(await world.reserve(style, other), Hold)


async def test_of_clients_who_want_a_window_at_once_one_gets_it(world: World):
    style = await with_window(world)
    clients = [await world.client(prepaid=PRICE) for _ in range(8)]

    answers = await asyncio.gather(*(world.buy_licence(style, client, "exclusive") for client in clients))

    assert Counter(type(answer) for answer in answers) == {Allowance: 1, Refusal: 7}
    assert {answer.slug for answer in answers if isinstance(answer, Refusal)} == {"style_exclusive"}


async def test_an_order_and_a_window_at_once_never_both_happen(world: World):
    seen = Counter[str]()
    for _ in range(12):
        style = await with_window(world)
        owner, other = await world.client(prepaid=PRICE), await world.client(prepaid=60)

        window, order = await asyncio.gather(world.buy_licence(style, owner, "exclusive"), world.reserve(style, other))

        if isinstance(order, Hold):
            refused(window, "conflict")
        else:
            refused(order, "style_exclusive")
            assert isinstance(window, Allowance)
        seen[type(order).__name__] += 1
    assert seen.total() == 12
