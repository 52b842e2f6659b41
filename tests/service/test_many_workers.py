"""Many workers: one that leaves hands over, one of another version takes nothing, each takes what it was told to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from service.doctor import examine
from service.errors import NotStarted
from service.settings import ROOT, read_settings
from service.skew import STEPS, apart, known_revision
from tests.service.conftest import open_place
from tests.stories.test_a_worker_leaves_and_the_next_goes_on_in_the_middle_of_a_picture import ORDER, half_made
from tests.stories.town import Town, open_town

# Nobody's silence gives work away here: what goes on was handed over.
SILENCE_S = 600.0
WORKERS = ("one", "two", "three", "reviewer", "drawer")


@pytest.fixture(scope="module")
async def town(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    async with open_town(
        database_url, folder, has_worker=False, keep_every_s=0.1, executor_silence_s=SILENCE_S
    ) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_worker_is_left(town: Town) -> Iterator[None]:
    yield
    for name in WORKERS:
        town.processes.kill(name)


@contextmanager
def started_with(town: Town, **settings: Any) -> Iterator[None]:
    """Workers that are started inside have other settings."""
    before = town.processes.settings
    town.processes.settings = replace(before, **settings)
    try:
        yield
    finally:
        town.processes.settings = before


async def renderings(town: Town, order_id: str, state: str) -> list[str]:
    """The executors of an order's renderings that are in a state of the workflow engine's."""
    async with town.web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT executor_id FROM dbos.workflow_status WHERE queue_name = 'render' AND status = $2"
            " AND split_part(workflow_uuid, '.', 1) = $1",
            *(order_id, state),
        )
    return [row["executor_id"] for row in rows]


async def until_asked(town: Town, order_id: str) -> None:
    """Until the order's pictures are asked of the workers."""
    async with asyncio.timeout(60):
        while not await renderings(town, order_id, "ENQUEUED"):
            await asyncio.sleep(0.05)


async def until_living(town: Town, count: int) -> None:
    """Until so many workers have said that they live since this was called."""
    since = town.web.clock()
    async with asyncio.timeout(120):
        while True:
            async with town.web.pool.acquire() as conn:
                found = await conn.fetchval(
                    "SELECT count(*) FROM service.executors WHERE role = 'worker' AND seen_at > $1", since
                )
            if found >= count:
                return
            await asyncio.sleep(0.1)


async def said_of_processes(town: Town) -> str:
    return next(one.sentence for one in await examine(town.web.settings) if one.subject == "processes")


async def test_a_worker_that_ends_in_good_order_hands_over_to_another_machine(town: Town):
    town.processes.start("worker", name="one")
    home = town.web.settings.home
    storage = town.web.settings.storage_url or f"file:{home / 'objects'}"
    with started_with(town, home=home / "elsewhere", storage_url=storage):
        town.processes.start("worker", name="two")
    await until_living(town, 2)
    key = uuid.uuid4().hex
    asked = await town.ask(key, wait=0, **ORDER)
    assert asked is not None
    kept = await half_made(town, asked["id"])
    [first] = await renderings(town, asked["id"], "PENDING")

    town.processes.stop(await town.who_draws(asked["id"]))
    settled = await town.ask(key, wait=60, **ORDER)

    assert settled is not None
    assert settled["state"] == "settled"
    [second] = await renderings(town, asked["id"], "SUCCESS")
    assert second != first, "nobody waited for the first to come back"
    assert kept > 0
    await town.is_tidy()


async def test_a_worker_leaves_what_was_begun_for_other_steps(town: Town):
    key = uuid.uuid4().hex
    asked = await town.ask(key, wait=0, count=1)
    assert asked is not None
    await until_asked(town, asked["id"])
    await _set_version(town, asked["id"], "another")
    async with town.web.house() as conn:
        await conn.execute(
            "UPDATE service.executors SET machine = machine || '{\"steps\": \"another\"}' WHERE role = 'worker'"
        )
        before = await apart(conn, steps=STEPS, now=town.web.clock(), silence_s=SILENCE_S)

    town.processes.start("worker", name="three")
    await until_living(town, 1)
    await asyncio.sleep(3)

    assert await renderings(town, asked["id"], "ENQUEUED"), "it was not taken"
    assert before
    assert "neither takes work that was begun for the other" in town.processes.log.read_text()
    await _set_version(town, asked["id"], STEPS)
    settled = await town.ask(key, wait=60, count=1)
    assert settled is not None
    assert settled["state"] == "settled"


async def test_a_worker_takes_what_it_was_told_to(town: Town):
    key = uuid.uuid4().hex
    with started_with(town, takes="reviews"):
        town.processes.start("worker", name="reviewer")
    await until_living(town, 1)
    asked = await town.ask(key, wait=0, count=1)
    assert asked is not None
    await until_asked(town, asked["id"])
    await asyncio.sleep(3)
    left = await renderings(town, asked["id"], "ENQUEUED")
    town.processes.start("worker", name="drawer")
    settled = await town.ask(key, wait=60, count=1)

    assert left
    assert settled is not None
    assert settled["state"] == "settled"


async def test_the_doctor_says_what_no_worker_takes(town: Town):
    async with town.web.house() as conn:
        await conn.execute("UPDATE service.executors SET seen_at = now() - interval '1 day' WHERE role = 'worker'")
        await conn.execute(
            "UPDATE service.executors SET seen_at = now() + interval '1 hour',"
            ' machine = machine || \'{"takes": ["reviews"]}\''
            " WHERE id = (SELECT id FROM service.executors WHERE role = 'worker' LIMIT 1)"
        )

    said = await said_of_processes(town)

    assert "no worker takes pictures" in said
    assert "no worker takes trainings" in said
    assert "takes reviews" not in said


@pytest.mark.parametrize("room", ["service", "licensing"])
def test_the_revision_that_is_known_is_the_newest_migration(room: str):
    folder = ROOT / ("service/db" if room == "service" else "licensing") / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))

    assert known_revision(room) == ScriptDirectory.from_config(config).get_current_head()


@pytest.mark.parametrize(
    ("room", "revision", "sentence"),
    [("service", "0001", "run `ownhand migrate`"), ("licensing", "9999", "of a newer version than this one")],
)
async def test_nothing_starts_over_tables_of_another_version(
    town: Town, tmp_path: Path, room: str, revision: str, sentence: str
):
    assert town.web.settings.database_url is not None
    place = open_place(town.web.settings.database_url, town.web.settings.configs, home=tmp_path)
    async with tables_at(town, room, revision, oldest_code=revision):
        with pytest.raises(NotStarted, match=sentence):
            async with place:
                pass


async def test_an_older_version_starts_over_tables_that_have_got_additions_alone(town: Town, tmp_path: Path):
    assert town.web.settings.database_url is not None
    known = known_revision("licensing")
    url, configs = town.web.settings.database_url, town.web.settings.configs
    async with (
        tables_at(town, "licensing", "9999", oldest_code=known),
        open_place(url, configs, home=tmp_path) as place,
    ):
        assert (await place.stranger.get("/readyz")).is_success


@asynccontextmanager
async def tables_at(town: Town, room: str, revision: str, *, oldest_code: str) -> AsyncIterator[None]:
    """A room's tables say that they are at a revision, and which version's code may be started over them."""
    owner = await asyncpg.connect(town.web.settings.database_url)
    told = f"SELECT version_num, revision FROM {room}.alembic_version, service.oldest_code WHERE room = $1"

    async def tell(found: str, oldest: str) -> None:
        await owner.execute(f"UPDATE {room}.alembic_version SET version_num = $1", found)
        await owner.execute("UPDATE service.oldest_code SET revision = $2 WHERE room = $1", room, oldest)

    before = await owner.fetchrow(told, room)
    try:
        await tell(revision, oldest_code)
        yield
    finally:
        await tell(*before)
        await owner.close()


def test_a_kind_of_work_that_is_none_is_named():
    with pytest.raises(ValueError, match="'dreams'; write some of pictures"):
        read_settings({"OWNHAND_TAKES": "pictures, dreams"})

    assert read_settings({"OWNHAND_TAKES": "reviews,pictures"}).taken_work == ("pictures", "reviews")


async def _set_version(town: Town, order_id: str, version: str) -> None:
    async with town.web.house() as conn:
        await conn.execute(
            "UPDATE dbos.workflow_status SET application_version = $2"
            " WHERE queue_name = 'render' AND split_part(workflow_uuid, '.', 1) = $1",
            *(order_id, version),
        )
