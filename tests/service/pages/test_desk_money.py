"""A client's money on one page: every form does what it says it will, to the cent, or says why not."""

from datetime import timedelta
from typing import Any

import pytest

from licensing import plans
from licensing.billing import coupons
from service import invoicing
from service.ids import new_id
from tests.service.market import Market, MovableClock, prepaid
from tests.service.pages.conftest import Seat, Sit, words_of

STUDIO_COST = 4900 + 931
LARGE_COST = 9000 + 1710


@pytest.fixture
async def seat(market: Market, sit: Sit) -> Seat:
    """A client with EUR 300.00."""
    return await sit(await market.client(cents=30_000))


def agreed(html: str, plan: str) -> str:
    """What the form that changes to a plan sends back as the sums that were seen."""
    return html.split(f'name="plan" value="{plan}"')[1].split('name="agreed" value="')[1].split('"')[0]


async def test_who_has_nothing_yet_reads_what_there_is_to_have(seat: Seat):
    text = await seat.read("/desk/money")

    assert "EUR 300.00 free to spend" in text
    assert "EUR 49.00 a month and EUR 9.31 VAT" in text
    assert "Subscribe for EUR 58.31" in text
    assert "Try it for 14 days" in text
    assert "At the beginning of each month comes an invoice" in text
    assert "You pay 19 % VAT." in text
    assert "due on" not in text


async def test_a_plan_is_bought_for_the_sum_on_its_button(seat: Seat):
    answer = await seat.send("/desk/money/plan", plan="studio", renews="yes", coupon="")

    text = await seat.read(answer.headers["location"])
    assert await prepaid(seat.person) == (30_000 - STUDIO_COST, 0)
    assert "The plan runs" in text
    assert "0 of 100 used" in text
    assert "It is renewed for EUR 49.00 before tax." in text
    assert "EUR 58.31, of it EUR 9.31 VAT" in text
    assert "Subscribe" not in text


async def test_what_a_plan_paid_is_said_in_its_units(market: Market, seat: Seat):
    await seat.send("/desk/money/plan", plan="studio", renews="yes", coupon="")

    order = (await market.order(seat.person, wait=60, count=2)).json()

    assert order["state"] == "settled", order
    per_picture = (await seat.person.http.get("/v1/usage")).json()["allowances"][0]["used"] // 2
    assert f"{2 * per_picture} units of your plan" in await seat.read("/desk/history")
    assert f"Charged {2 * per_picture} units of your plan" in await seat.read(f"/desk/orders/{order['id']}")
    one = "1 unit" if per_picture == 1 else f"{per_picture} units"
    assert f"Paid {one} of your plan" in await seat.read(f"/desk/outputs/{order['outputs'][0]['id']}")


async def test_a_coupon_that_is_none_and_a_purse_that_is_empty_are_told_on_the_page(market: Market, sit: Sit):
    seat = await sit(await market.client(cents=100))

    wrong = await seat.send("/desk/money/plan", plan="studio", renews="yes", coupon="NO-SUCH")
    poor = await seat.send("/desk/money/plan", plan="studio", renews="yes")
    unknown = await seat.send("/desk/money/plan", plan="golden")

    assert (wrong.status_code, poor.status_code, unknown.status_code) == (404, 402, 422)
    assert "There is no coupon NO-SUCH" in words_of(wrong.text)
    assert "This costs 58.31 EUR and 1.00 EUR of prepaid money is free" in words_of(poor.text)
    assert "There is no plan 'golden'" in words_of(unknown.text)
    assert await prepaid(seat.person) == (100, 0)


async def test_a_coupon_changes_the_sums_before_the_press_and_the_button(market: Market, seat: Seat, sit: Sit):
    code = await coupon(market, percent=75, periods=3)
    typed = {"plan": "studio", "renews": "yes", "coupon": code.lower()}

    seen = await seat.send("/desk/money/plan", **typed, do="price")
    unseen = await seat.send("/desk/money/plan", **typed, agreed=f"{STUDIO_COST} 0 EUR")
    before = await prepaid(seat.person)
    form = seen.text.split('name="plan" value="studio"')[1]
    sums = form.split('name="agreed" value="')[1].split('"')[0]
    bought = await seat.send("/desk/money/plan", **typed, agreed=sums)
    plan = (await seat.person.http.get("/v1/subscription")).json()["allowance"]

    text = words_of(seen.text)
    assert seen.status_code == 200
    assert f"{code} takes off EUR 36.75" in text
    assert "Each of the first 3 months, of it EUR 2.33 VAT EUR 14.58" in text
    assert "Each month after that, of it EUR 9.31 VAT EUR 58.31" in text
    assert "Subscribe for EUR 14.58" in text
    assert "Subscribe for EUR 107.10" in text, "the other plan costs what it did"
    assert f'value="{code.lower()}"' in form
    assert unseen.status_code == 200
    assert "This is its price with the coupon. Press the button again if you agree." in words_of(unseen.text)
    assert before == (30_000, 0), "nothing is bought for another sum than the button's"
    assert bought.status_code == 303
    assert await prepaid(seat.person) == (30_000 - 1458, 0)
    assert plan["renews"]


async def test_a_coupon_that_does_not_hold_says_why_before_and_at_the_press(
    market: Market, clock: MovableClock, seat: Seat, sit: Sit
):
    over, used, other = await coupon(market), await coupon(market, uses_most=1), await coupon(market, plan="large")
    async with market.gateway.house() as conn:
        await coupons.end_coupon(conn, over, now=clock())
    first = await sit(await market.client(cents=10_000))
    await first.send("/desk/money/plan", plan="studio", coupon=used, agreed=f"{3675 + 699} 0 EUR")
    assert (await prepaid(first.person))[0] == 10_000 - 3675 - 699
    wrong = {
        over: (409, f"Coupon {over} is over; subscribe without it."),
        used: (409, f"Coupon {used} has been used as often as it may be; subscribe without it."),
        other: (409, f"Coupon {other} is for plan large; subscribe without it."),
        "NO-SUCH": (404, "There is no coupon NO-SUCH; look how it is written, or subscribe without it."),
    }

    for code, (status, words) in wrong.items():
        for act in ({"do": "price"}, {"agreed": "4374 0 EUR"}):
            answer = await seat.send("/desk/money/plan", plan="studio", coupon=code, **act)
            assert answer.status_code == status, code
            assert words in words_of(answer.text), code
            assert f'value="{code}"' in answer.text, "what was typed is there to be changed"
            assert "Subscribe for EUR 58.31" in words_of(answer.text)
    assert await prepaid(seat.person) == (30_000, 0)


async def test_a_coupon_stays_priced_where_the_purse_is_too_small(market: Market, sit: Sit):
    seat, code = await sit(await market.client(cents=100)), await coupon(market)

    answer = await seat.send("/desk/money/plan", plan="studio", coupon=code, agreed=f"{3675 + 699} 0 EUR")

    assert answer.status_code == 402
    assert "This costs 43.74 EUR and 1.00 EUR of prepaid money is free" in words_of(answer.text)
    assert "Subscribe for EUR 43.74" in words_of(answer.text)
    assert 'name="renews" value="yes">' in answer.text, "it was not ticked"


async def test_a_plan_is_not_bought_for_a_sum_that_was_not_seen(seat: Seat):
    stale = await seat.send("/desk/money/plan", plan="studio", renews="yes", agreed="1000 0 EUR")

    assert "The price is another one by now." in words_of(stale.text)
    assert await prepaid(seat.person) == (30_000, 0)


async def coupon(market: Market, **given: Any) -> str:
    """The code of a new coupon, a quarter off the first period."""
    wanted = {"code": new_id("CPN").replace("_", "-").upper(), "percent": 25, "periods": 1, "plan": None}
    wanted |= {"uses_most": None, "expires_at": None}
    async with market.gateway.house() as conn:
        now = market.gateway.clock()
        made = await coupons.make_coupon(conn, coupons.Coupon(**wanted | given), by="acc_office", now=now)
    assert isinstance(made, coupons.Coupon), made
    return made.code


async def test_a_trial_is_offered_once_and_becomes_the_plan_unless_it_is_ended(seat: Seat):
    tried = await seat.send("/desk/money/plan", plan="studio", trial="yes", renews="yes")
    text = await seat.read(tried.headers["location"])

    assert "Nothing was charged." in text
    assert "0 of 10 used" in text
    assert "Studio, for EUR 49.00 a month before tax." in text
    assert "Pause it" not in text, "a trial goes on to its end"
    assert await prepaid(seat.person) == (30_000, 0)

    await seat.send("/desk/money/plan/end")
    assert "It ends." in await seat.read("/desk/money")
    paused = await seat.send("/desk/money/plan/pause", until="")
    assert paused.status_code == 409
    assert "a trial goes on to its end" in words_of(paused.text)


async def test_a_renewal_is_ended_and_taken_up_again(seat: Seat):
    assert (await seat.send("/desk/money/plan/end")).status_code == 409, "no plan runs"
    await seat.send("/desk/money/plan", plan="studio", renews="yes")

    await seat.send("/desk/money/plan/end")
    ended = await seat.read("/desk/money?done=ended")
    await seat.send("/desk/money/plan", plan="studio", renews="yes")

    assert "is not renewed" in ended
    assert "Renew it after all" in ended
    assert "Do not renew it" in await seat.read("/desk/money")
    assert await prepaid(seat.person) == (30_000 - STUDIO_COST, 0), "it was paid once"


async def test_a_change_at_once_costs_what_was_said_before(market: Market, clock: MovableClock, sit: Sit):
    person = await market.client(cents=30_000)
    await (await sit(person)).send("/desk/money/plan", plan="studio", renews="yes")
    clock.ahead += timedelta(days=10)
    seat = await sit(person)

    html = (await seat.http.get("/desk/money")).text
    sums = agreed(html, "large")
    cost, back, currency = sums.split()
    stale = await seat.send("/desk/money/plan/change", plan="large", when="now", agreed="10710 1 EUR")
    before = (await prepaid(person))[0]
    done = await seat.send("/desk/money/plan/change", plan="large", when="now", agreed=sums)

    assert (cost, currency) == (str(LARGE_COST), "EUR")
    assert 0 < int(back) < STUDIO_COST
    assert f"EUR {int(back) // 100}.{int(back) % 100:02d}" in words_of(html)
    assert stale.status_code == 409
    assert "The sums are others by now" in words_of(stale.text)
    assert before == 30_000 - STUDIO_COST, "nothing was changed for other sums"
    assert done.status_code == 303
    assert (await prepaid(person))[0] == before + int(back) - LARGE_COST
    assert "0 of 200 used" in await seat.read("/desk/money")


async def test_a_change_at_the_renewal_costs_nothing_now(seat: Seat):
    too_late = await seat.send("/desk/money/plan/change", plan="large", when="renewal")
    assert too_late.status_code == 409, "a plan that has ended is not bought in place of a change"
    assert await prepaid(seat.person) == (30_000, 0)
    await seat.send("/desk/money/plan", plan="studio", renews="yes")

    await seat.send("/desk/money/plan/change", plan="large", when="renewal")
    text = await seat.read("/desk/money?done=will_change")
    odd = await seat.send("/desk/money/plan/change", plan="large", when="yesterday")

    assert "Large, for EUR 90.00 a month before tax." in text
    assert "It follows when this one ends." in text
    assert await prepaid(seat.person) == (30_000 - STUDIO_COST, 0)
    assert odd.status_code == 422


async def test_a_plan_is_paused_until_a_day_and_runs_on(market: Market, seat: Seat):
    assert (await seat.send("/desk/money/plan/resume")).status_code == 409
    await seat.send("/desk/money/plan", plan="studio", renews="yes")
    now = market.gateway.clock()

    no_day = await seat.send("/desk/money/plan/pause", until="soon")
    too_long = await seat.send("/desk/money/plan/pause", until=f"{now + timedelta(days=200):%Y-%m-%d}")
    past = await seat.send("/desk/money/plan/pause", until=f"{now - timedelta(days=2):%Y-%m-%d}")
    await seat.send("/desk/money/plan/pause", until=f"{now + timedelta(days=20):%Y-%m-%d}")
    paused = await seat.read("/desk/money")
    await seat.send("/desk/money/plan/resume")

    assert [one.status_code for one in (no_day, too_long, past)] == [422, 422, 422]
    assert "'soon' is no day; write it like 2026-11-24." in words_of(no_day.text)
    assert "for 90 days at most" in words_of(too_long.text)
    until = now + timedelta(days=20)
    assert f"until {until.day} {until:%B %Y} at most" in paused
    assert "Let it run on" in paused
    assert "Let it run on" not in await seat.read("/desk/money")


async def test_pictures_beyond_the_quota_have_a_limit_that_is_set_here(seat: Seat):
    none = await seat.send("/desk/money/overage", cap="5")
    await seat.send("/desk/money/plan", plan="studio", renews="yes")

    too_much = await seat.send("/desk/money/overage", cap="200.01")
    no_amount = await seat.send("/desk/money/overage", cap="lots")
    await seat.send("/desk/money/overage", cap="12,50")

    assert [one.status_code for one in (none, too_much, no_amount)] == [409, 422, 422]
    assert "At most 200.00 EUR a period" in words_of(too_much.text)
    text = await seat.read("/desk/money")
    assert "EUR 0.00 of EUR 12.50 this period" in text


async def test_who_invoices_are_for_decides_the_tax_and_a_wrong_id_is_told(seat: Seat):
    address = {"name": "Atelier Quai", "street": "Quai 3", "postcode": "75001", "city": "Paris", "country": "fr"}

    assert "That is the rate for whoever has not said where they are." in await seat.read("/desk/money/buyer")
    wrong = await seat.send("/desk/money/buyer", **address, vat_id="FR00")
    await seat.send("/desk/money/buyer", **address)
    at_home = await seat.read("/desk/money/buyer?done=saved")
    await seat.send("/desk/money/buyer", **address, vat_id="FR 40 303 265 045")

    assert wrong.status_code == 422
    assert "is no VAT id of the European Union" in words_of(wrong.text)
    assert 'value="Atelier Quai"' in wrong.text, "what was typed is there to be changed"
    assert "20 % VAT , on top of the prices before tax." in at_home
    money = await seat.read("/desk/money")
    assert "VAT id FR40303265045" in money
    assert "Reverse charge" in money
    assert "EUR 49.00 a month, without VAT" in money


async def test_an_order_says_its_tax_and_prices_say_that_they_are_before_it(market: Market, seat: Seat):
    text = await seat.read(f"/desk/make?style={market.style_id}")

    assert "EUR 0.72 of it EUR 0.12 VAT" in text
    assert "Personal, EUR 0.60 each" in text
    assert "These prices are before tax." in text
    assert "Order for EUR 0.72" in text
    public = words_of((await market.stranger.get(f"/styles/{market.style_id}")).text)
    assert "For each picture, before tax." in public
    assert "EUR 0.60 a picture before tax" in words_of((await market.stranger.get("/")).text)


async def test_free_drafts_cost_nothing_and_the_page_says_whose_they_are(market: Market, seat: Seat):
    web = market.gateway
    assert web.prices.free is not None
    async with web.house() as conn:
        await plans.grant_free(
            conn, client_id=seat.person.account.id, free=web.prices.free, now=web.clock(), new_id=new_id
        )

    text = await seat.read(f"/desk/make?style={market.style_id}&tier=draft&count=3")

    assert "3 drafts of your free drafts; nothing to pay" in text
    assert "20 of 20 free drafts left" in await seat.read("/desk/money")
    assert "Free drafts" in await seat.read("/desk")


async def test_what_comes_on_account_is_said_before_invoiced_after_and_due_here(
    market: Market, clock: MovableClock, sit: Sit
):
    person = await market.client(cents=143)
    seat = await sit(person)
    await seat.send("/desk/money/plan", plan="small")
    await seat.send("/desk/money/overage", cap="10")
    for _ in range(2):
        assert (await market.order(person, wait=60)).json()["state"] == "settled"

    order = await seat.read(f"/desk/make?style={market.style_id}")
    assert (await market.order(person, wait=60)).json()["state"] == "settled"
    clock.ahead += timedelta(days=32)
    await invoicing.issue_monthly(market.gateway)
    open_page = await (await sit(person)).read("/desk/money")
    clock.ahead += timedelta(days=20)
    late = await sit(person)
    overdue = await late.read("/desk/money")

    assert "On account, invoiced after the month" in order
    assert "Order for EUR 0.72" in order
    (paper,) = (await person.http.get("/v1/invoices")).json()["items"]
    whole = (await person.http.get(f"/v1/invoices/{paper['id']}")).json()
    assert {name: value for name, value in whole.items() if name != "lines"} == paper
    assert sum(line["net"]["amount"] for line in whole["lines"]) == paper["net"]["amount"]
    assert f"EUR 0.71 of invoice {paper['id']} is due on" in open_page
    assert "Transfer to DE89 3704 0044 0532 0130 00." in open_page
    assert "Overdue" in overdue
    assert "Until it is paid nothing more is made on account." in overdue
    for form, kind in (("pdf", "application/pdf"), ("csv", "text/csv"), ("xml", "application/xml")):
        link = f"/v1/invoices/{paper['id']}?format={form}"
        assert f'href="{link}"' in (await late.http.get("/desk/money")).text
        assert (await late.http.get(link)).headers["content-type"].startswith(kind)
    neighbour = await (await sit(await market.client())).read("/desk/money")
    assert paper["id"] not in neighbour


async def test_a_plan_that_is_used_up_says_so_beside_the_price_and_what_helps(market: Market, sit: Sit):
    person = await market.client(cents=143)
    seat = await sit(person)
    await seat.send("/desk/money/plan", plan="small")
    for _ in range(2):
        assert (await market.order(person, wait=60)).json()["state"] == "settled"

    html = (await seat.http.get(f"/desk/make?style={market.style_id}")).text
    text = words_of(html)

    assert "The quota of your plan does not cover this: it takes 1 unit, and 0 are left until" in text
    assert "You have EUR 0.00 free to spend, which does not cover it either." in text
    assert 'href="/desk/money/payments">Add money</a>' in html
    await seat.send("/desk/money/overage", cap="0.50")
    limited = await seat.read(f"/desk/make?style={market.style_id}")
    assert "On account you have used EUR 0.00 of your limit of EUR 0.50." in limited
    nobody = await (await sit(await market.client(cents=1))).read(f"/desk/make?style={market.style_id}")
    assert "quota of your plan" not in nobody
    assert "You have EUR 0.01 free to spend, which does not cover this." in nobody


async def test_a_licence_is_bought_where_it_is_offered(market: Market, sit: Sit):
    seat = await sit(await market.client(cents=1500))
    page = await seat.read(f"/styles/{market.style_id}")

    bought = await seat.send(f"/styles/{market.style_id}/licence", tier="personal")
    poor = await seat.send(f"/styles/{market.style_id}/licence", tier="commercial")
    money = await seat.read("/desk/money?done=licensed")

    assert "Buy the licence for EUR 14.28" in page, "EUR 12.00 and 19 % VAT"
    assert bought.headers["location"] == "/desk/money?done=licensed#licences"
    assert "The licence runs." in money
    assert "Inky Apples Personal, until" in money
    assert (poor.status_code, "0.72 EUR of prepaid money is free" in words_of(poor.text)) == (402, True)
    assert "Buy the licence" not in words_of((await market.stranger.get(f"/styles/{market.style_id}")).text)
