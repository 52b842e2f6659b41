"""Databases made ready: made where there is none, every room's tables brought up to date, the application let in."""

import time

import psycopg
import psycopg.sql
import sqlalchemy as sa
from dbos import DBOS

from licensing.migrate import migrate as migrate_licensing
from licensing.tenancy import APPLICATION
from service.db.connections import application_url
from service.db.migrate import migrate as migrate_service
from service.errors import NotStarted

# Any number, the same for every process.
_LOCK = 6_027_000


def prepare_database(database_url: str) -> None:
    """Create the database that the URL names if it is not there, and bring every room's tables up to date.

    Processes that do so at once do it one after the other. Raises NotStarted where no server answers, or where the
    application's role cannot sign in. With the URL of that role nothing is done: tables are its owner's to change.
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
        migrate_licensing(database_url)
        migrate_service(database_url)
        DBOS.migrate(database_url, application_role=APPLICATION)
        _let_in(connection, sa.make_url(application_url(database_url)))


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
        raise NotStarted(f"the database at {url} does not answer ({str(error).strip()}); is it running?") from error


def _lock(connection: psycopg.Connection) -> None:
    """Hold the lock of preparing until the connection closes. Asked for again and again, because a statement that waits
    holds a snapshot, and CREATE INDEX CONCURRENTLY in the process that has the lock waits for all of those."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(0.1)
