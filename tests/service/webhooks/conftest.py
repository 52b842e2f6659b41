"""A web process without its loop, so that tests send by hand at the time they choose; and the whole one, with it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import outbox, webhooks
from service.accounts import ensure_account
from service.ids import new_id
from service.posting import open_http
from service.resources import Gateway, open_gateway
from service.sending import send_next
from service.settings import Settings
from service.webhooks import Endpoint
from tests.service.conftest import Place, open_place
from tests.service.webhooks.receiver import NETWORKS, Receiver, receiving


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What sends by hand. `start` is the time at which everything begins."""

    web: Gateway
    http: httpx.AsyncClient
    start: datetime

    async def endpoint(self, url: str, *, client_id: str = "") -> tuple[Endpoint, str]:
        """A new endpoint, of a new client where none is named, and its secret."""
        async with self.web.pool.acquire() as conn:
            if not client_id:
                account = await ensure_account(
                    conn,
                    role="client",
                    email=f"{new_id('x')}@example.org",
                    name=None,
                    ownership_terms=self.web.ownership.version,
                    now=self.start,
                    new_id=new_id,
                )
                client_id = account.id
            return await webhooks.add_endpoint(conn, self.web, client_id=client_id, url=url, kinds=[], description="")

    async def tell(self, endpoint: Endpoint, count: int = 1) -> list[str]:
        """So many messages that wait for an endpoint in turn; their ids."""
        ids = [new_id("msg") for _ in range(count)]
        async with self.web.pool.acquire() as conn, conn.transaction():
            for number, message_id in enumerate(ids):
                await conn.execute(
                    "INSERT INTO service.messages (id, kind, body, created_at) VALUES ($1, 'style.switched', $2, $3)",
                    *(message_id, f'{{"type": "style.switched", "data": {{"number": {number}}}}}', self.start),
                )
                await conn.execute(
                    "INSERT INTO service.deliveries (message_id, webhook_id) VALUES ($1, $2)", message_id, endpoint.id
                )
        return ids

    async def send(self, after: timedelta = timedelta(0)) -> int:
        """Send all that is due so long after the start; how many tries that took."""
        count = 0
        while await send_next(self.web, self.http, now=self.start + after):
            count += 1
        return count

    async def send_again(self, endpoint: Endpoint, message_id: str, after: timedelta = timedelta(0)) -> bool:
        async with self.web.pool.acquire() as conn:
            return await outbox.send_again(conn, endpoint.id, message_id, now=self.start + after)

    async def ping(self, endpoint: Endpoint, after: timedelta = timedelta(0)) -> str:
        message_id = new_id("msg")
        async with self.web.pool.acquire() as conn:
            await outbox.ping(conn, endpoint.id, message_id=message_id, now=self.start + after)
        return message_id

    async def log(self, endpoint: Endpoint) -> dict[str, tuple[str, list[dict[str, Any]]]]:
        """State and attempts of an endpoint's messages, the oldest first."""
        async with self.web.pool.acquire() as conn:
            found = await outbox.list_deliveries(conn, endpoint.id, limit=100)
        return {one.id: (one.state, one.attempts) for one in reversed(found)}

    async def states(self, endpoint: Endpoint) -> list[str]:
        return [state for state, _ in (await self.log(endpoint)).values()]

    async def now_is(self, endpoint: Endpoint) -> Endpoint:
        async with self.web.pool.acquire() as conn:
            found = await webhooks.find_endpoint(conn, endpoint.id, client_id=endpoint.client_id)
        assert found is not None
        return found

    def with_pepper(self, pepper: bytes) -> "Sender":
        return replace(self, web=replace(self.web, pepper=pepper))


@pytest.fixture(scope="module")
async def web(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), configs=configs, webhook_networks=NETWORKS)
    async with open_gateway(settings, database_url) as opened:
        yield opened


@pytest.fixture
async def sender(web: Gateway) -> AsyncIterator[Sender]:
    """Nothing is left to be sent from the test before."""
    async with web.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.webhooks")
        await conn.execute("DELETE FROM service.messages")
    async with open_http() as http:
        yield Sender(web=web, http=http, start=web.clock())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    home = tmp_path_factory.mktemp("home")
    async with open_place(database_url, configs, home=home, webhook_networks=NETWORKS) as opened:
        yield opened
