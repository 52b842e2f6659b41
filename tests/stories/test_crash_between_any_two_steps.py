"""A power cut between any two steps of a generation: it is delivered if and only if it is charged, and charged once.

Real processes are killed by SIGKILL at every named point and started again; the client repeats its request with the
same Idempotency-Key, as a program would whose connection broke.
"""

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.faults import POINTS
from tests.service.market import PRICE, publish_style, write_style_adapter
from tests.stories.town import Town, open_town

ELSEWHERE = ("waiting", "approved", "voided", "message_sent", "letter_sent")
WEB_POINTS = [point for point, meaning in POINTS.items() if meaning.startswith("web:") and point not in ELSEWHERE]
WORKER_POINTS = [point for point, meaning in POINTS.items() if meaning.startswith("worker:")]


@pytest.fixture(scope="module")
async def town(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    # One worker wherever it runs: it is the one that is to take the order and die.
    async with open_town(database_url, tmp_path_factory.mktemp("town"), workers=1) as opened:
        yield opened


@pytest.mark.parametrize("point", WEB_POINTS)
async def test_the_gateway_dies_and_the_order_is_delivered_and_charged_once(town: Town, point: str):
    before, key = await town.spent(), uuid.uuid4().hex
    town.processes.kill("web")
    town.processes.start("web", crash_at=point)

    await town.ask(key, wait=60)
    town.processes.wait_until_dead("web")
    town.processes.start("web")
    generation = await town.ask(key, wait=60)

    assert generation is not None
    assert (generation["state"], len(generation["outputs"])) == ("settled", 2)
    await delivered(town, generation)
    assert await town.spent() - before == 2 * PRICE
    await town.is_tidy()


@pytest.mark.parametrize("point", WORKER_POINTS)
async def test_the_worker_dies_and_the_order_is_delivered_and_charged_once(town: Town, point: str):
    before, key = await town.spent(), uuid.uuid4().hex
    town.processes.kill("worker")
    town.processes.start("worker", crash_at=point)

    await town.ask(key, wait=0)
    town.processes.wait_until_dead("worker")
    assert (await town.ask(key, wait=0) or {})["state"] in ("queued", "running")
    town.processes.start("worker")
    generation = await town.ask(key, wait=60)

    assert generation is not None
    assert (generation["state"], len(generation["outputs"])) == ("settled", 2)
    await delivered(town, generation)
    assert await town.spent() - before == 2 * PRICE
    await town.is_tidy()


async def test_the_gateway_dies_after_an_order_ended_unpaid_and_nothing_is_left(town: Town):
    before, key = await town.spent(), uuid.uuid4().hex
    town.processes.kill("worker")
    town.processes.kill("web")
    town.processes.start("web", crash_at="voided")
    asked = await town.ask(key, wait=0)
    assert asked is not None
    town.web.storage.put(f"pending/{asked['id']}/1.png", b"drawn before the cancel")

    canceled = await town.client.http.post(f"/v1/generations/{asked['id']}/cancel")
    town.processes.start("worker")
    town.processes.wait_until_dead("web")
    town.processes.start("web")
    generation = await town.ask(key, wait=0)

    assert canceled.json()["state"] == "canceled"
    assert generation is not None
    assert (generation["state"], generation["amount"]["amount"]) == ("canceled", 0)
    assert await town.spent() == before
    await town.is_tidy()


@pytest.mark.parametrize("point", ["waiting", "approved", "settled"])
async def test_the_gateway_dies_around_a_creators_yes_and_the_order_is_delivered_and_charged_once(
    town: Town, tmp_path: Path, point: str
):
    before, key = await town.spent(), uuid.uuid4().hex
    adapter = write_style_adapter(town.web.settings.configs, tmp_path / "adapter.safetensors")
    looked_at = replace(town, style_id=await publish_style(town.web, town.creator, adapter, approval="all"))
    town.processes.kill("web")
    town.processes.start("web", crash_at=point)

    asked = await looked_at.ask(key, wait=60)
    if point == "waiting":
        town.processes.wait_until_dead("web")
        town.processes.start("web")
        asked = await looked_at.ask(key, wait=60)
    assert asked is not None
    assert asked["state"] == "awaiting_approval"
    with contextlib.suppress(httpx.TransportError):
        await town.creator.http.post(f"/v1/approvals/{asked['id']}/approve")
    if point != "waiting":
        town.processes.wait_until_dead("web")
        town.processes.start("web")
    generation = await settled(town, asked["id"])

    assert len(generation["outputs"]) == 2
    await delivered(town, generation)
    assert await town.spent() - before == 2 * PRICE
    await town.is_tidy()


async def test_what_went_off_while_the_worker_was_dead_is_gone_from_its_disk_when_it_lives_again(
    town: Town, tmp_path: Path
):
    folder = town.web.settings.home / "cache" / "adapters"
    adapter = write_style_adapter(town.web.settings.configs, tmp_path / "adapter.safetensors", seed=2)
    off = replace(town, style_id=await publish_style(town.web, town.creator, adapter))
    for place in (town, off):
        assert (await place.ask(uuid.uuid4().hex, wait=60) or {})["state"] == "settled"
    both = {path.name for path in folder.iterdir()}
    town.processes.kill("worker")
    (folder / ".unfinished").write_bytes(adapter[:100])

    await town.creator.http.put(f"/v1/styles/{off.style_id}/switch", json={"level": "off"})
    town.processes.start("worker")

    gone = f"{hashlib.sha256(adapter).hexdigest()}.safetensors"
    assert gone in both
    for _ in range(600):
        if {path.name for path in folder.iterdir()} == both - {gone}:
            break
        await asyncio.sleep(0.05)
    assert {path.name for path in folder.iterdir()} == both - {gone}


async def settled(town: Town, order_id: str) -> dict[str, Any]:
    """The order once it is paid; the connection may have been to a process that has died since."""
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            found = (await town.client.http.get(f"/v1/generations/{order_id}")).json()
            if found["state"] == "settled":
                return dict(found)
        await asyncio.sleep(0.05)
    raise AssertionError(f"order {order_id} was never settled")


async def delivered(town: Town, generation: dict[str, Any]) -> None:
    """Every picture can be fetched and is what was sold."""
    for output in generation["outputs"]:
        picture = await town.client.http.get(f"/v1/outputs/{output['id']}")
        assert picture.status_code == 200
        verdict = await town.client.http.post("/v1/verify", files={"file": ("picture.png", picture.content)})
        assert (verdict.json()["verdict"], verdict.json()["output"]) == ("valid", output["id"])
