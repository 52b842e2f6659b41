"""Earnings and spend by day on pages: what is drawn is what the tables and the API say, and is said in words."""

import re
from datetime import timedelta

import pytest

from tests.service.conftest import Person
from tests.service.market import Market, MovableClock, publish_style
from tests.service.orders.test_spend_and_earnings import sell
from tests.service.pages.conftest import Sit, words_of

EARNINGS, SPEND = "/studio/earnings/days", "/desk/money/spend"
UNTIL_YESTERDAY = "Nothing was sold in the 180 days before today. What is sold today counts from tomorrow on."
CHEAPER = {"price": {"amount": 40, "currency": "EUR"}, "use": "Private use.", "licence": None}


@pytest.fixture
async def maker(market: Market) -> Person:
    """A creator of its own, who has sold nothing."""
    return await market.person("creator")


def bars_of(html: str, chart: str) -> list[tuple[str, str]]:
    """The columns of a chart: the day and the sum that each says of itself."""
    (svg,) = re.findall(rf'<svg class="chart {chart}".*?</svg>', html, re.DOTALL)
    return re.findall(r'<rect class="bar"[^>]*><title>([^:]+): ([^<]+)</title></rect>', svg)


async def test_who_has_sold_or_spent_nothing_reads_that(market: Market, maker: Person, sit: Sit):
    studio, desk = await (await sit(maker)).read(EARNINGS), await (await sit(await market.client())).read(SPEND)

    for words in ("Nothing was sold in these days.", "Too early to say", UNTIL_YESTERDAY):
        assert words in studio
    for words in ("Nothing was charged in these days.", "Too early to say how it ends"):
        assert words in desk


async def test_each_day_is_a_column_and_a_row_and_each_style_a_bar(
    market: Market, clock: MovableClock, maker: Person, sit: Sit
):
    style_id = await publish_style(market.gateway, maker, market.adapter, name="Woodcut")
    client = await market.client()
    for count in (1, 3):
        await sell(market, client, style_id, count=count)
        clock.ahead += timedelta(days=1)
    today = clock().date()

    html = (await (await sit(maker)).http.get(EARNINGS)).text
    told = (await maker.http.get("/v1/earnings")).json()
    text = words_of(html)

    days = [(one["day"], one["share"]["amount"]) for one in told["by_day"] if one["share"]["amount"]]
    assert [amount for _, amount in days] == [51, 153]
    drawn = bars_of(html, "days")
    assert [amount.replace("\N{NO-BREAK SPACE}", " ") for _, amount in drawn] == ["EUR 0.51", "EUR 1.53"]
    for back, row in ((2, "1 EUR 0.51"), (1, "3 EUR 1.53")):
        day = today - timedelta(days=back)
        assert f"{day.day} {day:%B %Y} {row}" in text
    assert "The highest is EUR 1.53 on" in text
    assert "EUR 2.04 from 4 pictures" in text
    assert re.search(r"Woodcut 4 EUR 2.04", text)
    assert f'href="/studio/styles/{style_id}"' in html


async def test_prices_of_what_is_sold_today_are_told_from_tomorrow_on(
    market: Market, clock: MovableClock, maker: Person, sit: Sit
):
    await sell(market, await market.client(), await publish_style(market.gateway, maker, market.adapter))
    first = await (await sit(maker)).read(EARNINGS)
    clock.ahead += timedelta(days=1)
    next_day = await (await sit(maker)).read(EARNINGS)

    assert "from 1 picture" in first
    assert UNTIL_YESTERDAY in first
    assert UNTIL_YESTERDAY not in next_day


async def test_pages_with_charts_need_no_script_and_no_style_of_their_own(market: Market, maker: Person, sit: Sit):
    await sell(market, await market.client(), await publish_style(market.gateway, maker, market.adapter))
    answer = await (await sit(maker)).http.get(EARNINGS)
    main = answer.text.split("<main")[1]

    assert " style=" not in main
    assert "<script" not in main
    for part in ('role="img"', 'aria-labelledby="days-title"', 'aria-describedby="days-said"', "<desc"):
        assert part in main
    assert "unsafe-inline" not in answer.headers["content-security-policy"]


async def test_days_can_be_chosen_and_wrong_ones_are_told(market: Market, clock: MovableClock, maker: Person, sit: Sit):
    style_id = await publish_style(market.gateway, maker, market.adapter)
    client = await market.client()
    await sell(market, client, style_id)
    today = clock().date()
    before = f"{today - timedelta(days=1)}"

    for path, person in ((EARNINGS, maker), (SPEND, client)):
        seat = await sit(person)
        there = await seat.read(f"{path}?from={today}&to={today}")
        nothing = await seat.read(f"{path}?from={before}&to={before}")
        wrong = {
            f"?from=soon&to={today}": "From: 'soon' is no day; write it like 2026-11-24.",
            f"?from={today}&to={before}": "give the earlier day first",
            f"?from=2024-01-01&to={today}": "more than 400 days",
        }
        assert "EUR 0." in there
        assert "Nothing was" in nothing
        for query, words in wrong.items():
            answer = await seat.http.get(path + query, headers={"Accept": "text/html"})
            assert answer.status_code == 422, query
            assert words in words_of(answer.text)
            assert f'value="{today}"' in answer.text, "the days that are shown then are the usual ones"


async def test_spend_is_told_by_key_with_its_tax(market: Market, sit: Sit):
    client = await market.client()
    assert (await market.order(client, wait=60)).json()["state"] == "settled"
    await sell(market, client, market.style_id, count=2)
    seat = await sit(client)

    html = (await seat.http.get(SPEND)).text
    text = words_of(html)

    hint = re.search(r"oh_live_\w+…", text)
    assert hint
    assert client.token.startswith(hint[0].removesuffix("…"))
    assert re.search(r"On these pages plans, licences and pictures ordered here 2 EUR 1.44 of it EUR 0.24 VAT", text)
    assert f"{hint[0]} 1 EUR 0.72 of it EUR 0.12 VAT" in text
    assert "EUR 2.16 of it EUR 0.36 VAT" in text
    assert text.index("On these pages") < text.index(hint[0]), "the most first"


async def test_the_month_to_come_is_a_range_and_prices_that_fell_are_told_in_words(
    market: Market, clock: MovableClock, maker: Person, sit: Sit
):
    style_id = await publish_style(market.gateway, maker, market.adapter, name="By the week")
    client = await market.client(cents=100_000)
    for week in range(15):
        await sell(market, client, style_id, count=1 + week % 2)
        if week == 1:
            changed = await maker.http.patch(f"/v1/styles/{style_id}", json={"tiers": {"personal": CHEAPER}})
            assert changed.status_code == 200, changed.text
        clock.ahead += timedelta(days=7)
    seen = await sit(maker)

    text, spend = await seen.read(EARNINGS), await (await sit(client)).read(SPEND)
    told = (await maker.http.get("/v1/earnings")).json()

    low, high = [f"EUR {told['forecast'][name]['amount'] / 100:.2f}" for name in ("low", "high")]
    assert low != high
    assert f"brings {low} to {high} , if the days to come go as in the last 8 weeks." in text
    assert f"and a box from {low} to {high} with a line at" in text
    assert "costs EUR" in spend
    assert "Your prices fell: personal, 33 % less" in text
    assert "went for EUR 0.40 in the last 90 days and for EUR 0.60 in the 90 days before" in text
    assert "Personal Fell EUR 0.60" in text


async def test_others_see_nothing_of_it(market: Market, maker: Person, sit: Sit):
    await sell(market, await market.client(), await publish_style(market.gateway, maker, market.adapter, name="Secret"))

    text = await (await sit(await market.person("creator"))).read(EARNINGS)

    assert "Secret" not in text
    assert "Nothing was sold in these days." in text


async def test_every_charge_is_listed_by_pages_with_its_order(
    market: Market, sit: Sit, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("service.pages.desk_spend._PER_PAGE", 2)
    client = await market.client()
    order = (await market.order(client, wait=60)).json()
    for count in (2, 3):
        await sell(market, client, market.style_id, count=count)
    seat = await sit(client)

    newest = (await seat.http.get(SPEND)).text
    link = re.search(r'href="(/desk/money/spend\?[^"]*before=[^"]*)#charges">Older', newest)
    assert link
    older = (await seat.http.get(link[1].replace("&amp;", "&"))).text
    wrong = await seat.http.get(f"{SPEND}?before=sale:nothing", headers={"Accept": "text/html"})

    assert re.search(r"3 pictures , Inky Apples, personal .* EUR 2.16 of it EUR 0.36 VAT", words_of(newest))
    assert order["id"] not in newest
    assert f'href="/desk/orders/{order["id"]}"' in older
    assert "Newest" in words_of(older)
    assert "Older" not in words_of(older)
    assert wrong.status_code == 422
    assert "There is no charge sale:nothing" in words_of(wrong.text)
