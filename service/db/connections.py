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
from service.db.tenancy import LentConnection, take_back, tell_party

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


async def open_pool(database_url: str, size: int) -> asyncpg.Pool:
    """Connections of the application's role for one process; each acts for its borrower (`service.db.tenancy`).

    JSON columns are text: `json.dumps` what goes in, `read` what comes out.
    """
    return await asyncpg.create_pool(
        application_url(database_url),
        min_size=1,
        max_size=size,
        server_settings={ACTING: NOBODY},
        connection_class=LentConnection,
        setup=tell_party,
        reset=take_back,
    )


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
