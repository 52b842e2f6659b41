"""The bucket refuses for some seconds: orders wait, nobody pays twice or for nothing, and nothing is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import boto3
import httpx
import pytest

from tests.s3_gate import Gate, gate_before
from tests.service.conftest import slug_of
from tests.service.market import PRICE, Market, open_market, prepaid, state_of
from tests.setups import s3_server

CENTS = 10_000
SHUT_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Store:
    """A market whose pictures lie in a bucket behind a gate."""

    market: Market
    gate: Gate


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as endpoint, gate_before(endpoint) as opened:
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        yield opened


@pytest.fixture(scope="module")
async def store(database_url: str, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    name = f"b{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=gate.endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    # Few tries of a call, so that what goes on when they are used up is seen.
    url = f"s3://{name}/live?endpoint={gate.endpoint}&region=us-east-1&tries=2"
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, storage_url=url, link_s=30) as market:
        yield Store(market=market, gate=gate)
        market.curtain.wait_at(None)


@pytest.mark.parametrize("when", ["before it is ordered", "while it is drawn"])
async def test_an_order_waits_for_its_bucket_and_is_charged_once(store: Store, when: str):
    market, gate = store.market, store.gate
    client = await market.client(cents=CENTS)
    refused_before = gate.num_refused
    if when == "before it is ordered":
        gate.shut()
        ordered = (await market.order(client, wait=0)).json()
    else:
        market.curtain.wait_at(3)
        ordered = (await market.order(client, wait=0)).json()
        assert await asyncio.to_thread(market.curtain.reached, 3)
        gate.shut()
        market.curtain.wait_at(None)

    await asyncio.sleep(SHUT_S)
    meanwhile = (await client.http.get(f"/v1/generations/{ordered['id']}")).json()
    held = await prepaid(client)
    gate.open()
    settled = await state_of(client, ordered["id"], wanted="settled", within_s=120)

    assert gate.num_refused > refused_before
    assert meanwhile["state"] in ("queued", "running", "sealing")
    assert held == (CENTS - PRICE, PRICE)
    assert await prepaid(client) == (CENTS - PRICE, 0)
    link = await client.http.get(f"/v1/outputs/{settled['outputs'][0]['id']}")
    assert httpx.get(link.headers["location"]).content.startswith(b"\x89PNG") if link.is_redirect else link.is_success
    assert await market.nothing_pending()
    assert await market.ledger_problems() == []


async def test_what_lies_in_the_bucket_is_refused_with_a_time_to_come_back(store: Store):
    market, gate = store.market, store.gate
    client = await market.client(cents=CENTS)
    output_id = (await market.order(client)).json()["outputs"][0]["id"]
    assert await market.nothing_pending()
    shown = {"Sec-Fetch-Dest": "image"}

    gate.shut()
    refused = await client.http.get(f"/v1/outputs/{output_id}", headers=shown)
    gate.open()
    again = await client.http.get(f"/v1/outputs/{output_id}", headers=shown)

    assert refused.status_code == 503
    assert slug_of(refused) == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    assert "cannot be reached" in refused.json()["detail"]
    assert again.content.startswith(b"\x89PNG")


async def test_programs_are_led_to_the_bucket_and_pages_show_what_comes_from_here(store: Store):
    market = store.market
    client, other = await market.client(cents=CENTS), await market.client(cents=CENTS)
    output_id = (await market.order(client)).json()["outputs"][0]["id"]
    assert await market.nothing_pending()

    led = await client.http.get(f"/v1/outputs/{output_id}")
    shown = await client.http.get(f"/v1/outputs/{output_id}", headers={"Sec-Fetch-Dest": "image"})
    theirs = await other.http.get(f"/v1/outputs/{output_id}")

    assert led.status_code == 307
    assert led.headers["cache-control"] == "no-store"
    assert "X-Amz-Expires=30" in led.headers["location"]
    assert httpx.get(led.headers["location"]).content == shown.content
    assert theirs.status_code == 404


async def test_a_sold_picture_is_its_buyers_after_off_and_nothing_else_was_ever_linked(store: Store):
    market = store.market
    client = await market.client(cents=CENTS)
    market.curtain.wait_at(3)
    running = (await market.order(client, wait=0)).json()
    assert await asyncio.to_thread(market.curtain.reached, 3)
    stranger = await market.stranger.get(f"/v1/outputs/{running['id']}")

    await market.switch("off")
    market.curtain.wait_at(None)
    ended = await state_of(client, running["id"], wanted="withdrawn")

    assert ended["outputs"] == []
    assert stranger.status_code in (401, 404)
    assert await prepaid(client) == (CENTS, 0)
    assert await market.nothing_pending()
