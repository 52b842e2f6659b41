"""Clients pay by a card that the provider keeps: a pack, a renewal; once, however often it is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from licensing import payouts
from service import charging, invoicing, transfers
from service.resources import Gateway
from service.sweep import end_periods
from tests.licensing.payments.fake_stripe import POOR_CARD, FakeStripe
from tests.service.conftest import Person, slug_of
from tests.service.market import Market, open_market, publish_style


@pytest.fixture(scope="module")
async def shop(
    stripe: FakeStripe, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Market]:
    """A market that takes cards."""
    async with open_market(
        database_url,
        tmp_path_factory.mktemp("shop"),
        **stripe.settings,
    ) as market:
        yield market


async def tell(shop: Market, stripe: FakeStripe) -> None:
    """The provider's events arrive, each of them twice."""
    for body, headers in stripe.deliveries():
        for _ in range(2):
            taken = await shop.stranger.post("/v1/provider-events/stripe", content=body, headers=headers)
            assert taken.status_code == 204, taken.text


async def save_card(shop: Market, stripe: FakeStripe, client: Person, *number: str) -> None:
    page = (await client.http.post("/v1/payment-method")).json()["url"]
    stripe.save_card(page.rsplit("/", 1)[-1], *number)
    await tell(shop, stripe)


async def test_a_card_is_saved_at_the_provider_and_a_pack_paid_by_it(shop: Market, stripe: FakeStripe):
    client = await shop.client()
    before = (await client.http.get("/v1/usage")).json()["prepaid"]["amount"]
    assert slug_of(await client.http.post("/v1/payments", json={"pack": "small"})) == "conflict"

    await save_card(shop, stripe, client)
    assert "4242" in (await client.http.get("/v1/payments")).json()["method"]["label"]
    paid = (await client.http.post("/v1/payments", json={"pack": "small"})).json()
    await tell(shop, stripe)

    assert (paid["state"], paid["instructions"]) == ("succeeded", None)
    assert (await client.http.get("/v1/usage")).json()["prepaid"]["amount"] == before + 2000
    asked = [one for one in stripe.of("payment_intent") if one["metadata"]["payment_id"] == paid["id"]]
    assert len(asked) == 1


async def test_a_card_that_is_declined_says_so_and_costs_nothing(shop: Market, stripe: FakeStripe):
    client = await shop.client()
    before = (await client.http.get("/v1/usage")).json()["prepaid"]["amount"]
    await save_card(shop, stripe, client, POOR_CARD)

    declined = (await client.http.post("/v1/payments", json={"pack": "small"})).json()

    assert declined["state"] == "failed"
    assert declined["reason"]
    assert (await client.http.get("/v1/usage")).json()["prepaid"]["amount"] == before
    assert (await client.http.delete("/v1/payment-method")).status_code == 204


async def test_a_renewal_that_finds_no_money_is_charged_to_the_card(shop: Market, stripe: FakeStripe):
    client = await shop.client(cents=5000)
    await save_card(shop, stripe, client)
    bought = await client.http.put("/v1/subscription", json={"plan": "studio"})
    assert bought.status_code == 200, bought.text
    later = _at(shop, timedelta(days=32))

    for sweep in (end_periods, charging.charge_renewals, invoicing.renew_plans) * 2:
        await sweep(later)

    payments = (await client.http.get("/v1/payments")).json()["items"]
    assert [(one["state"], one["amount"]["amount"]) for one in payments] == [("succeeded", 4900 - 100)]
    assert (await client.http.get("/v1/usage")).json()["prepaid"]["amount"] == 0
    async with shop.gateway.house() as conn:
        rows = await conn.fetch(
            "SELECT state FROM licensing.allowance WHERE client_id = $1 AND kind = 'plan' ORDER BY starts_at",
            client.account.id,
        )
    assert [row["state"] for row in rows] == ["ended", "active"]


def _at(shop: Market, ahead: timedelta) -> Gateway:
    """The same place, so much later."""
    return replace(shop.gateway, clock=lambda: shop.gateway.clock() + ahead)


async def test_a_creator_is_paid_at_the_provider(shop: Market, stripe: FakeStripe):
    creator, client = await shop.person("creator"), await shop.client()
    style_id = await publish_style(shop.gateway, creator, shop.adapter)
    sold = (await shop.order(client, wait=60, style=style_id, count=4)).json()
    assert sold["state"] == "settled", sold
    page = (await creator.http.post("/v1/payee/connect")).json()["url"]
    stripe.complete_account(page.rsplit("/", 1)[-1])
    await tell(shop, stripe)
    told = (await creator.http.get("/v1/payee")).json()["payee"]
    assert (told["method"], told["schedule"]) == ("stripe", "monthly")

    later = _at(shop, timedelta(days=4))
    async with later.house() as conn, conn.transaction():
        opened = await payouts.open_payout(
            conn,
            payout_id=later.new_id("pyt"),
            creator_id=creator.account.id,
            at_least=shop.gateway.prices.payout_smallest,
            now=later.clock(),
        )
    assert isinstance(opened, payouts.Payout), opened
    for _ in range(2):
        await transfers.send_payouts(later)
    await tell(shop, stripe)

    found = (await creator.http.get("/v1/payouts")).json()
    assert [(one["state"], one["amount"]["amount"]) for one in found["items"]] == [("paid", 4 * 51)]
    assert found["standing"]["paid"]["amount"] == 4 * 51
    assert [one["amount"] for one in stripe.of("transfer")] == [4 * 51]
