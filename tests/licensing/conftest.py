"""A migrated database for each module; after every test the whole ledger is recomputed."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from licensing.authority import Authority, open_authority
from licensing.ledger import check
from licensing.migrate import migrate
from tests.licensing.world import World
from tests.postgres import Server


@pytest.fixture(scope="session")
def migrated_template(postgres: Server) -> str:
    """The name of a migrated database to copy: copying is faster than migrating."""
    name = postgres.create_database()
    migrate(postgres.url(name))
    return name


@pytest.fixture(scope="module")
def licensing_url(postgres: Server, migrated_template: str) -> Iterator[str]:
    name = postgres.create_database(template=migrated_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def pool(licensing_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(licensing_url, min_size=1, max_size=12) as pool:
        yield pool


@pytest_asyncio.fixture
async def world(pool: asyncpg.Pool) -> AsyncIterator[World]:
    """Makes what a test needs, and checks at its end that every rule of the ledger still holds."""
    yield World(pool=pool)
    async with pool.acquire() as conn:
        assert await check(conn) == []


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("keys") / "authority")
