"""The catalogue: what anybody sees, and when a style leaves it."""

import re
from typing import Any

from licensing.rulebooks import current_rules, current_rules_of
from licensing.terms import current_terms, current_terms_of
from tests.service.conftest import slug_of
from tests.service.market import Market, publish_style


async def test_a_published_style_shows_its_prices_terms_and_switch(market: Market):
    style = (await market.stranger.get(f"/v1/styles/{market.style_id}")).json()

    assert style["name"] == "Inky Apples"
    assert style["tiers"]["personal"]["price"] == {"amount": 60, "currency": "EUR"}
    assert style["tiers"]["personal"]["licence"]["units"] == 30
    assert style["notice_days"] == 30
    assert style["switch"]["level"] == "live"
    assert style["licence"]["training"] is False


async def test_every_word_of_a_query_must_fit(market: Market):
    async def ids(query: str) -> list[str]:
        found = (await market.stranger.get("/v1/styles", params={"query": query})).json()
        return [style["id"] for style in found["items"]]

    assert await ids("INKY apples") == [market.style_id]
    assert await ids("round") == [market.style_id]
    assert await ids("inky pears") == []
    assert await ids("100%_") == []


async def test_an_unpublished_style_is_not_there(market: Market):
    made = await market.creator.http.post("/v1/styles", json={"name": "Secret", "summary": "In the making"})

    answer = await market.stranger.get(f"/v1/styles/{made.json()['id']}")

    assert slug_of(answer) == "not_found"


async def test_a_style_that_is_off_leaves_the_list_but_still_says_so(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter, name="Short Lived")
    await market.switch("off", style_id)

    listed = (await market.stranger.get("/v1/styles?query=lived")).json()["items"]
    shown = (await market.stranger.get(f"/v1/styles/{style_id}")).json()

    assert listed == []
    assert shown["switch"]["level"] == "off"


async def test_a_destroyed_style_is_gone(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter, name="Burnt")
    await market.switch("destroyed", style_id)

    answer = await market.stranger.get(f"/v1/styles/{style_id}")

    assert (answer.status_code, slug_of(answer)) == (410, "style_destroyed")


async def test_pages_of_the_catalogue_follow_one_another(market: Market):
    made = [await publish_style(market.gateway, market.creator, market.adapter, name=f"Paged {n}") for n in range(3)]

    first = (await market.stranger.get("/v1/styles?query=paged&limit=2")).json()
    second = (await market.stranger.get(f"/v1/styles?query=paged&limit=2&cursor={first['next_cursor']}")).json()

    assert [style["id"] for style in first["items"] + second["items"]] == made[::-1]


async def test_a_creator_sees_an_own_style_before_it_is_published(market: Market):
    other = await market.person("creator")
    made = (await market.creator.http.post("/v1/styles", json={"name": "Secret", "summary": "In the making"})).json()

    own = await market.creator.http.get(f"/v1/styles/{made['id']}")
    others = await other.http.get(f"/v1/styles/{made['id']}")

    assert (own.json()["id"], own.json()["version"]) == (made["id"], None)
    assert slug_of(others) == "not_found"


async def found_by(market: Market, **asked: str) -> list[str]:
    """Names of styles on the front page, in its order."""
    page = await market.stranger.get("/", params=asked, headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    return re.findall(r'<h3><a href="/styles/sty_\w+">([^<]+)</a></h3>', page.text)


async def test_a_word_in_the_name_comes_before_one_in_the_description(market: Market):
    told = await publish_style(market.gateway, market.creator, market.adapter, name="Loose", summary="Velvety washes")
    named = await publish_style(market.gateway, market.creator, market.adapter, name="Velvet", summary="Anything")
    last = await publish_style(market.gateway, market.creator, market.adapter, name="Dusk", summary="Like (velvet)")

    assert await found_by(market, query="velvet") == ["Velvet", "Loose", "Dusk"]
    for style_id in (told, named, last):
        await market.switch("off", style_id)
    assert await found_by(market, query="velvet") == []


async def test_filters_leave_what_fits_and_orders_are_kept(market: Market):
    async def priced(name: str, cents: int, **terms: Any) -> str:
        style_id = await publish_style(market.gateway, market.creator, market.adapter, name=name, summary="Of glass")
        price = {"amount": cents, "currency": "EUR"}
        changed = await market.creator.http.patch(
            f"/v1/styles/{style_id}", json={"tiers": {"personal": {"price": price}}} | terms
        )
        assert changed.status_code == 200, changed.text
        return style_id

    cheap = await priced("Glass cheap", 40, notice_days=90)
    dear = await priced("Glass dear", 4000, approval="all")
    shut = await priced("Glass shut", 900)
    await market.switch("closed", shut)

    assert await found_by(market, query="glass", order="cheapest") == ["Glass cheap", "Glass dear", "Glass shut"]
    assert await found_by(market, query="glass", order="dearest") == ["Glass dear", "Glass cheap", "Glass shut"]
    assert await found_by(market, query="glass", most="9,00") == ["Glass cheap", "Glass shut"]
    assert await found_by(market, query="glass", notice="60") == ["Glass cheap"]
    assert await found_by(market, query="glass", on_sale="yes", order="cheapest") == ["Glass cheap", "Glass dear"]
    assert await found_by(market, query="glass", at_once="yes", order="cheapest") == ["Glass cheap", "Glass shut"]
    assert await found_by(market, query="glass", tier="exclusive", most="1") == []
    listed = await market.stranger.get("/v1/styles", params={"query": "glass", "price_max": 900, "on_sale": True})
    assert [one["id"] for one in listed.json()["items"]] == [cheap]
    rules = await market.creator.http.put(f"/v1/styles/{dear}/rules", json={"categories": ["weapons"]})
    assert rules.status_code == 200, rules.text
    assert "Glass dear" not in await found_by(market, query="glass", draws="weapons")
    assert "Glass dear" in await found_by(market, query="glass", draws="gambling")


async def test_a_filter_that_cannot_be_is_said_and_all_styles_are_shown(market: Market):
    page = await market.stranger.get("/", params={"most": "cheap"}, headers={"Accept": "text/html"})

    assert page.status_code == 422
    assert "is no amount; write it like 1.20" in page.text
    assert 'value="cheap"' in page.text
    assert "Inky Apples" in page.text


async def test_many_styles_read_at_once_have_the_terms_and_rules_that_each_has_alone(market: Market):
    other = await publish_style(market.gateway, market.creator, market.adapter, name="Twofold")
    await market.creator.http.patch(f"/v1/styles/{other}", json={"notice_days": 77})
    await market.creator.http.put(f"/v1/styles/{other}/rules", json={"refuse": ["dragon*"]})

    async with market.gateway.pool.acquire() as conn:
        terms = await current_terms_of(conn, [market.style_id, other, "sty_never"])
        rules = await current_rules_of(conn, [market.style_id, other, "sty_never"])

        assert terms == {one: await current_terms(conn, one) for one in (market.style_id, other)}
        assert rules == {
            one: await current_rules(conn, creator_id=market.creator.account.id, style_id=one)
            for one in (market.style_id, other)
        }
    assert terms[other].notice_days == 77
    assert rules[other].is_own
