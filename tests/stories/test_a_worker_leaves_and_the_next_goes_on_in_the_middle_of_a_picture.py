"""A worker leaves in the middle of a picture, killed or in good order; the next one makes the steps that are left."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load

from service.pending import halfway_key
from tests.service.market import PRICE
from tests.stories.processes import Processes
from tests.stories.town import Town, open_town

ORDER = {"count": 1, "steps": 100, "size": [64, 64]}


@pytest.fixture(scope="module")
async def town(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with open_town(database_url, tmp_path_factory.mktemp("town"), keep_every_s=0.1) as opened:
        yield opened


@pytest.mark.parametrize("leave", [Processes.kill, Processes.stop], ids=["killed", "ended in good order"])
async def test_the_next_worker_goes_on_where_the_last_one_stopped(town: Town, leave: Callable[[Processes, str], None]):
    before, key = await town.spent(), uuid.uuid4().hex
    asked = await town.ask(key, wait=0, **ORDER)
    assert asked is not None
    kept = await half_made(town, asked["id"])
    who = await town.who_draws(asked["id"])
    leave(town.processes, who)
    kept = max(kept, await half_made(town, asked["id"]))
    heard = await steps_told(town, asked["id"])

    town.processes.start("worker", name=who)
    generation = await town.ask(key, wait=60, **ORDER)

    assert generation is not None
    assert (generation["state"], len(generation["outputs"])) == ("settled", 1)
    told = (await steps_told(town, asked["id"]))[len(heard) :]
    assert told[0] >= kept > 0, "nothing that was kept is made again"
    drawn, alone = await pictures(town, generation["id"]), await pictures(town, await undisturbed(town))
    assert np.abs(drawn - alone).max() <= 1, "the same pictures, within the rounding of other batches"
    assert await town.spent() - before == 2 * PRICE
    await town.is_tidy()


async def half_made(town: Town, order_id: str) -> int:
    """Wait until the picture of the order is kept half made; steps that it has then."""
    for _ in range(3000):
        if town.web.storage.exists(key := halfway_key(order_id, 1)):
            return int(load(town.web.storage.get(key))["index"])
        await asyncio.sleep(0.01)
    raise AssertionError("the picture was not kept half made")


async def steps_told(town: Town, order_id: str) -> list[int]:
    """The steps that the client heard of, in order."""
    async with town.web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT data FROM service.events WHERE subject = $1 AND kind = 'progress' ORDER BY id", order_id
        )
    return [json.loads(row["data"])["step"] for row in rows]


async def undisturbed(town: Town) -> str:
    """The same order, drawn by a worker that stays; its id."""
    generation = await town.ask(uuid.uuid4().hex, wait=60, **ORDER)
    assert generation is not None
    assert generation["state"] == "settled"
    return str(generation["id"])


async def pictures(town: Town, order_id: str) -> np.ndarray:
    """An order's pictures, (number, height, width, 3)."""
    found = (await town.client.http.get(f"/v1/generations/{order_id}")).json()
    drawn = []
    for output in found["outputs"]:
        content = (await town.client.http.get(f"/v1/outputs/{output['id']}")).content
        drawn.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=int))
    return np.stack(drawn)
