"""Fixtures that every room's tests may use."""

from collections.abc import Iterator

import pytest

from tests.postgres import Server
from tests.setups import NAMES, Setup, open_setup


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--setup", choices=NAMES, default=NAMES[0], help="on what the tests run (tests/setups.py)")


@pytest.fixture(scope="session")
def setup(request: pytest.FixtureRequest) -> Iterator[Setup]:
    """What the whole run uses."""
    with open_setup(request.config.getoption("--setup")) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres(setup: Setup) -> Server:
    """One Postgres for the whole run."""
    return setup.postgres


@pytest.fixture(scope="module")
def database_url(postgres: Server) -> Iterator[str]:
    """The URL of a fresh, empty database that belongs to this test module alone."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)
