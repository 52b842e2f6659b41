"""Databases made ready, and connections to them."""

import dataclasses
import json
import time
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import asyncpg
import psycopg
import psycopg.sql
import sqlalchemy as sa
from dbos import DBOS

from licensing.database import migrate as migrate_licensing
from service.db.migrate import migrate as migrate_service
from service.errors import NotStarted

Kind = TypeVar("Kind")
# Any number, the same for every process.
_LOCK = 6_027_000


def prepare_database(database_url: str) -> None:
    """Create the database that the URL names if it is not there, and bring every room's tables up to date.

    Processes that do so at once do it one after the other. Raises NotStarted where no server answers.
    """
    try:
        psycopg.connect(database_url).close()
    except psycopg.OperationalError:
        # No such database, or no server: the next connection tells them apart.
        _create_database(sa.make_url(database_url))
    with psycopg.connect(database_url, autocommit=True) as connection:
        _lock(connection)
        migrate_licensing(database_url)
        migrate_service(database_url)
        DBOS.migrate(database_url)


def _create_database(url: sa.URL) -> None:
    assert url.database, f"{url} names no database"
    server = url.set(database="postgres").render_as_string(hide_password=False)
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            # Two CREATE DATABASE at once fail in several ways.
            _lock(connection)
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [url.database]).fetchone() is None:
                name = psycopg.sql.Identifier(url.database)
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
    except psycopg.OperationalError as error:
        raise NotStarted(f"the database at {url} does not answer ({str(error).strip()}); is it running?") from error


def _lock(connection: psycopg.Connection) -> None:
    """Hold the lock of preparing until the connection closes. Asked for again and again, because a statement that waits
    holds a snapshot, and CREATE INDEX CONCURRENTLY in the process that has the lock waits for all of those."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(0.1)


async def open_pool(database_url: str, size: int) -> asyncpg.Pool:
    """Connections for one process. JSON columns are text: `json.dumps` what goes in, `read` what comes out."""
    return await asyncpg.create_pool(database_url, min_size=1, max_size=size)


def to_rows(values: Sequence[Any]) -> str:
    """Frozen dataclasses as JSON for `jsonb_populate_recordset`: one statement then stores them all."""
    return json.dumps([vars(value) for value in values], default=str)


def read(kind: type[Kind], row: asyncpg.Record) -> Kind:
    """A frozen dataclass from a row: columns by the names of its fields, JSON columns (text where a `dict` or `list`
    is declared) decoded."""
    values: dict[str, Any] = {}
    for name, holds_json in _columns(cast(Hashable, kind)):
        value = row[name]
        values[name] = json.loads(value) if holds_json and isinstance(value, str) else value
    return kind(**values)


@cache
def _columns(kind: Any) -> tuple[tuple[str, bool], ...]:
    """The names of a dataclass's fields, and whether each is JSON."""
    return tuple((field.name, str(field.type).startswith(("dict", "list"))) for field in dataclasses.fields(kind))
