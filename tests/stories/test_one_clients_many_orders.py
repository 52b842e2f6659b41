"""One client's many orders and another's single one, over a power cut and with two workers: turns hold."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.conftest import Person
from tests.service.market import state_of
from tests.stories.town import Town, open_town, person

MANY = 40
PLACES = 2


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(database_url, tmp_path, has_worker=False, max_rows=PLACES) as opened:
        yield opened


async def order(town: Town, client: Person) -> str:
    """An order of one picture of twenty steps; its id."""
    body = {"style": town.style_id, "prompt": "a red apple", "seed": 3, "steps": 20}
    answer = await client.http.post("/v1/generations", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def asked_of_workers(town: Town) -> int:
    async with town.web.pool.acquire() as conn:
        return int(await conn.fetchval("SELECT count(*) FROM dbos.workflow_status WHERE queue_name = 'render'"))


async def test_turns_hold_over_a_power_cut_and_whatever_the_number_of_workers(town: Town):
    other = await person(town.web, "client", "live", name="other")
    many = [await order(town, town.client) for _ in range(MANY)]
    single = await order(town, other)
    async with asyncio.timeout(30):
        while await asked_of_workers(town) <= MANY:
            await asyncio.sleep(0.1)
    town.processes.kill("web")
    town.processes.start("web")

    for name in ("one worker", "another worker"):
        town.processes.start("worker", name=name)
    await state_of(other, single, wanted="settled")

    async with town.web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT workflow_uuid FROM dbos.workflow_status WHERE queue_name = 'render' AND status <> 'ENQUEUED'"
            " ORDER BY started_at_epoch_ms, priority, created_at"
        )
    taken = [row["workflow_uuid"].partition(".")[0] for row in rows]
    assert single in taken[:3], "behind the first of the other client's, and what two workers took in one moment"
    assert set(taken) - {single} == set(many[: len(taken) - 1]), "and nobody before whose turn it was"
    assert len(taken) < MANY
