"""Ordering pictures over the API: what is accepted, what is refused and how, and that money follows delivery alone."""

import asyncio
import base64
import dataclasses
import hashlib
import io

import pytest
from PIL import Image

from licensing import keys, plans
from service.limits import Buckets
from tests.service.conftest import draw, slug_of
from tests.service.market import PRICE, Market, prepaid, publish_style, size_of, usage


async def test_the_same_key_and_body_is_one_order_and_one_charge(market: Market):
    client = await market.client(cents=500)

    first = await market.order(client, key="my-order-1")
    again = await market.order(client, key="my-order-1")

    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_the_same_key_with_another_body_is_refused(market: Market):
    client = await market.client(cents=500)
    await market.order(client, key="my-order-2")

    other = await market.order(client, key="my-order-2", prompt="a green pear")

    assert (other.status_code, slug_of(other)) == (422, "idempotency_mismatch")
    assert "my-order-2" in other.json()["detail"]
    assert "use a new key" in other.json()["detail"]
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_ten_requests_at_once_under_one_key_make_one_order(market: Market):
    client = await market.client(cents=500)

    answers = await asyncio.gather(*(market.order(client, key="at-once") for _ in range(10)))

    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = {slug_of(answer) for answer in answers if answer.status_code != 201}
    assert len(made) == 1
    assert refused <= {"idempotency_conflict"}
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_a_replay_is_answered_even_when_the_style_is_gone(market: Market):
    client = await market.client()
    style_id = await publish_style(market.gateway, market.creator, market.adapter)
    first = await market.order(client, key="before-the-end", style=style_id)
    await market.switch("destroyed", style_id)

    again = await market.order(client, key="before-the-end", style=style_id)
    new = await market.order(client, key="after-the-end", style=style_id)

    assert again.json()["outputs"] == first.json()["outputs"]
    assert (new.status_code, slug_of(new)) == (410, "style_destroyed")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"prompt": "   "}, "The prompt is empty"),
        ({"prompt": "x" * 501}, "501 characters"),
        ({"count": 0}, "0 pictures were asked for; order 1 to 8"),
        ({"count": 9}, "9 pictures were asked for; order 1 to 8"),
        ({"size": [33, 32]}, "Width 33 is not a multiple of 8; choose 32"),
        ({"size": [4096, 32]}, "Width 4096 is out of range"),
        ({"steps": 1000}, "1000 steps were asked for"),
        ({"guidance": -1}, "Guidance -1"),
        ({"strength": 0.5}, "without an image"),
        ({"seed": -1}, "Seed -1 is out of range"),
        ({"tier": "gold"}, "tier"),
        ({"webhook": "https://example.org"}, "register it with POST /v1/webhooks first"),
        ({"promt": "a"}, "promt"),
    ],
)
async def test_a_request_that_cannot_be_made_says_why_and_holds_nothing(market: Market, body: dict, sentence: str):
    client = await market.client(cents=500)

    answer = await market.order(client, **body)

    assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")
    assert sentence in answer.json()["detail"]
    assert await prepaid(client) == (500, 0)


async def test_an_order_without_an_idempotency_key_is_refused_with_the_way_out(market: Market):
    client = await market.client()

    answer = await client.http.post("/v1/generations", json={"style": market.style_id, "prompt": "an apple"})

    assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_an_unknown_style_or_version_is_not_found(market: Market):
    client = await market.client(cents=500)

    style = await market.order(client, style="sty_nobody")
    version = await market.order(client, version="ver_nobody")

    assert (style.status_code, slug_of(style)) == (404, "not_found")
    assert (version.status_code, slug_of(version)) == (404, "not_found")
    assert "'sty_nobody'" in style.json()["detail"]
    assert await prepaid(client) == (500, 0)


async def test_an_unpublished_style_is_not_found(market: Market):
    client = await market.client()
    answer = await market.creator.http.post("/v1/styles", json={"name": "Quiet", "summary": "Not out yet"})

    order = await market.order(client, style=answer.json()["id"])

    assert slug_of(order) == "not_found"


async def test_a_word_the_creator_refuses_is_named_before_anything_is_held(market: Market):
    client = await market.client(cents=500)
    style_id = await publish_style(market.gateway, market.creator, market.adapter, prompt_rules={"refuse": ["blood"]})

    answer = await market.order(client, style=style_id, prompt="Blood on the snow")

    assert (answer.status_code, slug_of(answer)) == (422, "prompt_refused")
    assert (answer.json()["rule"], answer.json()["whose"]) == ("blood", "creator")
    assert await prepaid(client) == (500, 0)


async def test_without_money_nothing_is_drawn(market: Market):
    client = await market.client(cents=PRICE - 1)
    drawn = len(market.curtain.requests)

    answer = await market.order(client)

    assert (answer.status_code, slug_of(answer)) == (402, "payment_required")
    assert len(market.curtain.requests) == drawn


async def test_a_quote_charges_and_holds_nothing_and_says_what_would_pay(market: Market):
    rich, poor = await market.client(cents=500), await market.client(cents=0)
    body = {"style": market.style_id, "prompt": "an apple", "count": 3, "tier": "commercial"}

    quoted = (await rich.http.post("/v1/quotes", json=body)).json()
    poorly = (await poor.http.post("/v1/quotes", json=body)).json()

    assert quoted["amount"] == poorly["amount"] == {"amount": 3 * 450, "currency": "EUR"}
    assert poorly["pay"] is None
    assert quoted["eta_s"] > 0
    assert await prepaid(rich) == (500, 0)


async def test_a_revoked_key_is_refused_at_once(market: Market):
    client = await market.client(cents=500)
    assert (await market.order(client)).json()["state"] == "settled"
    web = market.gateway
    async with web.pool.acquire() as conn, conn.transaction():
        key = (await keys.listing(conn, account_id=client.account.id))[0]
        assert await keys.revoke(conn, key_id=key.id, account_id=client.account.id, now=web.clock())

    answer = await market.order(client)

    assert (answer.status_code, slug_of(answer)) == (401, "unauthenticated")
    assert "/desk/keys" in answer.json()["detail"]
    async with web.pool.acquire() as conn:
        usage = await plans.usage(conn, client.account.id, web.clock(), currency="EUR")
    assert (usage.prepaid.amount, usage.prepaid_held.amount) == (500 - PRICE, 0)


async def test_a_creator_cannot_order_and_a_stranger_neither(market: Market):
    creators = await market.order(market.creator)
    strangers = await market.stranger.post("/v1/generations", json={}, headers={"Idempotency-Key": "x"})

    assert (creators.status_code, slug_of(creators)) == (403, "forbidden")
    assert (strangers.status_code, slug_of(strangers)) == (401, "unauthenticated")


async def test_another_clients_order_and_pictures_are_not_found(market: Market):
    client, other = await market.client(), await market.client()
    generation = (await market.order(client)).json()
    output = generation["outputs"][0]["id"]

    answers = [
        await other.http.get(f"/v1/generations/{generation['id']}"),
        await other.http.get(f"/v1/generations/{generation['id']}/events"),
        await other.http.post(f"/v1/generations/{generation['id']}/cancel"),
        await other.http.get(f"/v1/outputs/{output}"),
        await other.http.get(f"/v1/outputs/{output}/certificate"),
    ]

    assert {slug_of(answer) for answer in answers} == {"not_found"}
    assert (await other.http.get("/v1/generations")).json()["items"] == []


async def test_a_full_queue_turns_an_order_away_and_holds_nothing(market: Market):
    client = await market.client(cents=500)
    web = market.gateway
    market.app.state.gateway = dataclasses.replace(web, settings=dataclasses.replace(web.settings, max_open_orders=1))
    market.curtain.wait_at(1)
    try:
        first = await market.order(client, wait=0, key="the-first")
        assert await asyncio.to_thread(market.curtain.reached, 1)

        second = await market.order(client, wait=0)
        replay = await market.order(client, wait=0, key="the-first")
    finally:
        market.curtain.wait_at(None)
        market.app.state.gateway = web

    assert (second.status_code, slug_of(second)) == (503, "overloaded")
    assert "order again in about" in second.json()["detail"]
    assert int(second.headers["Retry-After"]) >= 1
    assert replay.json()["id"] == first.json()["id"]
    assert (await market.order(client, key="the-first")).json()["state"] == "settled"
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_a_program_that_runs_wild_is_slowed_down(market: Market):
    client = await market.client()
    usual, market.app.state.buckets = market.app.state.buckets, Buckets(2)
    try:
        answers = [await client.http.get("/v1/usage") for _ in range(3)]
    finally:
        market.app.state.buckets = usual

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert slug_of(answers[2]) == "rate_limited"
    assert answers[0].headers["RateLimit"] == '"calls";r=1;t=30'
    assert answers[2].headers["RateLimit-Policy"] == '"calls";q=2;w=60'
    assert 25 <= int(answers[2].headers["Retry-After"]) <= 30


async def test_a_running_order_can_be_canceled_and_costs_nothing(market: Market):
    client = await market.client(cents=500)
    market.curtain.wait_at(2)
    order_id = (await market.order(client, wait=0)).json()["id"]
    assert await asyncio.to_thread(market.curtain.reached, 2)

    canceled = (await client.http.post(f"/v1/generations/{order_id}/cancel")).json()
    market.curtain.wait_at(None)
    again = (await client.http.post(f"/v1/generations/{order_id}/cancel")).json()

    assert (canceled["state"], canceled["amount"]["amount"]) == ("canceled", 0)
    assert again == canceled
    assert await prepaid(client) == (500, 0)


async def test_canceling_what_is_settled_changes_nothing(market: Market):
    client = await market.client(cents=500)
    generation = (await market.order(client)).json()

    answer = await client.http.post(f"/v1/generations/{generation['id']}/cancel")

    assert answer.json()["state"] == "settled"
    assert await prepaid(client) == (500 - PRICE, 0)


async def test_a_test_key_gets_marked_pictures_that_cost_nothing(market: Market):
    client = await market.client(cents=0, kind="test")
    drawn = len(market.curtain.requests)

    generation = (await market.order(client, count=2, size=[64, 64])).json()

    assert (generation["state"], generation["test"], generation["amount"]["amount"]) == ("settled", True, 0)
    assert len(market.curtain.requests) == drawn
    output = generation["outputs"][0]["id"]
    picture = (await client.http.get(f"/v1/outputs/{output}")).content
    with Image.open(io.BytesIO(picture)) as opened:
        assert (opened.size, opened.info["Ownhand"]) == ((64, 64), "test picture, not made by a style")
    certificate = (await client.http.get(f"/v1/outputs/{output}/certificate")).json()
    assert certificate["document"]["test"] is True
    quote = await client.http.post("/v1/quotes", json={"style": market.style_id, "prompt": "an apple"})
    assert quote.json()["amount"]["amount"] == 0
    assert await market.ledger_problems() == []


async def test_a_receipt_says_how_a_picture_was_made_to_its_buyer_alone(market: Market):
    client, other = await market.client(), await market.client()
    bought = (await market.order(client, seed=11, count=2)).json()["outputs"]
    tested = (await market.order(await market.client(cents=0, kind="test"))).json()["outputs"][0]["id"]

    receipts = [(await client.http.get(f"/v1/outputs/{one['id']}/receipt")).json() for one in bought]
    theirs = await other.http.get(f"/v1/outputs/{bought[0]['id']}/receipt")
    of_test = await client.http.get(f"/v1/outputs/{tested}/receipt")

    assert [receipt["seed"] for receipt in receipts] == [11, 12]
    assert receipts[0]["prompt"] == "a red apple"
    assert [used["sha256"] for used in receipts[0]["adapters"]] == [hashlib.sha256(market.adapter).hexdigest()]
    assert receipts[0]["software"]["torch"]
    assert (theirs.status_code, of_test.status_code) == (404, 404)


async def test_a_draft_is_small_and_carries_its_mark(market: Market):
    client = await market.client()

    draft = (await market.order(client, tier="draft", size=[64, 64])).json()
    picture = (await client.http.get(f"/v1/outputs/{draft['outputs'][0]['id']}")).content

    assert draft["amount"]["amount"] == 5
    assert size_of(picture) == (32, 32)
    with Image.open(io.BytesIO(picture)) as opened:
        assert opened.convert("RGB").getpixel((31, 31)) == (255, 255, 255)


async def test_a_variation_starts_from_the_clients_own_picture(market: Market):
    client = await market.client()
    source = draw(size=40)
    image = (await client.http.post("/v1/images", files={"file": ("mine.png", source)})).json()

    kept = (await market.order(client, image=image["id"], strength=0.3)).json()
    inline = "data:image/png;base64," + base64.b64encode(source).decode()
    given = (await market.order(client, image=inline, strength=0.3)).json()

    assert (kept["state"], kept["image"], kept["strength"]) == ("settled", image["id"], 0.3)
    assert given["image"] == image["id"]
    assert market.curtain.requests[-1].image == source


async def test_another_clients_picture_cannot_be_varied(market: Market):
    client, other = await market.client(), await market.client()
    image = (await other.http.post("/v1/images", files={"file": ("theirs.png", draw())})).json()

    answer = await market.order(client, image=image["id"], strength=0.3)

    assert slug_of(answer) == "not_found"


async def test_history_comes_in_pages_newest_first(market: Market):
    client = await market.client()
    made = [(await market.order(client)).json()["id"] for _ in range(3)]

    first = (await client.http.get("/v1/generations?limit=2")).json()
    second = (await client.http.get(f"/v1/generations?limit=2&cursor={first['next_cursor']}")).json()

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


async def test_several_pictures_take_their_seeds_in_order(market: Market):
    client = await market.client()

    generation = (await market.order(client, count=3, seed=40)).json()
    alone = (await market.order(client, seed=41)).json()

    assert [request.seed for request in market.curtain.requests[-4:-1]] == [40, 41, 42]
    several = [(await client.http.get(f"/v1/outputs/{one['id']}")).content for one in generation["outputs"]]
    single = (await client.http.get(f"/v1/outputs/{alone['outputs'][0]['id']}")).content
    assert pixels(several[1]) == pixels(single)
    assert pixels(several[0]) != pixels(single)


async def test_a_licence_of_one_style_pays_instead_of_money(market: Market):
    client = await market.client(cents=1200)

    bought = await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"})
    generation = (await market.order(client, count=2)).json()

    assert (bought.status_code, bought.json()["left"]) == (201, 30)
    assert (generation["state"], generation["amount"]["amount"]) == ("settled", 0)
    found = await usage(client)
    assert (found["used"], found["left"], found["prepaid"]["amount"]) == (2, 28, 0)
    listed = (await client.http.get("/v1/licences")).json()["items"]
    assert [one["id"] for one in listed] == [bought.json()["id"]]
    assert await market.ledger_problems() == []


async def test_a_plan_is_bought_and_its_renewal_ended(market: Market):
    client = await market.client(cents=4900)

    unknown = await client.http.put("/v1/subscription", json={"plan": "gold"})
    bought = (await client.http.put("/v1/subscription", json={"plan": "studio"})).json()
    generation = (await market.order(client)).json()
    ended = (await client.http.put("/v1/subscription", json={"plan": None})).json()

    assert slug_of(unknown) == "invalid_request"
    assert (bought["plan"], bought["allowance"]["left"]) == ("studio", 100)
    assert generation["amount"]["amount"] == 0
    assert ended["allowance"]["renews"] is False
    assert (await client.http.get("/v1/subscription")).json()["allowance"]["used"] == 1


def pixels(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.convert("RGB").tobytes()
