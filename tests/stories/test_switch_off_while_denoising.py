"""The creator switches off in the middle of a picture: nothing is delivered, nothing is charged, nothing is left."""

import asyncio

import pytest

from tests.service.market import Market, Person, hold_sealing, prepaid, read_events

STEPS = 6


async def start(market: Market, client: Person, **body) -> str:
    """An order whose pictures are being drawn; its id."""
    answer = await market.order(client, wait=0, **body)
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["id"]
    return order_id


async def end_of(client: Person, order_id: str, *, within_s: float = 60.0) -> dict:
    """The generation once it has ended and its story has tidied up."""
    deadline = asyncio.get_running_loop().time() + within_s
    while asyncio.get_running_loop().time() < deadline:
        found = (await client.http.get(f"/v1/generations/{order_id}")).json()
        if found["state"] not in ("queued", "running", "sealing"):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{order_id} is still {found['state']}")


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_off_at_any_step_delivers_and_charges_nothing(market: Market, step: int):
    await market.switch("live")
    client = await market.client(cents=500)
    market.curtain.wait_at(step)
    order_id = await start(market, client, count=2)
    assert await asyncio.to_thread(market.curtain.reached, step)
    assert await prepaid(client) == (380, 120)

    change = await market.switch("off")
    told = (await client.http.get(f"/v1/generations/{order_id}")).json()
    market.curtain.wait_at(None)

    assert (change["stopped"], change["voided"]) == (1, 1)
    assert (told["state"], told["amount"]["amount"], told["outputs"]) == ("withdrawn", 0, [])
    assert "switched" in told["message"]
    assert await prepaid(client) == (500, 0)
    assert await market.nothing_pending()
    assert (await end_of(client, order_id))["state"] == "withdrawn"
    events = read_events((await client.http.get(f"/v1/generations/{order_id}/events")).text)
    assert events[-1][0] == "withdrawn"
    assert not any("preview" in data for _, data in events)
    assert await market.ledger_problems() == []


async def test_off_between_the_last_step_and_the_sale_charges_nothing(market: Market, monkeypatch):
    """The pictures are drawn and stored when the switch goes off: they are deleted, not sold."""
    await market.switch("live")
    client = await market.client(cents=500)
    sealing, go_on = hold_sealing(monkeypatch)
    order_id = await start(market, client)
    await asyncio.wait_for(sealing.wait(), 30)
    assert market.pending()

    await market.switch("off")
    go_on.set()

    assert (await end_of(client, order_id))["state"] == "withdrawn"
    assert await prepaid(client) == (500, 0)
    assert await market.nothing_pending()


async def test_what_was_bought_before_off_stays_the_clients(market: Market):
    await market.switch("live")
    client = await market.client()
    bought = (await market.order(client)).json()["outputs"][0]["id"]

    await market.switch("off")
    refused = await market.order(client)

    assert refused.status_code == 403
    assert refused.json()["type"].endswith("/style_off")
    assert (await client.http.get(f"/v1/outputs/{bought}")).status_code == 200
    assert (await client.http.get(f"/v1/outputs/{bought}/certificate")).status_code == 200
    await market.switch("live")
    assert (await market.order(client)).json()["state"] == "settled"


async def test_a_pause_finishes_what_runs_and_holds_what_waits(market: Market):
    await market.switch("live")
    client = await market.client()
    market.curtain.wait_at(2)
    running = await start(market, client, count=4)
    assert await asyncio.to_thread(market.curtain.reached, 2)
    waiting = await start(market, client)

    await market.switch("paused")
    refused = await market.order(client)
    market.curtain.wait_at(None)

    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (423, "style_paused")
    assert (await end_of(client, running))["state"] == "settled"
    await asyncio.sleep(1)
    assert (await client.http.get(f"/v1/generations/{waiting}")).json()["state"] == "queued"
    await market.switch("live")
    assert (await end_of(client, waiting))["state"] == "settled"


async def test_one_client_switched_off_stops_that_client_alone(market: Market):
    await market.switch("live")
    client, other = await market.client(), await market.client()
    market.curtain.wait_at(2)
    stopped = await start(market, client)
    assert await asyncio.to_thread(market.curtain.reached, 2)
    going_on = await start(market, other)

    answer = await market.creator.http.put(
        f"/v1/styles/{market.style_id}/clients/{client.account.id}/switch", json={"level": "off"}
    )
    market.curtain.wait_at(None)

    assert answer.json()["voided"] == 1
    assert (await end_of(client, stopped))["state"] == "withdrawn"
    assert (await end_of(other, going_on))["state"] == "settled"
