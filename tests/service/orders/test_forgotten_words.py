"""What clients asked for and brought goes a while after; what they bought stays, and so does its certificate."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from inference.errors import InvalidRequest
from inference.receipt import read_receipt
from licensing.verify import verify
from service import retention
from tests.service.conftest import Person, browser, draw, sign_in, slug_of
from tests.service.market import Market, MovableClock
from tests.service.traces import hash_traces, traces

PROMPT = "a quixotic lighthouse keeper"


async def bring(client: Person, content: bytes) -> str:
    answer = await client.http.post("/v1/images", content=content, headers={"Content-Type": "image/png"})
    assert answer.status_code == 201, answer.text
    image_id: str = answer.json()["id"]
    return image_id


async def sweep(market: Market) -> None:
    for one in (retention.prune_stories, retention.delete_words, retention.delete_images):
        await one(market.gateway)


async def test_nothing_of_prompt_and_pictures_is_left_and_the_certificate_holds(
    market: Market, clock: MovableClock, tmp_path: Path
):
    client, source, mask = await market.client(), draw(size=32), draw(size=32)
    order = await market.order(
        client, prompt=PROMPT, image=await bring(client, source), mask=await bring(client, mask), strength=0.6
    )
    assert order.json()["state"] == "settled", order.text
    output_id = order.json()["outputs"][0]["id"]
    picture = await client.http.get(f"/v1/outputs/{output_id}")
    kept = order.json()["prompt_kept_until"]
    assert kept[:10] == str((clock() + timedelta(days=30)).date())
    # That the search would find it.
    assert {"dbos.operation_outputs", "service.generations", "service.outputs"} <= set(
        await traces(market.gateway, PROMPT)
    )
    assert await hash_traces(market.gateway, source)

    clock.ahead += timedelta(days=29)
    await sweep(market)
    assert (await client.http.get(f"/v1/generations/{order.json()['id']}")).json()["prompt"] == PROMPT
    clock.ahead += timedelta(days=2)
    await sweep(market)

    assert await traces(market.gateway, PROMPT) == []
    assert await hash_traces(market.gateway, source) + await hash_traces(market.gateway, mask) == []
    shown = (await client.http.get(f"/v1/generations/{order.json()['id']}")).json()
    assert (shown["prompt"], shown["image"], shown["mask"]) == (None, None, None)
    assert (shown["seed"], shown["state"], shown["prompt_kept_until"]) == (7, "settled", kept)
    receipt = await client.http.get(f"/v1/outputs/{output_id}/receipt")
    with pytest.raises(InvalidRequest, match="prompt of this picture was deleted on"):
        read_receipt(receipt.json())
    assert (await client.http.get(f"/v1/outputs/{output_id}")).content == picture.content
    async with market.gateway.pool.acquire() as conn:
        found = await verify(
            conn, market.gateway.authority, picture.content, now=market.gateway.clock(), watermark=None
        )
    assert found.verdict == "valid"
    assert not await market.ledger_problems()


async def test_a_picture_that_is_used_again_and_an_open_orders_prompt_stay(market: Market, clock: MovableClock):
    client = await market.client()
    used, forgotten = await bring(client, draw(size=32)), await bring(client, draw(size=32))
    market.curtain.wait_at(1)
    running = (await market.order(client, wait=0)).json()
    clock.ahead += timedelta(days=20)
    body = {"style": market.style_id, "prompt": "a boat", "image": used, "strength": 0.5}
    quote = await client.http.post("/v1/quotes", json=body)
    assert quote.status_code == 200, quote.text
    clock.ahead += timedelta(days=11)

    await sweep(market)

    assert (await client.http.get(f"/v1/images/{used}")).status_code == 200
    assert slug_of(await client.http.get(f"/v1/images/{forgotten}")) == "not_found"
    assert (await client.http.get(f"/v1/generations/{running['id']}")).json()["prompt"] == "a red apple"
    market.curtain.wait_at(None)


async def test_a_brought_picture_can_be_read_by_its_owner_alone(market: Market):
    client, other, content = await market.client(), await market.client(), draw(size=32)
    brought = await client.http.post("/v1/images", content=content, headers={"Content-Type": "image/png"})

    own = await client.http.get(brought.headers["Location"])

    assert (own.content, own.headers["content-type"]) == (content, "image/png")
    assert slug_of(await other.http.get(brought.headers["Location"])) == "not_found"


async def test_pages_say_until_when_words_are_kept_and_then_that_they_are_gone(market: Market, clock: MovableClock):
    client = await market.client()
    order = (await market.order(client, prompt=PROMPT)).json()
    desk = browser(market, await sign_in(market, client.account))
    until = clock() + timedelta(days=30)

    form = (await desk.get("/desk/make")).text
    before = (await desk.get(f"/desk/orders/{order['id']}")).text
    clock.ahead += timedelta(days=31)
    await sweep(market)
    desk = browser(market, await sign_in(market, client.account))
    after = (await desk.get(f"/desk/orders/{order['id']}")).text

    assert "kept for 30 days after the order has ended" in " ".join(form.split())
    assert f"kept until {until.day} {until:%B %Y}" in before
    assert "What you asked for was deleted on" in after
    assert PROMPT not in after
    assert "None" not in after
    for page in ("/desk", "/desk/history"):
        assert "An order of Inky Apples" in (await desk.get(page)).text


def test_a_receipt_without_its_prompt_says_when_it_went():
    document = {"kind": "ownhand.picture.v1", "prompt": None, "prompt_deleted_at": "2026-12-28T10:00:00+00:00"}

    with pytest.raises(InvalidRequest, match="deleted on 2026-12-28"):
        read_receipt(json.loads(json.dumps(document)))
