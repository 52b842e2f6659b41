"""Plans that are tried, changed, paused, discounted, spent and not paid: what each costs whom, to the minor unit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from licensing import plans
from licensing.billing.coupons import Coupon, end_coupon, list_coupons, make_coupon
from licensing.billing.issuing import pay_invoice, unpaid_invoices
from licensing.errors import Refusal
from licensing.ledger import entries
from licensing.plans import Allowance
from licensing.prices import Plan, Trial
from tests.licensing.world import World, eur, new_id, refused

LARGE = Plan(
    id="large", name="Large", price=eur(9000), units=200, months=1, covers={"personal": 1, "draft": 1, "commercial": 2}
)


async def pause(world: World, client: str, days: int):
    async with world.pool.acquire() as conn:
        return await plans.pause(conn, client_id=client, until=world.now + timedelta(days=days), now=world.now)


async def resume(world: World, client: str):
    async with world.pool.acquire() as conn:
        return await plans.resume(conn, client_id=client, now=world.now)


async def retry(world: World, *allowances: Allowance) -> list[str]:
    """Tries again the renewals of these periods that are due."""
    async with world.pool.acquire() as conn:
        due = await plans.due_renewals(conn, now=world.now, limit=1000)
        return [
            await plans.retry_renewal(conn, one.id, now=world.now, new_id=new_id) for one in allowances if one.id in due
        ]


async def coupon(world: World, **given) -> Coupon:
    wanted = {"code": new_id("CPN").replace("_", "-"), "percent": 25, "periods": 2, "plan": None, "uses_most": None}
    async with world.pool.acquire() as conn:
        made = await make_coupon(conn, Coupon(**{**wanted, "expires_at": None} | given), by="acc_office", now=world.now)
    assert isinstance(made, Coupon), made
    return made


# Changing


async def test_a_dearer_plan_at_once_costs_its_price_less_what_is_not_used_and_not_gone_by(world: World):
    world.now = datetime(2025, 11, 1, tzinfo=UTC)
    style, client = await world.style(), await world.client(prepaid=20_000)
    old = await world.subscribe(client)
    await world.sold(style, client, count=10)
    world.later(days=15)

    new = await world.change(client, LARGE)

    assert isinstance(new, Allowance)
    assert (new.name, new.left, new.starts_at, new.ends_at) == (
        "large",
        200,
        world.now,
        datetime(2025, 12, 16, tzinfo=UTC),
    )
    assert (await world.usage(client)).prepaid == eur(20_000 - 4900 - 9000 + 2450)
    assert await world.balance(f"deferred:{old.id}:EUR") == 0


@pytest.mark.parametrize(("percent", "used", "days"), [(0, 10, 15), (25, 3, 7), (0, 90, 1), (100, 0, 3)])
async def test_what_a_change_would_give_back_is_told_to_the_cent_before_it(
    world: World, percent: int, used: int, days: int
):
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.tax(client, 1900)
    code = (await coupon(world, percent=percent)).code if percent else None
    old = await world.subscribe(client, coupon=code)
    if used:
        await world.sold(style, client, count=used)
    world.later(days=days, minutes=7)
    before = (await world.usage(client)).prepaid

    async with world.pool.acquire() as conn:
        back = await plans.back_for(conn, old.id, now=world.now)
        tax = await plans.tax_for(conn, client, LARGE.price)
    assert (await world.usage(client)).prepaid == before, "asking changes nothing"
    await world.change(client, LARGE)

    assert (await world.usage(client)).prepaid == before + back - LARGE.price - tax
    assert tax == eur(1710)
    assert (back == eur(0)) is (percent == 100)


async def test_a_plan_can_be_tried_only_by_who_never_had_one(world: World):
    client = await world.client(prepaid=20_000)
    async with world.pool.acquire() as conn:
        assert not await plans.had_plan(conn, client)
    await world.subscribe(client, is_trial=True)
    async with world.pool.acquire() as conn:
        assert await plans.had_plan(conn, client)
        assert await plans.next_try(conn, client) is None


async def test_whoever_used_all_of_a_plan_gets_nothing_back_for_changing_it(world: World):
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.subscribe(client)
    await world.sold(style, client, count=100)

    await world.change(client, LARGE)

    assert (await world.usage(client)).prepaid == eur(20_000 - 4900 - 9000)


async def test_on_the_last_day_next_to_nothing_of_a_plan_is_left_to_get_back(world: World):
    world.now = datetime(2025, 11, 1, tzinfo=UTC)
    client = await world.client(prepaid=20_000)
    await world.subscribe(client)
    world.now = datetime(2025, 11, 30, tzinfo=UTC)

    await world.change(client, LARGE)

    assert (await world.usage(client)).prepaid == eur(20_000 - 4900 - 9000 + 163)


async def test_a_change_that_is_not_paid_changes_nothing(world: World):
    client = await world.client(prepaid=5000)
    old = await world.subscribe(client)

    answer = await world.change(client, LARGE)

    assert refused(answer, "payment_required").detail["available"] == 100 + 4900
    usage = await world.usage(client)
    assert ([one.id for one in usage.allowances], usage.prepaid, usage.left) == ([old.id], eur(100), 100)


async def test_a_plan_is_not_changed_under_the_pictures_that_are_made_from_it(world: World):
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.subscribe(client)
    hold = await world.held(style, client)

    refused(await world.change(client, LARGE), "conflict")
    await world.void(hold)
    assert isinstance(await world.change(client, LARGE), Allowance)


async def test_a_cheaper_plan_follows_at_the_renewal(world: World):
    client = await world.client(prepaid=20_000)
    await world.subscribe(client)
    small = replace(LARGE, id="small", price=eur(1000), units=10)

    changed = await world.change(client, small, at_once=False)
    assert (changed.name, changed.next_plan) == ("studio", "small")
    world.now = changed.ends_at
    await world.roll_over()

    async with world.pool.acquire() as conn:
        now_is = await plans.current_plan(conn, client_id=client, now=world.now)
    assert (now_is.name, now_is.left, now_is.next_plan) == ("small", 10, None)
    assert (await world.usage(client)).prepaid == eur(20_000 - 4900 - 1000)


async def test_changing_to_and_fro_all_month_earns_nothing(world: World):
    style, client = await world.style(), await world.client(prepaid=100_000)
    await world.subscribe(client)
    for plan in (LARGE, world.prices.plans["studio"]) * 10:
        world.later(days=1)
        await world.sold(style, client, count=3)
        await world.change(client, plan)

    spent = 100_000 - (await world.usage(client)).prepaid.amount
    earned = await world.balance(f"payable:{style.creator_id}:EUR")
    assert spent > earned > 0
    assert spent >= 60 * 45 + 4900 - 45


# Trying


async def test_a_trial_costs_the_client_nothing_and_the_creator_gets_the_plans_price(world: World):
    style, client = await world.style(fee_bps=1500), await world.client()

    trial = await world.subscribe(client, is_trial=True)
    sale = await world.sold(style, client)

    assert (trial.is_trial, trial.left, trial.ends_at - trial.starts_at) == (True, 10, timedelta(days=14))
    assert (sale.share, sale.fee) == (eur(42), eur(7))
    assert (await world.usage(client)).prepaid == eur(0)


async def test_a_trial_becomes_the_plan_or_ends(world: World):
    rich, poor = await world.client(prepaid=4900), await world.client()
    trials = [await world.subscribe(client, is_trial=True) for client in (rich, poor)]
    world.now = trials[0].ends_at
    await world.roll_over()

    async with world.pool.acquire() as conn:
        now_is = [await plans.current_plan(conn, client_id=client, now=world.now) for client in (rich, poor)]
    assert (now_is[0].name, now_is[0].left, now_is[0].is_trial, now_is[1]) == ("studio", 100, False, None)
    async with world.pool.acquire() as conn:
        promo = await entries(conn, "promo:operator:EUR", limit=10_000)
    for trial in trials:
        amounts = [entry.amount for entry in promo if entry.subject == trial.id]
        assert amounts == [-490, 490], "what nobody used was never spent"
    assert await retry(world, *trials) == [], "nobody is dunned for what was only tried"


async def test_a_plan_is_tried_once_and_only_where_that_is_offered(world: World):
    client = await world.client()
    never = refused(await world.subscribe(client, plan=LARGE, is_trial=True), "invalid_request")
    assert "cannot be tried" in never.message

    await world.subscribe(client, is_trial=True)
    world.later(days=15)
    await world.roll_over()

    again = await world.subscribe(client, plan=replace(LARGE, trial=Trial(units=5, days=5)), is_trial=True)
    assert "once" in refused(again, "conflict").message


# Discounts


async def test_a_coupon_takes_off_what_the_operator_adds(world: World):
    style, client = await world.style(fee_bps=1500), await world.client(prepaid=20_000)
    await world.tax(client, 1900)
    code = (await coupon(world, percent=50, periods=2)).code

    plan = await world.subscribe(client, coupon=code.lower())
    sale = await world.sold(style, client)

    assert (plan.price, plan.discount, plan.tax) == (eur(4900), eur(2450), eur(466))
    assert (sale.share, sale.fee) == (eur(42), eur(7)), "the creator earns as if there were no coupon"
    paid = []
    for _ in range(2):
        world.now = plan.ends_at
        await world.roll_over()
        async with world.pool.acquire() as conn:
            plan = await plans.current_plan(conn, client_id=client, now=world.now)
        paid.append(plan.price.amount - plan.discount.amount)
    assert paid == [2450, 4900]


async def test_a_quote_with_a_coupon_is_what_is_charged_and_uses_nothing_up(world: World):
    client = await world.client(prepaid=20_000)
    await world.tax(client, 1900)
    code = (await coupon(world, percent=33, periods=3, uses_most=1)).code
    plan = world.prices.plans["studio"]

    async with world.pool.acquire() as conn:
        asked = {"client_id": client, "plan": plan, "coupon": code.lower(), "now": world.now}
        quotes = [await plans.quote(conn, **asked) for _ in range(2)]
        unknown = await plans.quote(conn, **asked | {"coupon": "NO-SUCH"})
    bought = await world.subscribe(client, coupon=code)
    async with world.pool.acquire() as conn:
        used = await plans.quote(conn, **asked)

    assert quotes == [plans.Discounted(code=code, discount=eur(1617), tax=eur(624), periods=3)] * 2
    assert (bought.discount, bought.tax) == (eur(1617), eur(624))
    refused(unknown, "not_found")
    assert "as often as it may" in refused(used, "conflict").message


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"uses_most": 1}, "as often as it may"),
        ({"plan": "large"}, "for plan large"),
        ({"expires_at": datetime(2025, 11, 3, 12, tzinfo=UTC)}, "is over"),
    ],
)
async def test_a_coupon_that_does_not_hold_says_why(world: World, given: dict, says: str):
    code = (await coupon(world, **given)).code
    first, client = await world.client(prepaid=5000), await world.client(prepaid=5000)
    await world.subscribe(first, coupon=code)

    answer = await world.subscribe(client, coupon=code)

    assert says in refused(answer, "conflict").message
    assert (await world.usage(client)).prepaid == eur(5000)


async def test_a_coupon_is_used_once_by_each_client_and_not_by_who_could_not_pay(world: World):
    code = (await coupon(world)).code
    poor, client = await world.client(prepaid=1), await world.client(prepaid=20_000)
    refused(await world.subscribe(poor, coupon=code), "payment_required")
    first = await world.subscribe(client, coupon=code, renews=False)
    world.now = first.ends_at
    await world.roll_over()

    assert "by you" in refused(await world.subscribe(client, coupon=code), "conflict").message
    refused(await world.subscribe(client, coupon="NO-SUCH"), "not_found")
    async with world.pool.acquire() as conn:
        assert await end_coupon(conn, code, now=world.now)
        assert not await end_coupon(conn, code, now=world.now)
        assert [(one.uses, one.ended_at) for one in await list_coupons(conn) if one.code == code] == [(1, world.now)]


@pytest.mark.parametrize("given", [{"code": "ab"}, {"percent": 0}, {"percent": 101}, {"periods": 37}, {"uses_most": 0}])
async def test_a_coupon_that_cannot_be_is_refused(world: World, given: dict):
    wanted = {"code": "SPRING-26", "percent": 25, "periods": 2, "plan": None, "uses_most": None, "expires_at": None}
    async with world.pool.acquire() as conn:
        answer = await make_coupon(conn, Coupon(**wanted | given), by="acc_office", now=world.now)

    assert isinstance(answer, Refusal)
    assert answer.slug == "invalid_request"


async def test_what_is_taken_back_of_a_discounted_plan_is_what_its_client_paid_of_it(world: World):
    style, trying, client = await world.style(), await world.client(), await world.client(prepaid=20_000)
    await world.subscribe(trying, is_trial=True)
    await world.subscribe(client, coupon=(await coupon(world, percent=50)).code)
    sales = [await world.sold(style, one) for one in (trying, client)]

    back = [await world.refund(f"out_{sale.order_id}_0") for sale in sales]

    assert [one.amount for one in back] == [eur(0), eur(24)]
    assert await world.balance(f"payable:{style.creator_id}:EUR") == 0


# Pausing


async def test_a_paused_plan_ends_as_much_later_and_pays_nothing_meanwhile(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    plan = await world.subscribe(client)
    await pause(world, client, days=30)

    refused(await world.reserve(style, client), "payment_required")
    world.later(days=20)
    assert plan.id not in await world.roll_over()
    running = await resume(world, client)

    assert running.ends_at == plan.ends_at + timedelta(days=20)
    assert (await world.held(style, client)).pay == "plan"
    refused(await resume(world, client), "conflict")


async def test_a_pause_lasts_no_longer_than_it_was_to(world: World):
    client = await world.client(prepaid=4900)
    plan = await world.subscribe(client)
    await pause(world, client, days=10)
    world.later(days=40)

    async with world.pool.acquire() as conn:
        assert client in await plans.due_resumptions(conn, now=world.now)
    await resume(world, client)

    async with world.pool.acquire() as conn:
        running = await plans.current_plan(conn, client_id=client, now=plan.ends_at + timedelta(days=9))
    assert (running.id, running.ends_at) == (plan.id, plan.ends_at + timedelta(days=10))


async def test_what_cannot_be_paused_says_so(world: World):
    nobody, trying = await world.client(), await world.client()
    await world.subscribe(trying, is_trial=True)

    for client in (nobody, trying):
        refused(await pause(world, client, days=3), "conflict")
    refused(await pause(world, trying, days=0), "invalid_request")


# Beyond the quota


async def test_beyond_the_quota_nothing_is_made_on_account_unless_its_client_wants_that(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    await world.subscribe(client)
    await world.sold(style, client, count=100)

    refused(await world.reserve(style, client), "quota_exceeded")
    await world.cap_overage(client, 120)
    sale = await world.sold(style, client, count=2)

    assert (sale.amount, await world.balance(f"receivable:{client}:EUR")) == (eur(120), -120)
    refused(await world.reserve(style, client), "quota_exceeded")


async def test_what_came_on_account_is_invoiced_and_paid(world: World):
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.tax(client, 1900)
    await world.subscribe(client)
    await world.cap_overage(client, 1000)
    await world.sold(style, client, count=100)
    await world.sold(style, client, count=3)

    (paper,) = await world.invoice(client)

    assert (paper.net, paper.tax, paper.due) == (eur(4900 + 180), eur(965), eur(214))
    assert paper.due_on == (world.now + timedelta(days=14)).date()
    async with world.pool.acquire() as conn, conn.transaction():
        assert [one.number for one in await unpaid_invoices(conn, client_id=client)] == [paper.number]
        assert await pay_invoice(conn, paper.number, now=world.now)
        assert await unpaid_invoices(conn, client_id=client) == []
        assert await pay_invoice(conn, paper.number, now=world.now), "again is not paid again"
    assert await world.balance(f"receivable:{client}:EUR") == 0


async def test_an_overdue_invoice_ends_what_comes_on_account(world: World):
    style, client = await world.style(), await world.client(prepaid=2 * 4900)
    await world.subscribe(client)
    await world.cap_overage(client, 1000)
    await world.sold(style, client, count=100)
    await world.sold(style, client)
    await world.invoice(client)
    world.later(days=15)

    refused(await world.reserve(style, client, count=200), "quota_exceeded")
    refused(await world.cap_overage(client, 500), "conflict")
    assert isinstance(await world.cap_overage(client, 0), Allowance)


async def test_a_cap_cannot_be_more_than_the_operator_allows(world: World):
    client = await world.client(prepaid=4900)
    refused(await world.cap_overage(client, 100), "conflict")
    await world.subscribe(client)

    refused(await world.cap_overage(client, 20_001), "invalid_request")
    refused(await world.cap_overage(client, -1), "invalid_request")


async def test_a_keys_cap_counts_what_comes_on_account(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    key = await world.key(client, cap=60)
    await world.subscribe(client)
    await world.cap_overage(client, 1000)
    await world.sold(style, client, count=100)

    await world.sold(style, client, key_id=key.id)

    refused(await world.reserve(style, client, key_id=key.id), "spend_cap_reached")


# Free pictures


async def test_free_drafts_are_paid_to_their_creator_by_the_operator(world: World):
    style, client = await world.style(fee_bps=1500), await world.client()
    async with world.pool.acquire() as conn:
        grant = {"client_id": client, "free": world.prices.free, "now": world.now, "new_id": new_id}
        assert await plans.grant_free(conn, **grant)
        assert not await plans.grant_free(conn, **grant)

    sale = await world.sold(style, client, tier="draft", count=2)

    assert (sale.amount, sale.share, sale.fee) == (eur(0), eur(8), eur(2))
    refused(await world.reserve(style, client, tier="draft", count=19), "quota_exceeded")
    world.later(days=31)
    await world.roll_over()
    assert (await world.held(style, client, tier="draft", count=20)).pay == "free"


# Renewals that find no money


async def test_a_renewal_that_finds_no_money_is_tried_again_and_then_given_up(world: World):
    client = await world.client(prepaid=5000)
    plan = await world.subscribe(client)
    world.now = plan.ends_at
    await world.roll_over()

    said = []
    for days in (0, 1, 1, 2, 4):
        world.later(days=days)
        said += await retry(world, plan)

    assert said == ["waiting", "waiting", "given_up"]
    await world.credit(client, 10_000)
    assert await retry(world, plan) == []


async def test_money_that_comes_while_a_renewal_waits_renews_at_once_and_from_then_on(world: World):
    client = await world.client(prepaid=4900)
    plan = await world.subscribe(client)
    world.now = plan.ends_at
    await world.roll_over()
    world.later(hours=30)
    await world.credit(client, 4900)

    assert await retry(world, plan) == ["paid"]

    async with world.pool.acquire() as conn:
        now_is = await plans.current_plan(conn, client_id=client, now=world.now)
    assert (now_is.starts_at, now_is.left) == (world.now, 100)


async def test_whoever_subscribes_anew_is_not_renewed_as_well(world: World):
    client = await world.client(prepaid=4900)
    plan = await world.subscribe(client)
    world.now = plan.ends_at
    await world.roll_over()
    await world.credit(client, 2 * 9000)
    await world.subscribe(client, plan=LARGE)

    assert await retry(world, plan) == []


# Floors


async def test_no_plan_pays_for_a_style_whose_floor_its_units_do_not_reach(world: World):
    tiers = {
        name: replace(tier, floor=tier.price.amount) for name, tier in world.prices.tiers.items() if not tier.offer
    }
    tiers |= {"personal": replace(world.prices.tiers["personal"], floor=60, offer=None)}
    style, client = await world.style(tiers=tiers), await world.client(prepaid=6000)
    await world.subscribe(client)

    hold = await world.held(style, client)

    assert (hold.pay, hold.amount) == ("prepaid", eur(60))
