"""Bring the service's schema to the newest revision."""

import hashlib
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from licensing.tenancy import binding
from service.db.functions import storing_functions
from service.db.tables import SCHEMA
from service.db.tenancy import TABLES

# Any number, the same for every process: two that start together migrate one after the other.
_LOCK = 6_027_001


def migrate(database_url: str) -> None:
    """Create the schema if need be and apply what is missing. Safe to call from several processes at once."""
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _bind(connection)
    engine.dispose()


def _bind(connection: sa.Connection) -> None:
    """Store the functions and bind the application to what it may see and write, unless the schema's comment says that
    it is so."""
    what = f"{storing_functions()};\n{binding(SCHEMA, TABLES)}"
    mark = "rows " + hashlib.sha256(what.encode()).hexdigest()
    named = {"schema": SCHEMA}
    stored = connection.scalar(
        sa.text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"), named
    )
    if stored != mark:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(what)
        connection.exec_driver_sql(f"COMMENT ON SCHEMA {SCHEMA} IS '{mark}'")
