"""Databases made ready: made where there is none, every room's tables brought up to date, the application let in."""

import logging
import time
from collections.abc import Callable
from functools import partial

import psycopg
import psycopg.sql
import sqlalchemy as sa
from dbos import DBOS

from licensing.errors import StillCalled
from licensing.migrate import migrate as migrate_licensing
from licensing.tenancy import APPLICATION
from licensing.upgrades import Upgrade, build_indexes
from service.db.connections import application_url
from service.db.migrate import migrate as migrate_service
from service.errors import NotStarted

log = logging.getLogger("ownhand.prepare")

# Any number, the same for every process.
_LOCK = 6_027_000
LOCK_S = 0.5
"""How long a change of tables waits for a lock. Whoever comes meanwhile waits behind it, so then it lets them pass.

Less than PostgreSQL's deadlock_timeout (1 s): where a client waits for a table that was changed, and the change for one
that this client reads, the server would end either of the two, and it is the change that can be tried again."""
LOCK_TRIES = 30
BETWEEN_TRIES_S = 2.0
_IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
ENDED_TRIES, BETWEEN_LOOKS_S = 5, 0.5
"""Whether processes of the version before have ended: the server sees a moment later that one was killed."""


def prepare_database(database_url: str, *, anyway: bool = False) -> None:
    """Create the database that the URL names if it is not there, and bring every room's tables up to date.

    Processes that do so at once do it one after the other. A table that somebody uses for long is waited for without
    holding up others. Processes of the version before go on meanwhile where all that changes is additions; where more
    does, they must have ended, unless `anyway`.

    Raises NotStarted where they have not, where no server answers, where a table does not become free within a minute
    and a half, where an index cannot be built, or where the application's role cannot sign in. With the URL of that
    role nothing is done: tables are its owner's to change.
    """
    if sa.make_url(database_url).username == APPLICATION:
        return
    try:
        psycopg.connect(database_url).close()
    except psycopg.OperationalError:
        # No such database, or no server: the next connection tells them apart.
        _create_database(sa.make_url(database_url))
    with psycopg.connect(database_url, autocommit=True) as connection:
        _lock(connection)
        upgrades = {
            "licensing": _upgrade(migrate_licensing, connection, database_url, anyway=anyway),
            "service": _upgrade(migrate_service, connection, database_url, anyway=anyway),
        }
        for room, upgrade in upgrades.items():
            _note_oldest(connection, room, upgrade)
            _build_indexes(connection, room, upgrade)
        DBOS.migrate(database_url, application_role=APPLICATION)
        _let_in(connection, sa.make_url(application_url(database_url)))


def _upgrade(
    migrate: Callable[..., Upgrade], connection: psycopg.Connection, database_url: str, *, anyway: bool
) -> Upgrade:
    """Change a room's tables; what processes still need, once none is connected any more. Raises NotStarted."""
    for left in reversed(range(ENDED_TRIES)):
        may_break = anyway or not _num_connected(connection)
        try:
            return _change_tables(partial(migrate, may_break=may_break), database_url)
        except StillCalled as error:
            if not left:
                raise NotStarted(
                    f"this version changes more than it adds, and processes of the version before run: {error}."
                    " End them, then try again (`ownhand migrate --anyway` does not look at them); nothing of it was"
                    " changed"
                ) from error
        time.sleep(BETWEEN_LOOKS_S)
    raise AssertionError("the last try returned or raised")


def _num_connected(connection: psycopg.Connection) -> int:
    """How many connections processes have open to this database."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = %s", [APPLICATION]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _note_oldest(connection: psycopg.Connection, room: str, upgrade: Upgrade) -> None:
    """Which version's code may still be started over tables as they are now (`service.skew`): while all that came since
    were additions, that of before."""
    is_whole = upgrade.before is None or upgrade.breaks
    connection.execute(
        "INSERT INTO service.oldest_code (room, revision) VALUES (%s, %s) ON CONFLICT (room) DO "
        + ("UPDATE SET revision = EXCLUDED.revision" if is_whole else "NOTHING"),
        [room, upgrade.after if is_whole else upgrade.before],
    )


def _build_indexes(connection: psycopg.Connection, room: str, upgrade: Upgrade) -> None:
    """Those that revisions leave to be built beside whoever writes. Raises NotStarted."""
    try:
        built = build_indexes(connection, room, upgrade.indexes)
    except psycopg.Error as error:
        raise NotStarted(
            f"an index of {room} could not be built ({str(error).strip().splitlines()[0]}); the tables are up to date"
            " and work without it, slower; mend what stands in its way and start again"
        ) from error
    # Of a new place that is no news.
    for name in built if upgrade.before else ():
        log.info("the index %s.%s is built", room, name)


def _change_tables(migrate: Callable[[str], Upgrade], database_url: str) -> Upgrade:
    """Migrate with a time-out for locks. What a try changed before one is undone with its transaction."""
    url = sa.make_url(database_url)
    options = " ".join([*_listed(url.query.get("options")), f"-c lock_timeout={round(LOCK_S * 1000)}"])
    hurried = url.update_query_dict({"options": options}).render_as_string(hide_password=False)
    for left in reversed(range(LOCK_TRIES)):
        try:
            return migrate(hurried)
        except (sa.exc.OperationalError, *_IN_USE) as error:
            told = error.orig if isinstance(error, sa.exc.OperationalError) else error
            if not isinstance(told, _IN_USE):
                raise
            if not left:
                raise NotStarted(
                    f"the tables could not be brought up to date: in {LOCK_TRIES} tries of {LOCK_S:g} s one of them"
                    f" was never free ({str(told).splitlines()[0]}); see pg_stat_activity for a transaction that is"
                    " open for long, end it and start again"
                ) from error
        log.warning("a table that is to be changed is in use; it is tried again in %g s", BETWEEN_TRIES_S)
        time.sleep(BETWEEN_TRIES_S)
    raise AssertionError("the last try returned or raised")


def _listed(options: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (options,) if isinstance(options, str) else options or ()


def _let_in(connection: psycopg.Connection, url: sa.URL) -> None:
    """See that the application can sign in; give its role its password where it cannot. Raises NotStarted."""
    try:
        psycopg.connect(url.render_as_string(hide_password=False)).close()
        return
    except psycopg.OperationalError:
        if url.password is None:
            raise NotStarted(
                f"the role {APPLICATION} cannot sign in without a password; give the owner in OWNHAND_DATABASE_URL one,"
                f" or let processes connect with a URL of {APPLICATION} (service/README.md, The database's roles)"
            ) from None
    role, password = psycopg.sql.Identifier(APPLICATION), psycopg.sql.Literal(url.password)
    connection.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
    psycopg.connect(url.render_as_string(hide_password=False)).close()


def _create_database(url: sa.URL) -> None:
    assert url.database, f"{url} names no database"
    server = url.set(database="postgres").render_as_string(hide_password=False)
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            # Two CREATE DATABASE at once fail in several ways.
            _lock(connection)
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [url.database]).fetchone() is None:
                name = psycopg.sql.Identifier(url.database)
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
    except psycopg.OperationalError as error:
        said = str(error).strip()
        # libpq tells its errors in words alone.
        hint = (
            "compare its certificate with sslmode, sslrootcert and the host"
            if "certificate" in said
            else "is it running?"
        )
        raise NotStarted(f"the database at {url} does not answer ({said}); {hint}") from error


def _lock(connection: psycopg.Connection) -> None:
    """Hold the lock of preparing until the connection closes. Asked for again and again, because a statement that waits
    holds a snapshot, and CREATE INDEX CONCURRENTLY in the process that has the lock waits for all of those."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(0.1)
