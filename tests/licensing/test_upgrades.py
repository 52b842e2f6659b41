"""Indexes that are built after the tables are changed, beside whoever writes."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from alembic.config import Config

from licensing.upgrades import build_indexes, later_indexes
from tests.postgres import Server

INDEXES = {"things_by_name": "licensing.things (name)", "things_by_size": "licensing.things (size DESC) WHERE size > 0"}
_VALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'licensing.things'::regclass AND indisvalid"


@pytest.fixture
def conn(postgres: Server) -> "Iterator[psycopg.Connection[tuple[str, ...]]]":
    """Outside of a transaction, with a table of things of which two share a name."""
    name = postgres.create_database()
    with psycopg.connect(postgres.url(name), autocommit=True) as opened:
        opened.execute("CREATE SCHEMA licensing")
        opened.execute("CREATE TABLE licensing.things AS SELECT 'a' AS name, n AS size FROM generate_series(1, 2) n")
        yield opened
    postgres.drop_database(name)


def valid(conn: "psycopg.Connection[tuple[str, ...]]") -> set[str]:
    return {row[0] for row in conn.execute(_VALID).fetchall()}


def test_what_is_missing_is_built_once(conn: "psycopg.Connection[tuple[str, ...]]"):
    first, second = build_indexes(conn, "licensing", INDEXES), build_indexes(conn, "licensing", INDEXES)

    assert first == tuple(INDEXES)
    assert second == ()
    assert valid(conn) == {"licensing.things_by_name", "licensing.things_by_size"}


def test_one_whose_building_was_cut_off_is_built_anew(conn: "psycopg.Connection[tuple[str, ...]]"):
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY things_by_name ON licensing.things (name)")
    assert conn.execute("SELECT to_regclass('licensing.things_by_name')").fetchone() == ("licensing.things_by_name",)
    assert valid(conn) == set()

    built = build_indexes(conn, "licensing", {"things_by_name": INDEXES["things_by_name"]})

    assert built == ("things_by_name",)
    assert valid(conn) == {"licensing.things_by_name"}


def test_nobody_who_writes_waits_for_it(conn: "psycopg.Connection[tuple[str, ...]]", postgres: Server):
    with psycopg.connect(conn.info.dsn) as writer, psycopg.connect(conn.info.dsn, autocommit=True) as other:
        writer.execute("INSERT INTO licensing.things VALUES ('b', 3)")
        # It waits for the writer, who is in the middle of something; whoever comes meanwhile does not wait for it.
        conn.execute("SET statement_timeout = '1s'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            build_indexes(conn, "licensing", INDEXES)
        other.execute("SET lock_timeout = '100ms'")
        other.execute("INSERT INTO licensing.things VALUES ('c', 4)")
        writer.rollback()
    conn.execute("RESET statement_timeout")

    assert build_indexes(conn, "licensing", INDEXES) == tuple(INDEXES)


def test_what_revisions_want_is_taken_together_the_oldest_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    modules = [{"a": "t (a)", "b": "t (b)"}, {}, {"a": None, "b": "t (b DESC)"}]
    walked = [SimpleNamespace(module=SimpleNamespace(**({"INDEXES": one} if one else {}))) for one in modules]
    scripts = SimpleNamespace(walk_revisions=lambda: iter(reversed(walked)))
    monkeypatch.setattr("licensing.upgrades.ScriptDirectory", SimpleNamespace(from_config=lambda config: scripts))

    assert later_indexes(Config()) == {"b": "t (b DESC)"}
