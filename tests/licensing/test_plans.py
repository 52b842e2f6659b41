"""Plans and one-style licences: who pays first, what a unit is worth, what comes back and what does not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from licensing import gateway, plans
from licensing.ledger import entries
from licensing.money import split
from licensing.orders import Hold
from licensing.plans import Allowance
from tests.licensing.world import World, eur, new_id, refused


async def roll_over(world: World) -> list[str]:
    async with world.pool.acquire() as conn:
        due = await plans.due_periods(conn, now=world.now)
        return [one.id for one in due if await plans.roll_over(conn, one, now=world.now, new_id=new_id)]


async def end_renewal(world: World, client: str, allowance: Allowance):
    async with world.pool.acquire() as conn:
        return await plans.end_renewal(conn, client_id=client, allowance_id=allowance.id)


async def test_a_plan_is_paid_with_prepaid_money(world: World):
    poor, rich = await world.client(prepaid=4899), await world.client(prepaid=5000)

    refused(await world.subscribe(poor), "payment_required")
    plan = await world.subscribe(rich)

    assert (plan.kind, plan.name, plan.left, plan.ends_at) == (
        "plan",
        "studio",
        100,
        datetime(2025, 12, 3, 12, tzinfo=UTC),
    )
    assert (await world.usage(rich)).prepaid == eur(100)
    assert await world.balance(f"deferred:{plan.id}:EUR") == 4900


async def test_subscribing_twice_is_one_subscription(world: World):
    client = await world.client(prepaid=9800)
    first = await world.subscribe(client)

    again = await world.subscribe(client, renews=False)
    other = await world.subscribe(client, plan=replace(world.prices.plans["studio"], id="large"))

    assert (again.id, again.renews) == (first.id, False)
    assert "studio" in refused(other, "conflict").message
    assert (await world.usage(client)).prepaid == eur(4900)


async def test_a_plan_pays_before_prepaid_money_does(world: World):
    style, client = await world.style(), await world.client(prepaid=5900)
    await world.subscribe(client)

    hold = await world.held(style, client, count=4)

    assert (hold.pay, hold.amount, hold.units) == ("plan", eur(0), 4)
    usage = await world.usage(client)
    assert (usage.held, usage.left, usage.prepaid) == (4, 96, eur(1000))


async def test_money_pays_for_what_a_plan_does_not_cover_or_has_no_units_for(world: World):
    style, client = await world.style(), await world.client(prepaid=14_900)
    plan = replace(world.prices.plans["studio"], id="small", units=2)
    await world.subscribe(client, plan=plan)

    exclusive = await world.held(style, client, tier="exclusive")
    many = await world.held(style, client, count=3)
    few = await world.held(style, client, count=2)

    assert [hold.pay for hold in (exclusive, many, few)] == ["prepaid", "prepaid", "plan"]


async def test_a_spent_plan_without_money_is_a_quota_exceeded(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    await world.subscribe(client)
    await world.held(style, client, count=99)

    answer = await world.reserve(style, client, count=2)

    assert refused(answer, "quota_exceeded").detail["left"] == 1


async def test_the_units_of_a_plan_are_worth_exactly_its_price(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=1000)
    plan = replace(world.prices.plans["studio"], id="odd", price=eur(1000), units=7)
    allowance = await world.subscribe(client, plan=plan)

    sales = [await world.sold(style, client, count=count) for count in (1, 3, 2, 1)]

    assert sum(sale.share.amount + sale.fee.amount for sale in sales) == 1000
    assert await world.balance(f"deferred:{allowance.id}:EUR") == 0
    assert await world.balance(f"units:{allowance.id}:unit") == 0
    assert await world.balance(f"taken:{style.style_id}:unit") == 7


async def test_a_plan_that_was_not_used_up_leaves_the_rest_to_the_operator(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    allowance = await world.subscribe(client, renews=False)
    await world.sold(style, client, count=10)
    world.later(days=31)

    assert allowance.id in await roll_over(world)

    async with world.pool.acquire() as conn:
        ended = [entry for entry in await entries(conn, "fee:operator:EUR") if entry.subject == allowance.id]
    assert [(entry.kind, entry.amount) for entry in ended] == [("plan_end", 4900 - 490)]
    assert await world.balance(f"deferred:{allowance.id}:EUR") == 0
    async with world.pool.acquire() as conn:
        assert await plans.current_plan(conn, client_id=client, now=world.now) is None
    refused(await world.reserve(style, client), "payment_required")


async def test_a_plan_renews_on_the_same_day_of_the_month(world: World):
    world.now = datetime(2025, 1, 31, 9, tzinfo=UTC)
    client = await world.client(prepaid=4 * 4900)
    first = await world.subscribe(client)
    ends = [first.ends_at]

    for _ in range(2):
        world.now = ends[-1]
        await roll_over(world)
        async with world.pool.acquire() as conn:
            ends.append((await plans.current_plan(conn, client_id=client, now=world.now)).ends_at)

    assert [end.strftime("%m-%d") for end in ends] == ["02-28", "03-31", "04-30"]
    assert (await world.usage(client)).left == 100


async def test_nobody_pays_for_months_in_which_nothing_ran(world: World):
    client = await world.client(prepaid=4 * 4900)
    await world.subscribe(client)
    world.later(days=100)

    await roll_over(world)

    assert (await world.usage(client)).prepaid == eur(2 * 4900)
    async with world.pool.acquire() as conn:
        assert (await plans.current_plan(conn, client_id=client, now=world.now)).starts_at == world.now


async def test_a_plan_without_money_for_the_next_month_ends(world: World):
    client = await world.client(prepaid=5000)
    await world.subscribe(client)
    world.later(days=31)

    await roll_over(world)

    usage = await world.usage(client)
    assert (usage.allowances, usage.prepaid) == ((), eur(100))


async def test_a_plan_whose_renewal_ended_runs_to_its_end(world: World):
    client, stranger = await world.client(prepaid=9800), await world.client()
    plan = await world.subscribe(client)

    refused(await end_renewal(world, stranger, plan), "not_found")
    ended = await end_renewal(world, client, plan)

    assert (ended.renews, ended.state) == (False, "active")
    world.later(days=31)
    await roll_over(world)
    assert (await world.usage(client)).allowances == ()
    refused(await end_renewal(world, client, plan), "conflict")


async def test_an_order_open_over_the_end_of_a_period_is_still_paid_by_it(world: World):
    style, client = await world.style(), await world.client(prepaid=9800)
    first = await world.subscribe(client)
    hold = await world.held(style, client, count=2)
    world.later(days=31)

    await roll_over(world)
    await world.begin(hold)
    await world.settle(hold)
    await roll_over(world)

    assert await world.balance(f"deferred:{first.id}:EUR") == 0
    assert (await world.usage(client)).left == 100


async def test_a_licence_pays_for_its_style_before_the_plan(world: World):
    style, other = await world.style(), await world.style()
    client = await world.client(prepaid=4900 + 1200)
    await world.subscribe(client)
    licence = await world.buy_licence(style, client)

    assert (licence.kind, licence.tier, licence.left) == ("licence", "personal", 30)
    assert (await world.held(style, client)).pay == "licence"
    assert (await world.held(other, client)).pay == "plan"
    assert (await world.held(style, client, tier="commercial")).pay == "plan"


async def test_buying_a_licence_twice_is_one_licence(world: World):
    style, client = await world.style(), await world.client(prepaid=5000)
    first = await world.buy_licence(style, client)

    again = await world.buy_licence(style, client, renews=True)

    assert (again.id, again.renews) == (first.id, True)
    async with world.pool.acquire() as conn:
        assert [found.id for found in await plans.licences(conn, client_id=client)] == [first.id]


async def test_licences_that_cannot_be_bought_say_why(world: World):
    style, client = await world.style(), await world.client(prepaid=100)

    refused(await world.buy_licence(style, client), "payment_required")
    refused(await world.buy_licence(style, client, tier="draft"), "invalid_request")
    refused(await world.buy_licence(style, client, tier="gold"), "invalid_request")
    refused(await world.buy_licence(replace(style, style_id="sty_none"), client), "not_found")


@pytest.mark.parametrize(
    ("level", "slug"),
    [("closed", "style_closed"), ("paused", "style_paused"), ("wind_down", "style_closed"), ("off", "style_off")],
)
async def test_licences_are_not_sold_when_the_switch_says_no(world: World, level: str, slug: str):
    style, client = await world.style(), await world.client(prepaid=5000)
    await world.set_level(style, level)

    refused(await world.buy_licence(style, client), slug)


async def test_off_refunds_the_unused_part_of_a_licence_by_time(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=1200)
    licence = await world.buy_licence(style, client)
    await world.sold(style, client, count=3)
    length = licence.ends_at - licence.starts_at
    world.now = licence.starts_at + length / 3

    change = await world.set_level(style, "off")

    assert change.refunded == eur(800)
    assert (await world.usage(client)).prepaid == eur(800)
    pictures, rest = 3 * 40, 1200 - 800 - 3 * 40
    shares = [split(40, [8500, 1500])[0]] * 3 + [split(rest, [8500, 1500])[0]]
    assert pictures + rest == 400
    assert await world.balance(f"payable:{style.creator_id}:EUR") == sum(shares)
    assert await world.balance(f"deferred:{licence.id}:EUR") == 0


async def test_off_does_not_refund_what_pictures_were_made_for(world: World):
    style, client = await world.style(), await world.client(prepaid=1200)
    await world.buy_licence(style, client)
    await world.sold(style, client, count=29)

    change = await world.set_level(style, "off")

    assert change.refunded == eur(40)


async def test_an_order_on_a_licence_is_voided_before_the_licence_is_refunded(world: World):
    style, client = await world.style(), await world.client(prepaid=1200)
    await world.buy_licence(style, client)
    await world.held(style, client, count=5)

    change = await world.set_level(style, "off", style_id=None)

    assert (change.voided, change.refunded) == (1, eur(1200))
    assert (await world.usage(client)).prepaid == eur(1200)


async def test_the_clock_of_a_licence_stops_while_the_style_is_paused(world: World):
    style, client = await world.style(), await world.client(prepaid=1200)
    licence = await world.buy_licence(style, client)
    world.later(days=10)
    await world.set_level(style, "paused")
    world.later(days=100)
    assert licence.id not in await roll_over(world)

    await world.set_level(style, "live")

    (running,) = (await world.usage(client)).allowances
    assert (running.ends_at - licence.ends_at).days == 100
    assert isinstance(await world.held(style, client), Hold)


async def test_a_refund_after_a_pause_counts_only_the_time_that_ran(world: World):
    style, client = await world.style(), await world.client(prepaid=1200)
    licence = await world.buy_licence(style, client)
    world.now += (licence.ends_at - licence.starts_at) / 2
    await world.set_level(style, "paused")
    world.later(days=10)

    change = await world.set_level(style, "off")

    assert change.refunded == eur(600)


async def test_a_licence_that_ran_out_pays_its_creator_the_rest(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=1200)
    await world.buy_licence(style, client)
    world.later(days=40)

    await roll_over(world)

    assert await world.balance(f"payable:{style.creator_id}:EUR") == 1020


async def test_a_licence_renews_only_while_its_style_is_for_sale(world: World):
    kept, closing = await world.style(), await world.style()
    client = await world.client(prepaid=10_000)
    for style in (kept, closing):
        await world.buy_licence(style, client, renews=True)
    await world.set_level(closing, "wind_down")
    world.later(days=30)

    await roll_over(world)

    assert [found.style_id for found in (await world.usage(client)).allowances] == [kept.style_id]


async def test_a_quote_says_that_a_quota_would_pay(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    await world.subscribe(client)

    async with world.pool.acquire() as conn:
        quote = await gateway.quote(
            conn, style_id=style.style_id, client_id=client, tier="personal", count=2, now=world.now
        )

    assert (quote.amount, quote.units, quote.pay) == (eur(0), 2, "plan")


async def test_a_licence_keeps_the_terms_it_was_bought_under(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=20_000)
    await world.buy_licence(style, client, renews=True)
    dearer = {name: replace(tier, use="other words") for name, tier in style.tiers.items()}
    later = await world.style(style.creator_id, style_id=style.style_id, tiers=dearer, fee_bps=4000)

    held, own = await world.held(style, client), await world.held(style, client, tier="commercial")

    assert (held.pay, held.terms_version) == ("licence", style.version)
    assert (own.pay, own.terms_version) == ("prepaid", later.version)
    await world.begin(held)
    sale = await world.settle(held)
    assert sale.fee.amount == pytest.approx(0.15 * (sale.fee.amount + sale.share.amount), abs=1)


async def test_a_licence_of_a_tier_that_is_no_longer_sold_serves_to_its_end(world: World):
    style, client, stranger = await world.style(), await world.client(prepaid=20_000), await world.client(prepaid=999)
    allowance = await world.buy_licence(style, client)
    rest = {name: tier for name, tier in style.tiers.items() if name != "personal"}
    await world.style(style.creator_id, style_id=style.style_id, tiers=rest)

    hold = await world.held(style, client, count=allowance.left - 1)

    assert (hold.pay, hold.terms_version) == ("licence", style.version)
    async with world.pool.acquire() as conn:
        order = {"style_id": style.style_id, "client_id": client, "tier": "personal", "now": world.now}
        quoted = await gateway.quote(conn, **order, count=1)
        too_many = await gateway.quote(conn, **order, count=2)
    assert (quoted.pay, quoted.amount, quoted.terms_version) == ("licence", eur(0), style.version)
    for answer in (too_many, await world.reserve(style, client, count=2)):
        assert refused(answer, "quota_exceeded").detail["left"] == 1
    refused(await world.reserve(style, stranger), "invalid_request")
    world.later(days=40)
    refused(await world.reserve(style, client), "invalid_request")
