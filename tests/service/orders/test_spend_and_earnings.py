"""`/v1/spend`, `/v1/earnings` over days, and creators' prices for single clients, by the whole application."""

import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest

from licensing import gateway
from licensing.orders import Hold, Made, Reserve, Settled
from service.ids import new_id
from tests.service.conftest import Person, slug_of
from tests.service.market import PRICE, Market, MovableClock, publish_style

SHARE = 51


async def sell(market: Market, client: Person, style_id: str, *, count: int = 1) -> None:
    """Pictures of a style for a client's money, made by nobody: hold and sale alone."""
    web, creator = market.gateway, await creator_of(market, style_id)
    order = Reserve(
        order_id=new_id("gen"),
        client_id=client.account.id,
        key_id=None,
        idempotency_key=None,
        request_hash="body",
        style_id=style_id,
        creator_id=creator,
        tier="personal",
        count=count,
        hold_s=900,
    )
    digits = [hashlib.sha256(f"{order.order_id} {number}".encode()).hexdigest() for number in range(count)]
    made = [Made(output_id=new_id("out"), sha256=one, phash=one, certificate="none") for one in digits]
    async with web.house() as conn:
        hold = await gateway.reserve(conn, order, now=web.clock())
        assert isinstance(hold, Hold), hold
        await gateway.begin(conn, order_id=order.order_id, now=web.clock())
        sale = await gateway.settle(conn, order_id=order.order_id, fence=1, made=made, now=web.clock())
    assert isinstance(sale, Settled), sale


async def creator_of(market: Market, style_id: str) -> str:
    async with market.gateway.house() as conn:
        found: str = await conn.fetchval("SELECT creator_id FROM licensing.style WHERE style_id = $1", style_id)
    return found


async def read(person: Person, path: str, **params: Any) -> dict[str, Any]:
    answer = await person.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_a_client_pays_is_what_its_creator_reads_within_the_same_second(market: Market):
    client = await market.client(cents=1000)
    await market.order(client, count=2)
    today = market.gateway.clock().date().isoformat()

    spend = await read(client, "/v1/spend", **{"from": today, "to": today})
    earned = await read(market.creator, "/v1/earnings", **{"from": today, "to": today})

    assert (spend["from"], spend["to"]) == (today, today)
    assert spend["spent"] == {"pictures": 2, "net": cents(2 * PRICE), "tax": cents(0)}
    assert spend["by_day"] == [{"day": today, **spend["spent"]}]
    assert spend["by_style"] == [{"style": market.style_id, **spend["spent"]}]
    assert spend["by_tier"] == [{"tier": "personal", **spend["spent"]}]
    assert [one["key"][:4] for one in spend["by_key"]] == ["key_"]
    assert spend["forecast"] is None
    assert earned["range"]["share"] == earned["by_day"][0]["share"] == cents(2 * SHARE)
    assert earned["by_tier"] == [{"tier": "personal", "pictures": 2, "share": cents(2 * SHARE)}]
    assert earned["by_style"][0]["style"] == market.style_id
    assert (earned["by_client"], earned["forecast"]) == (None, None)
    assert "10 clients" in earned["by_client_why"]


def cents(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


async def test_without_days_three_months_are_told_and_a_wrong_range_is_refused(market: Market):
    client = await market.client()
    today = market.gateway.clock().date()
    first = (today.replace(day=1) - timedelta(days=40)).replace(day=1)

    spend = await read(client, "/v1/spend")
    turned = await client.http.get("/v1/spend", params={"from": "2026-03-02", "to": "2026-03-01"})
    long = await market.creator.http.get("/v1/earnings", params={"from": "2020-01-01"})
    absurd = [await client.http.get("/v1/spend", params={"to": day}) for day in ("0001-01-01", "9999-12-31", "soon")]

    assert (spend["from"], spend["to"]) == (first.isoformat(), today.isoformat())
    assert len(spend["by_day"]) == (today - first).days + 1
    for answer in (turned, long, *absurd):
        assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")


async def test_clients_are_told_apart_from_ten_on_when_the_month_is_over(market: Market, clock: MovableClock):
    creator = await market.person("creator")
    style_id = await publish_style(market.gateway, creator, market.adapter)
    # Not beside the end of a month, and long enough ago for a forecast afterwards.
    start = clock().replace(day=1, hour=12) + timedelta(days=32)
    clock.ahead += start.replace(day=3) - clock()
    clients = [await market.client() for _ in range(10)]
    for client in clients[:9]:
        await sell(market, client, style_id)
    month = clock().strftime("%Y-%m")
    last = (clock().replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    days = {"from": f"{month}-01", "to": last.date().isoformat()}
    await sell(market, clients[0], style_id, count=2)
    before = clock.ahead
    clock.ahead += last + timedelta(days=2) - clock()
    nine = await read(creator, "/v1/earnings", **days)
    clock.ahead = before
    await sell(market, clients[9], style_id)
    running = await read(creator, "/v1/earnings", **days)
    clock.ahead += last + timedelta(days=2) - clock()

    ten = await read(creator, "/v1/earnings", **days)

    assert (nine["by_client"], running["by_client"]) == (None, None)
    assert nine["range"]["share"] == cents(11 * SHARE)
    assert ten["by_client_why"] is None
    assert ten["by_client"]["months"] == [month]
    assert len(ten["by_client"]["clients"]) == 10
    assert ten["by_client"]["clients"][0] == {
        "client": clients[0].account.id,
        "pictures": 3,
        "share": cents(3 * SHARE),
    }
    assert ten["forecast"]["weeks"] >= 2
    assert (
        ten["forecast"]["low"]["amount"] <= ten["forecast"]["expected"]["amount"] <= ten["forecast"]["high"]["amount"]
    )
    assert ten["erosion"]["tiers"] == [
        {
            "tier": "personal",
            "before": None,
            "after": cents(PRICE),
            "pictures_before": 0,
            "pictures_after": 12,
            "fell": False,
        }
    ]


async def test_a_price_that_falls_is_told_by_the_percent_that_is_asked_for(market: Market, clock: MovableClock):
    creator, client = await market.person("creator"), await market.client()
    style_id = await publish_style(market.gateway, creator, market.adapter)
    await sell(market, client, style_id)
    clock.ahead += timedelta(days=91)
    lower = await put_rate(creator, style_id, client, 48)
    assert lower.status_code == 200, lower.text
    await sell(market, client, style_id)
    clock.ahead += timedelta(days=1)

    usual = (await read(creator, "/v1/earnings"))["erosion"]
    strict = (await read(creator, "/v1/earnings", erosion_percent=20))["erosion"]
    refused = await creator.http.get("/v1/earnings", params={"erosion_percent": 0})

    assert (usual["percent"], usual["alert"], usual["tiers"][0]["fell"]) == (15, True, True)
    assert (usual["tiers"][0]["before"], usual["tiers"][0]["after"]) == (cents(60), cents(48))
    assert (strict["percent"], strict["alert"]) == (20, False), "from 60 to 48 is by 20 %, not by more"
    assert refused.status_code == 422


async def put_rate(
    creator: Person, style_id: str, client: Person, amount: int | None, **changes: Any
) -> httpx.Response:
    price = None if amount is None else cents(amount)
    return await creator.http.put(
        f"/v1/styles/{style_id}/rates/{client.account.id}", json={"tier": "personal", "price": price} | changes
    )


async def test_a_creator_asks_another_price_of_one_client_and_takes_it_back(market: Market):
    friend, other = await market.client(), await market.client()

    put = await put_rate(market.creator, market.style_id, friend, 45)
    listed = await read(market.creator, f"/v1/styles/{market.style_id}/rates")
    quotes = [await quote(market, client) for client in (friend, other)]
    order = (await market.order(friend)).json()
    back = await put_rate(market.creator, market.style_id, friend, None)

    rate = {"style": market.style_id, "client": friend.account.id, "tier": "personal", "price": cents(45)}
    assert (put.status_code, put.json()["items"]) == (200, [rate])
    assert listed == {"items": [rate], "next_cursor": None}
    assert quotes == [45, PRICE]
    assert (order["state"], order["amount"]["amount"]) == ("settled", 45)
    assert (back.status_code, back.json()["items"]) == (200, [])
    assert await quote(market, friend) == PRICE


async def quote(market: Market, client: Person) -> int:
    answer = await client.http.post("/v1/quotes", json={"style": market.style_id, "prompt": "an apple"})
    amount: int = answer.json()["amount"]["amount"]
    return amount


@pytest.mark.parametrize(
    ("amount", "changes", "says"),
    [
        (45, {"tier": "poster"}, "no tier poster"),
        (45, {"price": {"amount": 45, "currency": "USD"}}, "is sold in EUR"),
        (-1, {}, "greater than or equal to 0"),
        (45, {"price": {"amount": 0.5, "currency": "EUR"}}, "integer"),
    ],
)
async def test_a_rate_that_cannot_be_is_refused(market: Market, amount: int, changes: dict[str, Any], says: str):
    client = await market.client(cents=0)

    answer = await put_rate(market.creator, market.style_id, client, amount, **changes)

    assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")
    assert says in answer.text


async def test_a_rate_is_of_ones_own_style_and_for_a_client_who_is_there(market: Market):
    client, stranger, operator = await market.client(), await market.person("creator"), await market.person("operator")

    others = await put_rate(stranger, market.style_id, client, 45)
    listed = await stranger.http.get(f"/v1/styles/{market.style_id}/rates")
    nobody = await market.creator.http.put(
        f"/v1/styles/{market.style_id}/rates/acc_{'0' * 26}", json={"tier": "personal", "price": cents(45)}
    )
    no_client = [await put_rate(market.creator, market.style_id, one, 45) for one in (stranger, operator)]
    erased = await client.http.request("DELETE", "/v1/account", json={"confirm": client.account.email, "give_up": True})
    gone = await put_rate(market.creator, market.style_id, client, 45)

    assert erased.status_code == 202, erased.text
    for answer in (others, listed, nobody, *no_client, gone):
        assert (answer.status_code, slug_of(answer)) == (404, "not_found")
    assert (await read(market.creator, f"/v1/styles/{market.style_id}/rates"))["items"] == []


async def test_charges_come_one_by_one_and_by_pages(market: Market):
    client, other = await market.client(), await market.client()
    for count in (1, 2, 3):
        await sell(market, client, market.style_id, count=count)

    first = await read(client, "/v1/spend/charges", limit=2)
    rest = await read(client, "/v1/spend/charges", limit=2, cursor=first["next_cursor"])
    theirs, never = [
        await other.http.get("/v1/spend/charges", params={"cursor": cursor})
        for cursor in (first["next_cursor"], "sale:gen_" + "0" * 26)
    ]

    assert [one["pictures"] for one in first["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    assert first["items"][0]["net"]["amount"] == 3 * PRICE
    assert {one["kind"] for one in first["items"]} == {"sale"}
    assert (theirs.status_code, never.status_code) == (422, 422), "another's charge is none"
    assert slug_of(theirs) == slug_of(never) == "invalid_request"
