"""What clients are told: exactly what was committed, to those whom it concerns, in the order in which it happened."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service import orders, sweep, webhooks
from service.ids import new_id
from tests.service.conftest import Person, slug_of
from tests.service.market import PRICE, Market, open_market, publish_style
from tests.service.webhooks.receiver import NETWORKS, Receiver, receiving


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), webhook_networks=NETWORKS) as opened:
        yield opened
        opened.curtain.wait_at(None)


async def listening(client: Person, receiver: Receiver, *kinds: str) -> dict[str, Any]:
    """The client's new endpoint at the receiver, with its secret."""
    body = {"url": receiver.url} | ({"kinds": list(kinds)} if kinds else {})
    answer = await client.http.post("/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def heard(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    """The messages that came, once they are so many."""
    assert await asyncio.to_thread(receiver.hears, count), receiver.messages
    return receiver.messages


async def nothing_more(market: Market, receiver: Receiver, count: int) -> None:
    """Nothing waits to be sent, and no more than so many came."""
    async with asyncio.timeout(10):
        while await waiting(market):
            await asyncio.sleep(0.02)
    assert len(receiver.posts) == count, receiver.messages


async def waiting(market: Market) -> int:
    async with market.gateway.pool.acquire() as conn:
        found: int = await conn.fetchval("SELECT count(*) FROM service.deliveries WHERE state = 'waiting'")
    return found


async def test_a_client_is_told_what_was_paid_and_made_and_never_the_prompt(market: Market, receiver: Receiver):
    client = await market.client()
    endpoint = await listening(client, receiver)

    order = (await market.order(client, count=2, prompt="a secret plan")).json()

    (message,) = await heard(receiver, 1)
    assert receiver.posts[0].verified(endpoint["secret"]) == message
    assert message["type"] == "generation.settled"
    assert message["timestamp"].endswith("Z")
    assert message["data"] == {
        "id": order["id"],
        "state": "settled",
        "style": market.style_id,
        "tier": "personal",
        "count": 2,
        "test": False,
        "amount": {"amount": 2 * PRICE, "currency": "EUR"},
        "message": None,
        "outputs": [{"id": output["id"]} for output in order["outputs"]],
    }
    assert b"secret plan" not in receiver.posts[0].body
    await nothing_more(market, receiver, 1)


async def test_an_order_of_a_test_key_is_told_as_one(market: Market, receiver: Receiver):
    client = await market.client(cents=0, kind="test")
    await listening(client, receiver)

    await market.order(client)

    (message,) = await heard(receiver, 1)
    assert (message["type"], message["data"]["test"]) == ("generation.settled", True)
    assert message["data"]["amount"] == {"amount": 0, "currency": "EUR"}


async def test_a_sale_that_was_taken_back_is_told_once(market: Market, receiver: Receiver):
    client, operator = await market.client(), await market.person("operator")
    order = (await market.order(client)).json()
    await listening(client, receiver)
    path = f"/v1/outputs/{order['outputs'][0]['id']}/refund"

    for _ in range(2):
        assert (await operator.http.post(path, json={"reason": "Not what was ordered"})).status_code == 200

    (message,) = await heard(receiver, 1)
    assert message["type"] == "output.refunded"
    assert message["data"] == {
        "id": order["outputs"][0]["id"],
        "generation": order["id"],
        "style": market.style_id,
        "amount": {"amount": PRICE, "currency": "EUR"},
        "reason": "Not what was ordered",
    }
    await nothing_more(market, receiver, 1)


async def test_what_is_rolled_back_was_never_told(market: Market, receiver: Receiver):
    client = await market.client()
    await listening(client, receiver)
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)
    web = market.gateway

    async def end_and_fail() -> None:
        async with web.pool.acquire() as conn, conn.transaction():
            await orders.mark_unpaid(conn, order_id, reason="failed", now=web.clock())
            raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError):
        await end_and_fail()
    market.curtain.wait_at(None)

    (message,) = await heard(receiver, 1)
    assert message["type"] == "generation.settled"
    await nothing_more(market, receiver, 1)


async def test_pictures_that_wait_for_their_creator_are_told_before_their_end(market: Market, receiver: Receiver):
    client = await market.client()
    await listening(client, receiver)
    style_id = await publish_style(market.gateway, market.creator, market.adapter, approval="all")

    order_id = (await market.order(client, style=style_id)).json()["id"]
    await market.creator.http.post(f"/v1/approvals/{order_id}/approve")

    waits, ended = await heard(receiver, 2)
    assert (waits["type"], ended["type"]) == ("generation.awaiting_approval", "generation.settled")
    assert waits["data"]["id"] == ended["data"]["id"] == order_id
    assert waits["data"]["outputs"] == []
    assert "The creator looks at the pictures first, until" in waits["data"]["message"]


async def test_an_end_without_a_charge_is_told_with_its_reason(market: Market, receiver: Receiver):
    client = await market.client()
    await listening(client, receiver)
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)

    await client.http.post(f"/v1/generations/{order_id}/cancel")
    market.curtain.wait_at(None)

    (message,) = await heard(receiver, 1)
    assert message["type"] == "generation.canceled"
    assert message["data"]["amount"]["amount"] == 0
    assert message["data"]["outputs"] == []
    assert "nothing was charged" in message["data"]["message"]
    await nothing_more(market, receiver, 1)


@pytest.mark.parametrize("name", ["id", "url"])
async def test_an_order_may_name_the_endpoint_that_hears_of_its_end(market: Market, receiver: Receiver, name: str):
    client = await market.client()
    endpoint = await listening(client, receiver, "style.switched")

    quiet = (await market.order(client)).json()
    named = (await market.order(client, webhook=endpoint[name])).json()

    (message,) = await heard(receiver, 1)
    assert message["data"]["id"] == named["id"] != quiet["id"]
    await nothing_more(market, receiver, 1)


async def test_an_endpoint_that_is_named_and_wants_it_anyway_hears_it_once(market: Market, receiver: Receiver):
    client = await market.client()
    endpoint = await listening(client, receiver)

    await market.order(client, webhook=endpoint["id"])

    await heard(receiver, 1)
    await nothing_more(market, receiver, 1)


async def test_an_order_cannot_name_somebody_elses_endpoint_or_one_that_is_disabled(market: Market, receiver: Receiver):
    client, other = await market.client(), await market.client()
    endpoint = await listening(other, receiver)

    by_id = await market.order(client, webhook=endpoint["id"])
    by_url = await market.order(client, webhook=receiver.url)
    async with market.gateway.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.webhooks SET disabled_at = now(), disabled_why = 'It is gone.' WHERE id = $1",
            endpoint["id"],
        )
    disabled = await market.order(other, webhook=endpoint["id"])

    assert [slug_of(answer) for answer in (by_id, by_url, disabled)] == ["invalid_request"] * 3
    assert "register it with POST /v1/webhooks first" in by_id.json()["detail"]
    assert "It is gone. Have POST" in disabled.json()["detail"]
    assert receiver.posts == []


async def test_a_removed_endpoint_keeps_no_order_from_ending(market: Market, receiver: Receiver):
    client = await market.client()
    endpoint = await listening(client, receiver)
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0, webhook=endpoint["id"])).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)

    assert (await client.http.delete(f"/v1/webhooks/{endpoint['id']}")).status_code == 204
    market.curtain.wait_at(None)

    async with asyncio.timeout(20):
        while (await client.http.get(f"/v1/generations/{order_id}")).json()["state"] != "settled":
            await asyncio.sleep(0.05)
    assert receiver.posts == []


async def test_an_endpoint_that_is_just_being_removed_breaks_nothing_of_what_is_told(
    market: Market, receiver: Receiver
):
    client = await market.client()
    order_id = (await market.order(client)).json()["id"]
    endpoint = await listening(client, receiver)
    web = market.gateway
    async with web.pool.acquire() as removing, web.pool.acquire() as telling:
        async with removing.transaction():
            await webhooks.remove_endpoint(removing, endpoint["id"], client_id=client.account.id)
            told = asyncio.create_task(orders.tell_orders(telling, [order_id], now=web.clock()))
            await asyncio.wait({told}, timeout=0.3)
            assert not told.done(), "it waits to see whether the endpoint goes"

        await told

        assert (
            await telling.fetchval("SELECT count(*) FROM service.deliveries WHERE webhook_id = $1", endpoint["id"]) == 0
        )


async def test_a_switch_off_is_told_first_then_what_it_ended(market: Market, receiver: Receiver):
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    client = await market.client()
    licence = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert licence.status_code == 201, licence.text
    await listening(client, receiver)
    market.curtain.wait_at(1)
    order_id = (await market.order(client, wait=0, style=style_id)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 1)

    await market.switch("off", style_id)
    await market.switch("off", style_id)
    market.curtain.wait_at(None)

    switched, withdrawn, ended = await heard(receiver, 3)
    assert (switched["type"], switched["data"]) == (
        "style.switched",
        {"style": style_id, "level": "off", "reason": None, "ends_at": None},
    )
    assert (withdrawn["type"], withdrawn["data"]["id"]) == ("generation.withdrawn", order_id)
    assert ended["type"] == "licence.ended"
    assert ended["data"] == {
        "id": licence.json()["id"],
        "state": "refunded",
        "style": style_id,
        "tier": "personal",
        "plan": None,
    }
    await nothing_more(market, receiver, 3)


async def test_a_switch_is_told_to_those_who_have_a_licence_and_to_each_the_level_that_holds_there(market: Market):
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    with receiving() as user, receiving() as barred, receiving() as stranger:
        for receiver, has_licence in ((user, True), (barred, True), (stranger, False)):
            client = await market.client()
            if has_licence:
                answer = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
                assert answer.status_code == 201, answer.text
            await listening(client, receiver, "style.switched")
            if receiver is barred:
                answer = await market.creator.http.put(
                    f"/v1/styles/{style_id}/clients/{client.account.id}/switch", json={"level": "paused"}
                )
                assert answer.status_code == 200, answer.text
        await market.creator.http.put("/v1/switch", json={"level": "wind_down", "reason": "moving on"})
        await market.creator.http.put("/v1/switch", json={"level": "live"})

        await asyncio.gather(heard(user, 2), heard(barred, 3))
        await nothing_more(market, stranger, 0)

        assert [message["data"]["level"] for message in user.messages] == ["wind_down", "live"]
        assert [message["data"]["level"] for message in barred.messages] == ["paused"] * 3
        told = user.messages[0]["data"]
        assert told["reason"] == "moving on"
        assert told["ends_at"].endswith("Z")


async def test_the_end_of_a_paid_period_is_told(market: Market, receiver: Receiver):
    client = await market.client(cents=100_000)
    licence = await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"})
    offered = (await client.http.get("/v1/subscription")).json()["plans"]
    plan = await client.http.put("/v1/subscription", json={"plan": offered[0]["id"], "renews": False})
    assert plan.status_code == 200, plan.text
    await listening(client, receiver)
    async with market.owner() as conn:
        await conn.execute(
            "UPDATE licensing.allowance SET starts_at = starts_at - interval '99 days',"
            " ends_at = now() - interval '1 second' WHERE client_id = $1",
            client.account.id,
        )

    await sweep.end_periods(market.gateway)
    await sweep.end_periods(market.gateway)

    told = {message["type"]: message["data"] for message in await heard(receiver, 2)}
    assert told["licence.ended"] == {
        "id": licence.json()["id"],
        "state": "ended",
        "style": market.style_id,
        "tier": "personal",
        "plan": None,
    }
    assert told["plan.ended"]["plan"] == offered[0]["id"]
    await nothing_more(market, receiver, 2)


async def test_a_wind_down_that_became_off_by_itself_is_told(market: Market, receiver: Receiver):
    style_id = await publish_style(market.gateway, market.creator, market.adapter, notice_days=0)
    client = await market.client()
    answer = await client.http.post("/v1/licences", json={"style": style_id, "tier": "personal"})
    assert answer.status_code == 201, answer.text
    await listening(client, receiver)
    await market.switch("wind_down", style_id)

    await sweep.end_periods(market.gateway)

    messages = await heard(receiver, 3)
    assert [message["type"] for message in messages] == ["style.switched", "style.switched", "licence.ended"]
    assert messages[1]["data"]["level"] == "off"


async def test_a_client_without_endpoints_leaves_nothing_behind(market: Market):
    client = await market.client()
    async with market.gateway.pool.acquire() as conn:
        before = await conn.fetchval("SELECT count(*) FROM service.messages")

    await market.order(client)

    async with market.gateway.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM service.messages") == before


async def test_the_same_end_told_twice_is_one_message(market: Market, receiver: Receiver):
    client = await market.client()
    await listening(client, receiver)
    order_id = (await market.order(client)).json()["id"]
    await heard(receiver, 1)

    async with market.gateway.pool.acquire() as conn:
        await orders.tell_orders(conn, [order_id], now=market.gateway.clock())

    await nothing_more(market, receiver, 1)


async def test_another_clients_endpoints_hear_nothing(market: Market, receiver: Receiver):
    client, other = await market.client(), await market.client()
    await listening(other, receiver)

    await market.order(client, key=new_id("key"))

    await nothing_more(market, receiver, 0)
