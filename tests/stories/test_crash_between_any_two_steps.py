"""A power cut between any two steps of a generation: it is delivered if and only if it is charged, and charged once.

Real processes are killed by SIGKILL at every named point and started again; the client repeats its request with the
same Idempotency-Key, as a program would whose connection broke.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from licensing import keys
from licensing.ledger import check
from licensing.money import Money
from licensing.payments import manual
from service.accounts import Role, ensure_account
from service.faults import POINTS
from service.ids import new_id
from service.resources import Gateway, open_gateway
from service.settings import Settings
from tests.service.conftest import Person
from tests.service.market import PRICE, publish_style, write_configs, write_style_adapter
from tests.stories.processes import Processes, free_port

WEB_POINTS = [point for point, meaning in POINTS.items() if meaning.startswith("web:") and point != "voided"]
WORKER_POINTS = [point for point, meaning in POINTS.items() if meaning.startswith("worker:")]
CENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Town:
    """The running processes, and the database and storage behind them."""

    processes: Processes
    web: Gateway
    client: Person
    creator: Person
    style_id: str

    async def ask(self, key: str, *, wait: int, count: int = 2) -> dict[str, Any] | None:
        """An order; None where the connection broke."""
        body = {"style": self.style_id, "prompt": "a red apple", "seed": 3, "count": count}
        with contextlib.suppress(httpx.TransportError):
            answer = await self.client.http.post(
                "/v1/generations", json=body, headers={"Idempotency-Key": key, "Prefer": f"wait={wait}"}
            )
            assert answer.status_code == 201, answer.text
            return dict(answer.json())
        return None

    async def spent(self) -> int:
        found = (await self.client.http.get("/v1/usage")).json()
        assert found["prepaid_held"]["amount"] == 0
        return CENTS - int(found["prepaid"]["amount"])

    async def is_tidy(self) -> None:
        """Nothing lies under pending/, every stored output belongs to a row, and the books balance."""
        storage = self.web.storage
        for _ in range(200):
            if not list(storage.list_keys("pending/")):
                break
            await asyncio.sleep(0.05)
        assert list(storage.list_keys("pending/")) == []
        async with self.web.pool.acquire() as conn:
            rows = await conn.fetch("SELECT storage_key FROM service.outputs ORDER BY storage_key")
            assert list(storage.list_keys("outputs/")) == [row["storage_key"] for row in rows]
            assert await check(conn) == []


async def person(web: Gateway, role: Role, kind: keys.KeyKind, *, name: str | None = None) -> Person:
    async with web.pool.acquire() as conn, conn.transaction():
        account = await ensure_account(
            conn, role=role, email=f"{name or role}@example.org", name=None, now=web.clock(), new_id=new_id
        )
        issued = await keys.issue(
            conn, account_id=account.id, kind=kind, new_id=new_id, now=web.clock(), pepper=web.pepper
        )
        if role == "client":
            await manual.credit(conn, account.id, Money(CENTS, "EUR"), new_id("pay"), web.clock())
    http = httpx.AsyncClient(
        base_url=web.settings.origin, headers={"Authorization": f"Bearer {issued.token}"}, timeout=60
    )
    return Person(account=account, token=issued.token, http=http)


@pytest.fixture(scope="module")
async def town(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder: Path = tmp_path_factory.mktemp("town")
    settings = Settings(
        home=folder / "home",
        configs=write_configs(folder / "configs"),
        database_url=database_url,
        default_base="tiny",
        port=free_port(),
        poll_interval_s=0.05,
        num_threads=1,
        num_database_connections=4,
    )
    processes = Processes(settings=settings, log=folder / "log")
    try:
        async with open_gateway(settings, database_url) as web:
            processes.start("worker")
            processes.start("web")
            creator, client = await person(web, "creator", "creator"), await person(web, "client", "live")
            adapter = write_style_adapter(settings.configs, folder / "adapter.safetensors")
            style_id = await publish_style(web, creator, adapter)
            yield Town(processes=processes, web=web, client=client, creator=creator, style_id=style_id)
    finally:
        processes.end()


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


async def delivered(town: Town, generation: dict[str, Any]) -> None:
    """Every picture can be fetched and is what was sold."""
    for output in generation["outputs"]:
        picture = await town.client.http.get(f"/v1/outputs/{output['id']}")
        assert picture.status_code == 200
        verdict = await town.client.http.post("/v1/verify", files={"file": ("picture.png", picture.content)})
        assert (verdict.json()["verdict"], verdict.json()["output"]) == ("valid", output["id"])
