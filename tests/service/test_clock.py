"""A clock that a test moves from outside: everything follows it, and nothing real can ever be under it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import AHEAD, clock_of, utc_now
from service.errors import NotStarted
from service.postgres import database
from service.settings import Settings


def movable(home: Path, **given: Any) -> Settings:
    return Settings(home=home, movable_clock=True, **given)


def test_a_home_that_is_begun_with_a_movable_clock_follows_its_file(tmp_path: Path):
    clock = clock_of(movable(tmp_path))
    assert abs(clock() - utc_now()) < timedelta(seconds=5)

    (tmp_path / AHEAD).write_text(str(31 * 86_400))

    assert timedelta(days=31) <= clock() - utc_now() + timedelta(seconds=1) < timedelta(days=31, seconds=5)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"database_url": "postgresql://db.example.org/ownhand"}, "OWNHAND_DATABASE_URL names a server"),
        ({"storage_url": "s3://pictures"}, "OWNHAND_STORAGE_URL names a place"),
        ({"payments": "stripe"}, "moves real money"),
        ({"public_url": "https://ownhand.example.org"}, "others can reach https://ownhand.example.org"),
        ({"host": "0.0.0.0"}, "others can reach"),
    ],
)
def test_a_movable_clock_is_refused_beside_anything_real(tmp_path: Path, given: dict[str, Any], reason: str):
    with pytest.raises(NotStarted, match=reason):
        clock_of(movable(tmp_path, **given))


def test_a_home_that_was_begun_with_the_machines_clock_keeps_it(tmp_path: Path):
    (tmp_path / "postgres").mkdir()

    with (
        pytest.raises(NotStarted, match="was begun with the machine's clock; take the setting away"),
        database(movable(tmp_path)),
    ):
        pass
    assert not (tmp_path / AHEAD).exists()


def test_a_home_whose_clock_was_moved_is_never_served_without_it(tmp_path: Path):
    clock_of(movable(tmp_path))

    with pytest.raises(NotStarted, match="its dates are made up"), database(Settings(home=tmp_path)):
        pass


def test_the_children_of_a_supervisor_go_by_its_clock(tmp_path: Path):
    clock_of(movable(tmp_path))
    (tmp_path / "postgres").mkdir()
    (tmp_path / AHEAD).write_text("86400")
    url = f"postgresql://ownhand_app@/ownhand?host={tmp_path / 'postgres'}"

    assert clock_of(movable(tmp_path, database_url=url))() > datetime.now(UTC) + timedelta(hours=23)
