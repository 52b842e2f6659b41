"""Connections to the database, and rows as dataclasses."""

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import asyncpg
import sqlalchemy as sa

from licensing.tenancy import ACTING, APPLICATION, HOUSE, NOBODY
from service.db.tenancy import LendingPool, LentConnection, take_back, tell_party

IDLE_TRANSACTION_S = 60.0
# As asyncpg has them where nobody says anything.
_QUERIES_MAX, _UNUSED_S = 50_000, 300.0
_BESIDE_POOLS = {"web": 3, "worker": 4, "both": 5}
"""Connections that hear notices: of queues and the workflow engine's own; of switches in the web role; in a worker of
adapters to bring, and of switches, where it also confirms its orders."""

Kind = TypeVar("Kind")


def application_url(database_url: str) -> str:
    """The URL by which processes connect: with the role that owns nothing (`licensing.tenancy`).

    Its password follows from the owner's, so that one setting is enough for every process. An operator who gives the
    role a password of their own gives processes its URL, which is returned as it is.
    """
    url = sa.make_url(database_url)
    if url.username == APPLICATION:
        return database_url
    password = hmac.digest(url.password.encode(), APPLICATION.encode(), hashlib.sha256).hex() if url.password else None
    return url.set(username=APPLICATION, password=password).render_as_string(hide_password=False)


async def connect(database_url: str, **options: Any) -> asyncpg.Connection:
    """One connection of the application's role, which acts for the house."""
    return await asyncpg.connect(application_url(database_url), server_settings={ACTING: HOUSE}, **options)


def most_connections(role: str, *, num_pool: int, num_workflow: int) -> int:
    """How many connections a process of a role (`web`, `worker`, `both`) may have open at once, with pools so large."""
    return num_pool + num_workflow + _BESIDE_POOLS[role]


async def open_pool(database_url: str, size: int, *, idle_transaction_s: float = IDLE_TRANSACTION_S) -> asyncpg.Pool:
    """Up to `size` connections of the application's role for one process; each acts for its borrower and waits as long
    as they do (`service.db.tenancy`, `service.db.patience`). The server ends one whose transaction rests for
    `idle_transaction_s`: what it has locked is free again.

    JSON columns are text: `json.dumps` what goes in, `read` what comes out.
    """
    resting_ms = str(round(idle_transaction_s * 1000))
    return await LendingPool(
        application_url(database_url),
        min_size=1,
        max_size=size,
        max_queries=_QUERIES_MAX,
        max_inactive_connection_lifetime=_UNUSED_S,
        server_settings={ACTING: NOBODY, "idle_in_transaction_session_timeout": resting_ms},
        connection_class=LentConnection,
        record_class=asyncpg.Record,
        loop=None,
        setup=tell_party,
        reset=take_back,
    )


def to_rows(values: Sequence[Any]) -> str:
    """Frozen dataclasses as JSON for `jsonb_populate_recordset`: one statement then stores them all."""
    return json.dumps([vars(value) for value in values], default=str)


def read(kind: type[Kind], row: asyncpg.Record) -> Kind:
    """A frozen dataclass from a row: columns by the names of its fields, JSON columns (text where a `dict` or `list`
    is declared) decoded."""
    names, of_json = _columns(cast(Hashable, kind))
    values = {name: row[name] for name in names}
    for name in of_json:
        if isinstance(value := values[name], str):
            values[name] = json.loads(value)
    return kind(**values)


@cache
def _columns(kind: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a dataclass's fields, and of those of them that are JSON."""
    fields = dataclasses.fields(kind)
    return tuple(field.name for field in fields), tuple(
        field.name for field in fields if str(field.type).startswith(("dict", "list"))
    )
