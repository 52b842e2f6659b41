"""What the desk tells a client unasked: a style that winds down, and why a prompt was refused and by whom."""

import re
from datetime import datetime, timedelta

from service.formats import day
from service.sweep import end_periods
from tests.service.conftest import browser, sign_in
from tests.service.market import Market, MovableClock, prepaid, publish_style
from tests.service.pages.conftest import Sit, words_of

HTML = {"Accept": "text/html"}


async def test_a_style_that_winds_down_says_until_when_what_is_left_what_comes_back_and_what_else_there_is(
    market: Market, sit: Sit, clock: MovableClock
):
    client = await market.client(cents=20_000)
    other = await market.client()
    style_id = await publish_style(market.gateway, market.creator, market.adapter, name="Last Light")
    off = await publish_style(market.gateway, market.creator, market.adapter, name="Gone Dark")
    await market.switch("off", off)
    changed = await market.creator.http.patch(f"/v1/styles/{style_id}", json={"notice_days": 3})
    assert changed.status_code == 200, changed.text
    licence = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert licence.status_code == 201, licence.text
    left, _ = await prepaid(client)

    answer = await market.creator.http.put(
        f"/v1/styles/{style_id}/switch", json={"level": "wind_down", "reason": "I retire it"}
    )
    seat, stranger = await sit(client), await sit(other)
    words = await seat.read("/desk")

    assert f"Last Light ends on {day(datetime.fromisoformat(answer.json()['ends_at']))}" in words
    assert "I retire it" in words
    assert "Your licence has 30 pictures left." in words
    told = re.search(r"EUR ([\d.]+) would come back", words)
    assert told, words
    assert "Inky Apples" in words
    assert "Gone Dark" not in words
    assert "Last Light ends on" not in await stranger.read("/desk")
    clock.ahead += timedelta(days=3, seconds=1)
    await end_periods(market.gateway)
    assert (await prepaid(client))[0] - left == round(float(told[1]) * 100)


async def test_a_refused_prompt_names_the_rule_whose_it_is_and_where_to_ask(market: Market, sit: Sit):
    client = await market.client()
    seat = await sit(client)
    await market.creator.http.put(
        f"/v1/styles/{market.style_id}/rules", json={"refuse": ["dragon*"], "categories": ["weapons"]}
    )
    before = await prepaid(client)

    try:
        own = await seat.send(
            "/desk/make", style=market.style_id, prompt="two dragons", tier="personal", count="1", key="a", agreed=""
        )
        kind = await seat.send(
            "/desk/make", style=market.style_id, prompt="a rifle", tier="personal", count="1", key="b", agreed=""
        )
    finally:
        await market.creator.http.put(f"/v1/styles/{market.style_id}/rules", json={})

    assert (own.status_code, kind.status_code) == (422, 422)
    assert "words that begin with 'dragon'" in words_of(own.text)
    assert "own rule for “Inky Apples”" in words_of(own.text)
    assert "who can ask the maker" in words_of(own.text)
    assert "/?draws=" not in own.text
    assert 'href="/?draws=weapons#catalogue"' in kind.text
    assert ">two dragons</textarea>" in own.text
    assert await prepaid(client) == before


async def test_a_key_that_cannot_be_made_keeps_what_was_typed(market: Market):
    client = await market.client()
    session = await sign_in(market, client.account)
    form = {"csrf": session.csrf, "kind": "live", "scope-read": "yes", "cap": "plenty", "days": "90"}

    answer = await browser(market, session).post("/desk/keys", data=form, headers=HTML)

    assert answer.status_code == 422
    assert 'value="plenty"' in answer.text
    assert 'value="live" checked' in answer.text
    assert '<option value="90" selected>' in answer.text
    assert 'name="scope-generate" value="yes">' in answer.text
