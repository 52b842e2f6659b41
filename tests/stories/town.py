"""A town: web and worker as real processes that tests may kill, a creator's published style, a client with money."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from licensing import keys
from licensing.ledger import check
from licensing.money import Money
from licensing.payments import manual
from service.accounts import Role, ensure_account
from service.ids import new_id
from service.resources import Gateway, open_gateway
from service.settings import Settings
from tests.service.conftest import Person
from tests.service.market import publish_style, write_configs, write_style_adapter
from tests.setups import new_storage, num_workers
from tests.stories.processes import Processes, free_port

CENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Town:
    """The running processes, and the database and storage behind them."""

    processes: Processes
    web: Gateway
    client: Person
    creator: Person
    style_id: str

    async def ask(self, key: str, *, wait: int, count: int = 2, **more: Any) -> dict[str, Any] | None:
        """An order; None where the connection broke."""
        body = {"style": self.style_id, "prompt": "a red apple", "seed": 3, "count": count} | more
        with contextlib.suppress(httpx.TransportError):
            answer = await self.client.http.post(
                "/v1/generations", json=body, headers={"Idempotency-Key": key, "Prefer": f"wait={wait}"}
            )
            assert answer.status_code == 201, answer.text
            return dict(answer.json())
        return None

    async def who_draws(self, order_id: str) -> str:
        """The name of the process that draws an order now."""
        async with self.web.pool.acquire() as conn, asyncio.timeout(60):
            while True:
                pid = await conn.fetchval(
                    "SELECT e.pid FROM dbos.workflow_status s JOIN service.executors e ON e.id = s.executor_id"
                    " WHERE s.queue_name = 'render' AND s.status = 'PENDING'"
                    " AND split_part(s.workflow_uuid, '.', 1) = $1",
                    order_id,
                )
                if pid is not None:
                    return self.processes.name_of(pid)
                await asyncio.sleep(0.02)

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


@asynccontextmanager
async def open_town(
    database_url: str, folder: Path, *, has_worker: bool = True, workers: int | None = None, **more: Any
) -> AsyncIterator[Town]:
    """Both processes running, or the web process alone. workers: how many, where not as many as the set-up has. more:
    settings, also in place of those that make a town small and quick to look."""
    own: dict[str, Any] = {
        "storage_url": new_storage(),
        "poll_interval_s": 0.05,
        "num_threads": 1,
        "num_database_connections": 4,
        "num_workflow_connections": 4,
    }
    settings = Settings(
        home=folder / "home",
        configs=write_configs(folder / "configs"),
        database_url=database_url,
        default_base="tiny",
        port=free_port(),
        **own | more,
    )
    processes = Processes(settings=settings, log=folder / "log")
    try:
        async with open_gateway(settings, database_url) as web:
            if has_worker:
                processes.start("worker")
                for number in range(2, (workers or num_workers()) + 1):
                    processes.start("worker", name=f"worker-{number}")
            processes.start("web")
            creator, client = await person(web, "creator", "creator"), await person(web, "client", "live")
            adapter = write_style_adapter(settings.configs, folder / "adapter.safetensors")
            style_id = await publish_style(web, creator, adapter)
            yield Town(processes=processes, web=web, client=client, creator=creator, style_id=style_id)
    finally:
        processes.end()


async def person(web: Gateway, role: Role, kind: keys.KeyKind, *, name: str | None = None) -> Person:
    async with web.pool.acquire() as conn, conn.transaction():
        account = await ensure_account(
            conn,
            role=role,
            email=f"{name or role}@example.org",
            name=None,
            ownership_terms=web.ownership.version,
            now=web.clock(),
            new_id=new_id,
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
