"""How long anybody waits for the database: requests for seconds, everything else as long as it takes."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import psycopg
import pytest

from licensing.tenancy import APPLICATION
from service.db import prepare
from service.db.connections import most_connections, open_pool
from service.db.patience import Patience, waiting_for
from service.db.prepare import prepare_database
from service.doctor import examine
from service.errors import NotStarted
from service.settings import Settings
from tests.postgres import Server
from tests.service.conftest import Person, Place, browser, open_place, sign_in, slug_of

POOL = 2
HURRIED = {
    "statement_s": 0.5,
    "database_wait_s": 0.5,
    "num_database_connections": POOL,
    "num_workflow_connections": POOL,
}


@pytest.fixture(scope="module")
async def place(database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with open_place(database_url, configs, home=tmp_path_factory.mktemp("home"), **HURRIED) as opened:
        yield opened


@asynccontextmanager
async def styles_locked(place: Place) -> AsyncIterator[None]:
    """Nobody reads styles."""
    async with place.owner() as conn, conn.transaction():
        await conn.execute("LOCK TABLE service.styles IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def silent(server: psutil.Process) -> Iterator[None]:
    """The database keeps its connections and says nothing."""
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(family):
            process.send_signal(signal.SIGCONT)


def is_unanswered(answer: httpx.Response) -> bool:
    said = answer.json()["detail"]
    return answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1 and "database does not answer" in said


async def test_a_statement_of_a_request_is_given_up_and_the_asker_told_to_come_back(place: Place, creator: Person):
    async with styles_locked(place), asyncio.timeout(10):
        answer = await creator.http.get("/v1/styles")

    assert is_unanswered(answer)
    assert slug_of(answer) == "overloaded"
    assert (await creator.http.get("/v1/styles")).status_code == 200


async def test_what_is_no_request_waits_as_long_as_it_takes(place: Place, creator: Person):
    async with AsyncExitStack() as stack:
        async with styles_locked(place):
            assert is_unanswered(await creator.http.get("/v1/styles"))
            # One of the connections that requests used before; it goes back when it has counted.
            conn = await stack.enter_async_context(place.gateway.pool.acquire())
            counting = asyncio.create_task(conn.fetchval("SELECT count(*) FROM service.styles"))
            await asyncio.sleep(4 * HURRIED["statement_s"])
            is_waiting = not counting.done()
        async with asyncio.timeout(10):
            counted = await counting if is_waiting else None

    assert counted == 0


async def test_a_request_waits_for_a_connection_for_a_moment(place: Place, creator: Person):
    async with place.gateway.pool.acquire(), place.gateway.pool.acquire(), asyncio.timeout(10):
        answer = await creator.http.get("/v1/styles")

    assert is_unanswered(answer)


async def test_a_database_that_says_nothing_at_all_is_not_waited_for(place: Place, creator: Person):
    signed_in = browser(place, await sign_in(place, creator.account))
    async with place.owner() as conn:
        server = psutil.Process(await conn.fetchval("SELECT pg_backend_pid()")).parent()
    assert server is not None
    with silent(server):
        async with asyncio.timeout(20):
            answer = await creator.http.get("/v1/styles")
            page = await signed_in.get("/studio", headers={"Accept": "text/html"})

    assert is_unanswered(answer)
    assert page.status_code == 503
    assert "retry-after" in page.headers
    assert "The database does not answer" in page.text
    async with asyncio.timeout(30):
        while (await creator.http.get("/v1/styles")).status_code != 200:
            await asyncio.sleep(0.1)


async def test_a_connection_whose_transaction_rests_is_ended(database_url: str):
    async with await open_pool(database_url, 1, idle_transaction_s=0.2) as pool:
        async with pool.acquire() as conn:
            await conn.transaction().start()
            await asyncio.sleep(1)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
                await conn.execute("SELECT 1")

        async with pool.acquire() as conn:
            assert await conn.fetchval("SELECT 1") == 1


async def test_a_process_has_no_more_connections_than_the_sum_that_is_told(place: Place, creator: Person):
    most = 0
    asked = asyncio.gather(*(creator.http.get("/v1/styles") for _ in range(60)))
    async with place.owner() as conn:
        while not asked.done():
            most = max(
                most,
                await conn.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()",
                    APPLICATION,
                ),
            )
            await asyncio.sleep(0.01)
    await asked

    assert POOL < most <= most_connections("both", num_pool=POOL, num_workflow=POOL)


async def test_the_doctor_adds_connections_up(place: Place, tmp_path: Path):
    known = {"home": tmp_path, "configs": place.settings.configs, "database_url": place.database_url}

    few = await examine(Settings(**known))
    many = await examine(Settings(**known, num_workflow_connections=10_000))

    told = {
        name: one for name, found in (("few", few), ("many", many)) for one in found if one.subject == "connections"
    }
    assert told["few"].is_well
    assert "25 connections" in told["few"].sentence
    assert not told["many"].is_well
    assert "OWNHAND_NUM_WORKFLOW_CONNECTIONS" in told["many"].sentence


async def test_patience_is_told_to_a_connection_anew_for_each_borrower(database_url: str):
    async with await open_pool(database_url, 1) as pool:
        with waiting_for(Patience(connect_s=1, statement_s=0.2)):
            async with pool.acquire() as conn:
                hurried = await conn.fetchval("SHOW statement_timeout")
        async with pool.acquire() as conn:
            patient = await conn.fetchval("SHOW statement_timeout")

    assert (hurried, patient) == ("200ms", "0")


def test_a_change_of_tables_waits_for_a_lock_without_holding_up_others(
    postgres: Server, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prepare, "LOCK_S", 0.2)
    monkeypatch.setattr(prepare, "BETWEEN_TRIES_S", 0.5)
    with psycopg.connect(database_url) as reading, psycopg.connect(database_url, autocommit=True) as other:
        _forget_binding(database_url)
        reading.execute("SELECT FROM service.works")
        letting_go = threading.Timer(4.0, reading.rollback)
        letting_go.start()
        began = time.monotonic()

        preparing = threading.Thread(target=prepare_database, args=(database_url,))
        preparing.start()
        waits = []
        while preparing.is_alive():
            asked = time.monotonic()
            other.execute("SELECT FROM service.works")
            waits.append(time.monotonic() - asked)
            time.sleep(0.02)
        row = other.execute("SELECT obj_description('service'::regnamespace, 'pg_namespace')").fetchone()

    assert time.monotonic() - began > 4.0
    # Of a try, or of the change itself once nobody is in its way.
    assert max(waits) < 3.0, "whoever reads waits no longer than a try lasts"
    assert row is not None
    assert str(row[0]).startswith("rows ")


def test_a_lock_that_is_never_free_is_named(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare, "LOCK_S", 0.1)
    monkeypatch.setattr(prepare, "BETWEEN_TRIES_S", 0.01)
    with psycopg.connect(database_url) as reading:
        _forget_binding(database_url)
        reading.execute("SELECT FROM service.works")

        with pytest.raises(NotStarted, match="pg_stat_activity"):
            prepare_database(database_url)


def _forget_binding(database_url: str) -> None:
    """Have the next start bind the application to its rows anew, which changes every table."""
    with psycopg.connect(database_url) as conn:
        conn.execute("COMMENT ON SCHEMA service IS 'something else'")
