"""What was sold exclusively goes to nobody else, and a style that is one client's alone takes no other orders."""

from typing import Any

from tests.service.conftest import Person, browser, sign_in, slug_of
from tests.service.market import PRICE, Market, prepaid, publish_style

ALONE = {"price": {"amount": 5000, "currency": "EUR"}, "units": 5, "months": 2}
EXCLUSIVE = 2900


async def fresh_style(market: Market, **fields: Any) -> str:
    """A style of which nothing is sold yet."""
    return await publish_style(market.gateway, market.creator, market.adapter, **fields)


async def style_to_be_had_alone(market: Market) -> str:
    style_id = await fresh_style(market)
    tiers = {
        "personal": {"price": {"amount": PRICE, "currency": "EUR"}},
        "exclusive": {"price": {"amount": EXCLUSIVE, "currency": "EUR"}, "licence": ALONE},
    }
    answer = await market.creator.http.patch(f"/v1/styles/{style_id}", json={"tiers": tiers})
    assert answer.status_code == 200, answer.text
    return style_id


async def have_alone(person: Person, style_id: str) -> Any:
    return await person.http.post("/v1/licences", json={"style": style_id, "tier": "exclusive"})


async def test_the_same_picture_is_not_made_for_somebody_else_and_costs_nothing(market: Market):
    style, owner, other = await fresh_style(market), await market.client(), await market.client(cents=500)
    first = (await market.order(owner, style=style, tier="exclusive")).json()
    assert (first["state"], first["amount"]["amount"]) == ("settled", EXCLUSIVE)

    second = (await market.order(other, style=style)).json()
    again = (await market.order(owner, style=style)).json()

    assert (second["state"], second["outputs"], second["amount"]["amount"]) == ("failed", [], 0)
    assert [(one["number"], one["kind"]) for one in second["refused"]] == [(1, "exclusive")]
    assert second["message"] == (
        "A picture that looks the same was sold to somebody else alone; change the words or the seed."
        " Nothing was charged."
    )
    assert owner.account.id not in str(second)
    assert await prepaid(other) == (500, 0)
    assert again["state"] == "settled"
    assert await market.nothing_pending()
    assert await market.ledger_problems() == []


async def test_of_several_pictures_the_others_are_delivered(market: Market):
    style, owner, other = await fresh_style(market), await market.client(), await market.client(cents=500)
    await market.order(owner, style=style, tier="exclusive", seed=40, prompt="one thing")

    generation = (await market.order(other, style=style, seed=39, count=3, prompt="one thing")).json()

    assert (generation["state"], generation["amount"]["amount"]) == ("settled", 2 * PRICE)
    assert len(generation["outputs"]) == 2
    assert [one["number"] for one in generation["refused"]] == [2]
    assert generation["message"].startswith("1 of 3 pictures left out and not charged: ")
    assert await prepaid(other) == (500 - 2 * PRICE, 0)


async def test_what_somebody_has_already_is_not_sold_as_exclusive(market: Market):
    style, first, second = await fresh_style(market), await market.client(), await market.client()
    await market.order(first, style=style)

    generation = (await market.order(second, style=style, tier="exclusive")).json()

    assert (generation["state"], generation["amount"]["amount"]) == ("failed", 0)
    assert "cannot be yours alone" in generation["message"]


async def test_while_a_style_is_one_clients_alone_others_are_told_until_when(market: Market):
    style = await style_to_be_had_alone(market)
    owner, other = await market.client(), await market.client()
    bought = (await have_alone(owner, style)).json()
    until = bought["ends_at"][:10]

    refusals = [
        await market.order(other, style=style),
        await other.http.post("/v1/quotes", json={"style": style, "prompt": "a tree"}),
        await have_alone(other, style),
    ]

    for answer in refusals:
        assert (answer.status_code, slug_of(answer)) == (403, "style_exclusive")
        assert until in answer.json()["detail"]
    shown = (await market.stranger.get(f"/v1/styles/{style}")).json()
    assert shown["exclusive_until"][:10] == until
    assert shown["tiers"]["exclusive"]["licence"] == ALONE
    page = (await market.stranger.get(f"/styles/{style}")).text
    assert "One client's alone until" in page
    assert owner.account.name not in page
    generation = (await market.order(owner, style=style, tier="exclusive")).json()
    assert (generation["state"], generation["amount"]["amount"]) == ("settled", 0)


async def test_a_style_that_others_order_from_cannot_be_had_alone_yet(market: Market):
    style = await style_to_be_had_alone(market)
    owner, other = await market.client(), await market.client()
    market.curtain.wait_at(1)
    order = (await market.order(other, wait=0, style=style)).json()

    early = await have_alone(owner, style)
    await other.http.post(f"/v1/generations/{order['id']}/cancel")
    market.curtain.wait_at(None)
    late = await have_alone(owner, style)

    assert (early.status_code, slug_of(early)) == (409, "conflict")
    assert late.status_code == 201, late.text


async def test_switching_off_gives_back_what_is_left_of_it(market: Market):
    style, owner = await style_to_be_had_alone(market), await market.client(cents=5000)
    await have_alone(owner, style)
    assert await prepaid(owner) == (0, 0)

    answer = await market.switch("off", style)

    assert 4990 <= answer["refunded"]["amount"] <= 5000
    assert (await prepaid(owner))[0] == answer["refunded"]["amount"]
    assert await market.ledger_problems() == []


async def test_licences_come_by_pages_newest_first(market: Market):
    client = await market.client()
    styles = [await fresh_style(market) for _ in range(3)]
    bought = [
        (await client.http.post("/v1/licences", json={"style": one, "tier": "personal"})).json() for one in styles
    ]

    first = (await client.http.get("/v1/licences", params={"limit": 2})).json()
    second = (await client.http.get("/v1/licences", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [one["id"] for one in first["items"] + second["items"]] == [one["id"] for one in reversed(bought)]
    assert (len(first["items"]), second["next_cursor"]) == (2, None)


async def test_the_offer_is_set_in_the_studio_and_read_by_buyers(market: Market):
    style = await fresh_style(market)
    session = await sign_in(market, market.creator.account)
    http = browser(market, session)
    form = {
        "csrf": session.csrf,
        "licence": "yes",
        "attribution": "yes",
        "ceiling": "250",
        "expiry_days": "",
        "notice_days": "30",
        "sell-exclusive": "yes",
        "price-exclusive": "29.00",
        "use-exclusive": "Any use.",
        "licence-price-exclusive": "900",
        "licence-units-exclusive": "20",
        "licence-months-exclusive": "6",
    }

    saved = await http.post(f"/studio/styles/{style}/offer", data=form)
    wrong = await http.post(f"/studio/styles/{style}/offer", data=form | {"licence-units-exclusive": "many"})

    assert saved.status_code == 303, saved.text
    shown = (await market.stranger.get(f"/v1/styles/{style}")).json()
    assert shown["tiers"]["exclusive"]["licence"] == {
        "price": {"amount": 90_000, "currency": "EUR"},
        "units": 20,
        "months": 6,
    }
    assert (shown["licence"]["derivatives"], shown["licence"]["attribution"]) == (False, True)
    page = (await market.stranger.get(f"/styles/{style}")).text
    for sentence in shown["licence"]["words"]:
        assert sentence in page
    assert "the whole style to yourself for 6 months, with 20 pictures" in page
    assert wrong.status_code == 422
    assert "no whole number" in wrong.text
