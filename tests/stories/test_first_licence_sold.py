"""The first licence is sold: from a quote to a picture that says whose it is and what may be done with it."""

import io
from typing import Any

from PIL import Image

from inference.messages import call_of
from licensing.seal import read_seal
from tests.service.conftest import Person
from tests.service.market import PRICE, TRIGGER, Market, prepaid, read_events

ORDERS_MAX = 30


async def test_a_client_pays_for_a_picture_and_gets_it_with_its_licence(market: Market):
    client = await market.client(cents=500)
    listed = (await market.stranger.get("/v1/styles?query=inky")).json()["items"]
    assert [style["id"] for style in listed] == [market.style_id]
    quote = (await client.http.post("/v1/quotes", json={"style": market.style_id, "prompt": "an apple"})).json()
    assert quote["amount"] == {"amount": PRICE, "currency": "EUR"}

    answer = await market.order(client, prompt="a red apple", count=2)

    generation = answer.json()
    assert answer.status_code == 201
    assert (generation["state"], generation["amount"]["amount"]) == ("settled", 2 * PRICE)
    assert await prepaid(client) == (500 - 2 * PRICE, 0)
    assert len(generation["outputs"]) == 2
    # Nobody typed the trigger; the worker took it from the adapter's own file.
    request = market.curtain.requests[-1]
    assert TRIGGER in call_of(request.prompt, request.adapters)
    assert request.prompt == "a red apple"
    for output in generation["outputs"]:
        picture = await client.http.get(f"/v1/outputs/{output['id']}")
        assert picture.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(picture.content)) as opened:
            assert opened.size == (32, 32)
        claim = read_seal(market.gateway.authority, picture.content).claim
        assert (claim["output_id"], claim["licence_id"]) == (output["id"], generation["id"])
        certificate = (await client.http.get(f"/v1/outputs/{output['id']}/certificate")).json()
        assert certificate["document"]["client"]["id"] == client.account.id
        verdict = await market.stranger.post("/v1/verify", files={"file": ("picture.png", picture.content)})
        assert (verdict.json()["verdict"], verdict.json()["output"]) == ("valid", output["id"])
        told = await market.stranger.post("/v1/verify", json={"certificate": certificate["certificate"]})
        assert told.json()["verdict"] == "valid"
    assert await market.ledger_problems() == []
    assert await market.nothing_pending()
    earned = (await market.creator.http.get("/v1/earnings")).json()
    assert earned["payable"]["amount"] > 0


async def test_the_events_of_an_order_are_told_in_order_and_can_be_resumed(market: Market):
    client = await market.client()

    generation, told = await _order_with_preview(market, client)

    events = read_events(told)
    kinds = [kind for kind, _ in events]
    assert kinds[:2] == ["queued", "started"]
    assert kinds[-2:] == ["output", "settled"]
    assert set(kinds[2:-2]) == {"progress"}
    progress = [data for kind, data in events if kind == "progress"]
    assert progress[-1]["step"] == progress[-1]["steps"] == 6
    assert events[-2][1]["id"] == generation["outputs"][0]["id"]
    last = [line for line in told.splitlines() if line.startswith("id: ")][-2].removeprefix("id: ")
    resumed = await client.http.get(f"/v1/generations/{generation['id']}/events", headers={"Last-Event-ID": last})
    assert [kind for kind, _ in read_events(resumed.text)] == ["settled"]


async def _order_with_preview(market: Market, client: Person) -> tuple[dict[str, Any], str]:
    """An order and what was told of it, with a preview. Previews may take a share of the time that steps take
    (`inference.pace`), and of a picture this small one takes longer than its steps: not every order has one."""
    for _ in range(ORDERS_MAX):
        generation = (await market.order(client)).json()
        told = await client.http.get(f"/v1/generations/{generation['id']}/events")
        if any("data:image/jpeg;base64," in str(data.get("preview")) for _, data in read_events(told.text)):
            return generation, told.text
    raise AssertionError(f"none of {ORDERS_MAX} orders was told with a preview")
