"""The embedded database and its schema: started once, shared, stopped by the last, locked away."""

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from service.db.bank_tables import SCHEMA, metadata
from service.db.prepare import prepare_database
from service.errors import NotStarted
from service.postgres import embedded_postgres
from service.settings import ROOT
from tests.postgres import Server

USER = """
import signal, sys, time
from pathlib import Path
from service.errors import NotStarted
from service.postgres import embedded_postgres
# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def answers(url: str) -> bool:
    with psycopg.connect(url.replace("/ownhand?", "/postgres?")) as connection:
        row = connection.execute("SELECT 1").fetchone()
    return row == (1,)


def another_user(home: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", USER, str(home)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def is_gone(process: psutil.Process) -> bool:
    """Ended; where nothing takes note of orphans' ends (a container without init) it stays in the list as a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_the_last_who_leaves_stops_the_server(tmp_path: Path):
    with embedded_postgres(tmp_path) as url:
        other, their_url = another_user(tmp_path)
        server = postmaster(tmp_path)
        assert their_url == url
        assert answers(url)
    try:
        assert answers(their_url), "the other one still uses it"
    finally:
        other.send_signal(signal.SIGINT)
        other.wait(30)

    assert is_gone(server)


def test_a_server_left_by_a_killed_process_is_used_again(tmp_path: Path):
    other, url = another_user(tmp_path)
    other.kill()
    other.wait()
    server = postmaster(tmp_path)

    with embedded_postgres(tmp_path) as again:
        assert again == url
        assert postmaster(tmp_path).pid == server.pid
        assert answers(again)

    assert is_gone(server)


def test_a_killed_server_starts_again_although_its_pid_is_somebody_elses(tmp_path: Path):
    with embedded_postgres(tmp_path) as url:
        server = postmaster(tmp_path)
        family = [server, *server.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)
        pid_file = tmp_path / "postgres" / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(str(server.pid), str(os.getpid()), 1))

    with embedded_postgres(tmp_path) as url:
        assert answers(url)


def test_nobody_else_may_enter_the_folder(tmp_path: Path):
    with embedded_postgres(tmp_path) as url:
        assert (tmp_path / "postgres").stat().st_mode & 0o777 == 0o700
        assert f"host={tmp_path / 'postgres'}" in url, "the socket lies in the folder"


def test_a_home_too_deep_for_a_socket_is_refused(tmp_path: Path):
    with pytest.raises(NotStarted, match="shorter --home"), embedded_postgres(tmp_path / ("x" * 100)):
        pass


def test_preparing_twice_at_once_is_harmless(postgres: Server):
    url = postgres.url("prepared_twice")
    code = "import sys; from service.db.prepare import prepare_database; prepare_database(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, url], cwd=ROOT) for _ in range(2)]

    assert [process.wait(240) for process in processes] == [0, 0]
    prepare_database(url)
    postgres.drop_database("prepared_twice")


def test_a_server_that_is_not_there_is_named_without_its_password():
    with pytest.raises(NotStarted, match="is it running") as raised:
        prepare_database("postgresql://ann:hidden@127.0.0.1:1/ownhand")

    assert "hidden" not in str(raised.value)


def test_the_migrations_make_the_tables_that_the_code_names(database_url: str):
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg"))

    def ours(name: str | None, kind: str, parents: object) -> bool:
        return name == SCHEMA if kind == "schema" else name != "alembic_version"

    with engine.connect() as connection:
        options = {"include_schemas": True, "include_name": ours, "compare_server_default": False}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()

    assert differences == []


_TAKES_AWAY = re.compile(
    r"\b(drop\w*|rename\w*|truncate|delete from|update|set not null|alter_column|create_index|create (unique )?index)\b"
    r"|\balter column \w+ type\b",
    re.IGNORECASE,
)


def test_a_revision_that_says_that_it_only_adds_takes_nothing_away():
    additive = []
    for room in ("service/db", "licensing"):
        for path in sorted((ROOT / room / "migrations" / "versions").glob("[0-9]*.py")):
            tree = ast.parse(path.read_text())
            names = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}  # type: ignore[attr-defined]
            if "ADDITIVE" not in names:
                continue
            [up] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
            done = "\n".join(
                [ast.unparse(up), *(one.read_text() for one in path.parent.parent.glob(f"{path.stem}.sql"))]
            )
            assert _TAKES_AWAY.findall(done) == [], path.name
            additive.append(path.name)
    assert "0031_oldest_code.py" in additive
    assert _TAKES_AWAY.search("op.drop_column('works', 'name')")
