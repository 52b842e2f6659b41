"""`ownhand worker` as a process that draws on a cluster: killed, and ended in good order."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import psutil
import pytest

from service.pending import halfway_key
from tests.service.market import PRICE
from tests.stories.town import Town, open_town

pytestmark = pytest.mark.long

ORDER = {"count": 1, "steps": 100, "size": [64, 64]}
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
async def town(ray_address: str, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with open_town(
        database_url,
        tmp_path_factory.mktemp("town"),
        keep_every_s=0.1,
        engine="ray",
        ray_address=ray_address,
        ray_gpus=0.0,
    ) as opened:
        yield opened


def replicas() -> set[int]:
    """The processes on this machine that are replicas, whoever started them."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word.startswith("ray::Replica") for word in process.info["cmdline"] or [])
    }


async def end_of(town: Town, order_id: str) -> dict:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = (await town.client.http.get(f"/v1/generations/{order_id}")).json()
            if found["state"] not in ("queued", "running", "sealing"):
                return dict(found)
            await asyncio.sleep(0.2)


async def half_made(town: Town, order_id: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not town.web.storage.exists(halfway_key(order_id, 1)):
            await asyncio.sleep(0.01)


async def test_a_worker_that_is_killed_takes_its_replicas_along_and_the_next_goes_on(town: Town):
    others = replicas()
    asked = await town.ask(uuid.uuid4().hex, wait=0, **ORDER)
    assert asked is not None
    await half_made(town, asked["id"])
    first = replicas() - others
    assert first

    town.processes.kill("worker")
    town.processes.start("worker")

    ended = await end_of(town, asked["id"])
    assert (ended["state"], len(ended["outputs"])) == ("settled", 1)
    assert await town.spent() == PRICE
    await town.is_tidy()
    assert not first & replicas()


async def test_a_worker_that_is_told_to_end_does_so_in_good_order(town: Town):
    asked = await town.ask(uuid.uuid4().hex, wait=0, **ORDER)
    assert asked is not None
    await half_made(town, asked["id"])

    # It asserts that the process ended with status 0.
    town.processes.stop("worker")

    town.processes.start("worker")
    assert (await end_of(town, asked["id"]))["state"] == "settled"
    assert await town.spent() == 2 * PRICE
    await town.is_tidy()
