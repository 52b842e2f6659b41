"""Bring the service's schema to the newest revision."""

import hashlib
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from licensing.tenancy import binding
from licensing.upgrades import Upgrade, breaking_revisions, store_functions, upgrade_of
from service.db.functions import sources
from service.db.tables import SCHEMA
from service.db.tenancy import TABLES

# Any number, the same for every process: two that start together migrate one after the other.
_LOCK = 6_027_001
_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database_url: str, *, may_break: bool = True) -> Upgrade:
    """Create the schema if need be and apply what is missing. Safe to call from several processes at once. Raises
    StillCalled, and changes nothing, where not `may_break` and processes of the version before could not go on."""
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config.attributes["connection"] = connection
        before, breaks = breaking_revisions(config, connection, schema=SCHEMA)
        command.upgrade(config, "head")
        gone = _bind(connection)
        return upgrade_of(config, before=before, breaks=(*breaks, *gone), may_break=may_break)


def _bind(connection: sa.Connection) -> tuple[str, ...]:
    """Store the functions and bind the application to what it may see and write, unless the schema's comment says that
    it is so; which functions are gone by it."""
    rights = binding(SCHEMA, TABLES)
    mark = "rows " + hashlib.sha256("\n".join([*sources(), rights]).encode()).hexdigest()
    named = {"schema": SCHEMA}
    stored = connection.scalar(
        sa.text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"), named
    )
    if stored == mark:
        return ()
    driver = connection.connection.driver_connection
    assert driver is not None
    gone = store_functions(driver, SCHEMA, sources())
    driver.execute(rights)
    connection.exec_driver_sql(f"COMMENT ON SCHEMA {SCHEMA} IS '{mark}'")
    return gone
