"""Prices for single clients: agreed on a page, never below the floor, read by that client alone, ended."""

import re

import pytest

from tests.service.conftest import Person
from tests.service.market import Market, prepaid, publish_style
from tests.service.pages.conftest import Seat, Sit, words_of


@pytest.fixture
async def url(market: Market) -> str:
    """The page of a style of its own, whose personal pictures cost EUR 0.60 and 0.30 at least."""
    style_id = await publish_style(market.gateway, market.creator, market.adapter, name="By the piece")
    price = {"price": {"amount": 60, "currency": "EUR"}, "floor": {"amount": 30, "currency": "EUR"}}
    changed = await market.creator.http.patch(f"/v1/styles/{style_id}", json={"tiers": {"personal": price}})
    assert changed.status_code == 200, changed.text
    return f"/studio/styles/{style_id}/rates"


@pytest.fixture
async def friend(market: Market) -> Person:
    return await market.client()


@pytest.fixture
async def maker(market: Market, sit: Sit) -> Seat:
    return await sit(market.creator)


def style_of(url: str) -> str:
    return url.split("/")[3]


async def test_a_price_is_agreed_seen_by_its_client_alone_charged_and_ended(
    market: Market, url: str, maker: Seat, friend: Person, sit: Sit
):
    style, client = style_of(url), await sit(friend)
    assert "every client pays the same" in await maker.read(url)

    saved = await maker.send(url, client=friend.account.email, tier="personal", price="0,40")
    text = await maker.read(saved.headers["location"])
    make, public = await client.read(f"/desk/make?style={style}"), await client.read(f"/styles/{style}")
    others = await (await sit(await market.client())).read(f"/styles/{style}")
    stranger = words_of((await market.stranger.get(f"/styles/{style}")).text)
    order = await market.order(friend, wait=60, style=style)
    form = {"client": friend.account.id, "tier": "personal"}
    ended = await maker.send(f"{url}/end", **form)

    assert "never below EUR 0.30 for personal" in text
    assert re.search(rf"{friend.account.name} Personal, for others EUR 0.60 End it EUR 0.40 EUR 0.34", text)
    assert "Personal, EUR 0.40 each" in make
    assert "The maker agreed a price with you." in make
    assert "Order for EUR 0.48" in make, "with its tax"
    assert "EUR 0.40 for you; else EUR 0.60" in public
    assert "0.40" not in others + stranger
    assert order.json()["state"] == "settled"
    assert (await prepaid(friend))[0] == 10_000 - 48
    assert "every client pays the same" in await maker.read(ended.headers["location"])
    assert "for you" not in await client.read(f"/styles/{style}")


async def test_what_cannot_be_agreed_is_told_and_what_was_typed_stays(
    market: Market, url: str, maker: Seat, friend: Person
):
    email = friend.account.email
    wrong = [
        ({"client": email, "tier": "personal", "price": "0.20"}, 422, "is below the floor of 0.30 EUR"),
        ({"client": email, "tier": "personal", "price": "cheap"}, 422, "Price: 'cheap' is no amount"),
        ({"client": email, "tier": "poster", "price": "1"}, 422, "has no tier poster"),
        ({"client": "nobody@example.org", "tier": "personal", "price": "1"}, 404, "no client 'nobody@example.org'"),
        ({"client": "acc_nobody", "tier": "personal", "price": "1"}, 404, "no client 'acc_nobody'"),
        ({"client": "@", "tier": "personal", "price": "1"}, 422, "'@'"),
        ({"client": market.creator.account.email, "tier": "personal", "price": "1"}, 404, "There is no client"),
        ({"client": email, "tier": "personal", "price": "1000000"}, 422, "less than or equal to"),
    ]

    for form, status, words in wrong:
        answer = await maker.send(url, **form)
        assert answer.status_code == status, form
        assert words in words_of(answer.text), form
        assert f'value="{form["price"]}"' in answer.text
    assert (await maker.person.http.get(f"/v1/styles/{style_of(url)}/rates")).json()["items"] == []


async def test_a_floor_that_was_raised_and_a_tier_that_is_not_sold_are_said_and_can_be_ended(
    market: Market, url: str, maker: Seat, friend: Person
):
    style = style_of(url)
    await maker.send(url, client=friend.account.id, tier="personal", price="0.40")
    raised = {"price": {"amount": 60, "currency": "EUR"}, "floor": {"amount": 50, "currency": "EUR"}, "licence": None}
    changed = await maker.person.http.patch(f"/v1/styles/{style}", json={"tiers": {"personal": raised}})
    assert changed.status_code == 200, changed.text
    high = await maker.read(url)
    commercial = {"price": {"amount": 500, "currency": "EUR"}, "use": "Any use."}
    changed = await maker.person.http.patch(f"/v1/styles/{style}", json={"tiers": {"commercial": commercial}})
    assert changed.status_code == 200, changed.text
    unsold = await maker.read(url)
    ended = await maker.send(f"{url}/end", client=friend.account.id, tier="personal")
    again = await maker.send(f"{url}/end", client=friend.account.id, tier="personal")

    assert "You agreed EUR 0.40, and set “never below” to EUR 0.50 since." in high
    assert "EUR 0.50 EUR 0.43" in high, "what is charged, and the creator's part of that"
    assert "You do not sell this tier at present" in unsold
    assert (ended.status_code, again.status_code) == (303, 422)
