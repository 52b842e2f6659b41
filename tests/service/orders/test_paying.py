"""Clients pay by transfer: what was asked for counts when it has arrived, once."""

import pytest

from tests.service.conftest import slug_of
from tests.service.market import Market


async def test_a_pack_is_paid_by_transfer_and_counts_when_it_has_arrived(market: Market):
    client, operator = await market.client(), await market.person("operator")
    before = (await client.http.get("/v1/usage")).json()["prepaid"]["amount"]
    key = {"Idempotency-Key": "a pack"}

    asked = [(await client.http.post("/v1/payments", json={"pack": "large"}, headers=key)).json() for _ in range(2)]
    assert asked[0]["id"] == asked[1]["id"]
    assert (asked[0]["state"], asked[0]["amount"]["amount"], asked[0]["bonus"]["amount"]) == ("pending", 10_000, 500)
    assert "EUR" in asked[0]["instructions"]
    assert (await client.http.get("/v1/usage")).json()["prepaid"]["amount"] == before

    for _ in range(2):
        arrived = await operator.http.post(f"/v1/payments/{asked[0]['id']}/received")
        assert arrived.json()["state"] == "succeeded", arrived.text

    assert (await client.http.get("/v1/usage")).json()["prepaid"]["amount"] == before + 10_500
    listed = (await client.http.get("/v1/payments")).json()
    assert [one["id"] for one in listed["items"]] == [asked[0]["id"]]
    assert [pack["id"] for pack in listed["packs"]] == ["small", "large"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "Name one of"),
        ({"pack": "small", "amount": 100}, "Name one of"),
        ({"pack": "huge"}, "There is no pack 'huge'"),
        ({"invoice": "1999-00001"}, "no invoice"),
    ],
)
async def test_what_cannot_be_paid_says_why(market: Market, body: dict, says: str):
    client = await market.client()

    answer = await client.http.post("/v1/payments", json=body)

    assert answer.status_code in (404, 422)
    assert says in answer.json()["detail"]


async def test_money_that_is_not_spent_goes_back_and_no_more(market: Market):
    client, operator = await market.client(), await market.person("operator")
    payment = (await client.http.post("/v1/payments", json={"amount": 700})).json()["id"]
    await operator.http.post(f"/v1/payments/{payment}/received")

    given = await operator.http.post(f"/v1/payments/{payment}/refunds", json={"amount": 700, "why": "not needed"})
    again = await operator.http.post(f"/v1/payments/{payment}/refunds", json={"amount": 1, "why": "more"})

    assert given.status_code == 201, given.text
    assert slug_of(again) == "conflict"


async def test_nothing_is_saved_where_payments_are_transfers(market: Market):
    client = await market.client()

    assert slug_of(await client.http.post("/v1/payment-method")) == "conflict"
    assert slug_of(await client.http.post("/v1/provider-events/stripe", content=b"{}")) == "not_found"
    assert slug_of(await client.http.post("/v1/provider-events/manual", content=b"{}")) == "invalid_request"
