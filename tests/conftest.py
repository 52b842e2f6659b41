"""Fixtures that every room's tests may use."""

from collections.abc import Iterator

import pytest

from tests.postgres import Server, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One embedded Postgres for the whole run."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_url(postgres: Server) -> Iterator[str]:
    """The URL of a fresh, empty database that belongs to this test module alone."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)
