"""The catalogue: what anybody sees, and when a style leaves it."""

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
