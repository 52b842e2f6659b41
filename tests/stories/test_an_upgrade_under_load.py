"""The database is brought to a next version while clients buy from processes of this one.

The next version is this one's files with a change more. Where it only adds, nobody is refused anything, and a process
of this version can even be started anew over the next one's tables. Where it takes something away that processes of
this version use, it waits until they have ended, and nothing is changed before.
"""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import psycopg
import pytest

from licensing import migrate as licensing_room
from licensing.ledger import check
from service.db import functions as service_functions
from service.db import migrate as service_room
from service.db.prepare import prepare_database
from service.errors import NotStarted
from service.skew import known_revision
from tests.postgres import Server
from tests.service.market import PRICE
from tests.stories.town import Town, open_town

BUYERS = 4
SECONDS, PATIENCE_S = 2.0, 120.0
_NONE: Mapping[str, str] = MappingProxyType({})
_REVISION = '''"""{what}."""

from alembic import op

revision = "9998"
down_revision = "{before}"
INDEXES = {indexes!r}
{additive}

def upgrade() -> None:
    op.execute("""{statement}""")
'''


@dataclass(frozen=True)
class NextVersion:
    """The files of the rooms, to be changed. `at` has what is prepared come from them."""

    licensing: Path
    service: Path

    def add_revision(
        self, room: str, statement: str, *, what: str, is_additive: bool, indexes: Mapping[str, str] = _NONE
    ) -> None:
        folder = (self.licensing if room == "licensing" else self.service) / "migrations" / "versions"
        additive = "ADDITIVE = True\n" if is_additive else ""
        text = _REVISION.format(
            what=what, before=known_revision(room), additive=additive, statement=statement, indexes=dict(indexes)
        )
        (folder / "9998_next.py").write_text(text)

    def change_function(self, name: str, before: str, after: str) -> None:
        path = self.licensing / "sql" / f"{name}.sql"
        text = path.read_text()
        assert text.count(before) == 1
        path.write_text(text.replace(before, after))


@pytest.fixture
def database_url(postgres: Server, migrated: str) -> Iterator[str]:
    """Each of these tests changes its tables."""
    name = postgres.create_database(template=migrated)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NextVersion:
    files = NextVersion(tmp_path / "licensing", tmp_path / "service")
    shutil.copytree(Path(licensing_room.__file__).parent, files.licensing)
    shutil.copytree(Path(service_functions.__file__).parent, files.service)
    monkeypatch.setattr(licensing_room, "_ROOM", files.licensing)
    monkeypatch.setattr(service_room, "_MIGRATIONS", files.service / "migrations")
    return files


@pytest.fixture
async def town(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with open_town(database_url, tmp_path_factory.mktemp("town"), requests_per_minute=100_000) as opened:
        yield opened


@asynccontextmanager
async def buying(town: Town, answers: list[httpx.Response]) -> AsyncIterator[None]:
    """Clients order all the while, from before to after the block."""
    is_over = False

    async def buy() -> None:
        while not is_over:
            body = {"style": town.style_id, "prompt": "a red apple", "seed": 3, "count": 1}
            headers = {"Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=30"}
            answers.append(await town.client.http.post("/v1/generations", json=body, headers=headers))

    buyers = [asyncio.create_task(buy()) for _ in range(BUYERS)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(answers) < BUYERS:
                await asyncio.sleep(0.05)
        yield
        await asyncio.sleep(SECONDS)
    finally:
        is_over = True
        await asyncio.gather(*buyers)


def owners(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(statement.encode()).fetchall()


async def test_additions_are_made_while_clients_buy(town: Town, database_url: str, next_version: NextVersion):
    next_version.add_revision(
        "licensing", "ALTER TABLE licensing.hold ADD COLUMN note text", what="notes", is_additive=True
    )
    next_version.add_revision(
        "service",
        "ALTER TABLE service.generations ADD COLUMN note text DEFAULT ''",
        what="notes",
        is_additive=True,
        indexes={"generations_by_note": "service.generations (note)"},
    )
    # What every order goes through is another function from now on, under the same name.
    next_version.change_function(
        "attempts", "SET fence = fence + 1, running = true", "SET fence = fence + 1 , running = true"
    )
    answers: list[httpx.Response] = []

    async with buying(town, answers):
        num_before = len(answers)
        await asyncio.to_thread(prepare_database, database_url)
        num_after = len(answers)
        # This version, started anew: by its supervisor, or because it was rolled back.
        await asyncio.to_thread(town.processes.start, "worker", name="worker-again")

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["state"] for answer in answers} == {"settled"}
    assert num_before > 0
    assert len(answers) > num_after
    assert await town.spent() == PRICE * len(answers)
    assert owners(database_url, "SELECT version_num FROM service.alembic_version") == [("9998",)]
    assert owners(database_url, "SELECT DISTINCT note FROM service.generations") == [("",)]
    of_notes = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'service.generations_by_note'::regclass"
    assert owners(database_url, of_notes) == [(True,)]
    async with town.web.pool.acquire() as conn:
        assert await check(conn) == []
    assert town.processes.is_alive("worker-again")


def column_is_renamed(files: NextVersion) -> str:
    files.add_revision(
        "service",
        "ALTER TABLE service.generations RENAME COLUMN step TO steps_done",
        what="plain names",
        is_additive=False,
    )
    return r"service 9998 \(plain names\.\)"


def argument_is_new(files: NextVersion) -> str:
    files.change_function("attempts", "begin_attempt(p_order text,", "begin_attempt(p_why text, p_order text,")
    return r"begin_attempt\(p_order text, p_now timestamp with time zone\) -> "


@pytest.mark.parametrize("change", [column_is_renamed, argument_is_new])
async def test_what_this_version_uses_is_not_taken_away_while_it_runs(
    town: Town, database_url: str, next_version: NextVersion, change: Callable[[NextVersion], str]
):
    named = change(next_version)

    with pytest.raises(NotStarted, match=named):
        await asyncio.to_thread(prepare_database, database_url)
    settled = await town.ask(uuid.uuid4().hex, wait=30, count=1)

    assert settled is not None
    assert settled["state"] == "settled"
    assert owners(database_url, "SELECT version_num FROM service.alembic_version") == [(known_revision("service"),)]


async def test_what_is_taken_away_is_when_processes_have_ended(
    town: Town, database_url: str, next_version: NextVersion
):
    column_is_renamed(next_version)
    town.processes.end()
    # This test's own connections, too.
    await town.web.pool.close()

    await asyncio.to_thread(prepare_database, database_url)

    assert owners(database_url, "SELECT version_num FROM service.alembic_version") == [("9998",)]
    assert owners(database_url, "SELECT revision FROM service.oldest_code WHERE room = 'service'") == [("9998",)]
    with pytest.raises(AssertionError, match="of a newer version than this one"):
        await asyncio.to_thread(town.processes.start, "web")
