"""This room's tables and functions, brought to this version.

Tables come from `migrations/`, one dated step after the other. Functions are code: the files of `sql/` are of this
version, and `migrate` stores them again whenever they changed (`licensing.upgrades`). Apart from the metered path,
whose processes need no alembic.
"""

import hashlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from licensing.errors import LedgerBroken
from licensing.tenancy import APPLICATION, TABLES, VERBS, binding, lending_rights, making_role
from licensing.upgrades import Upgrade, breaking_revisions, store_functions, upgrade_of

_ROOM = Path(__file__).parent
_FUNCTIONS = (
    "locks",
    "chain",
    "taxes",
    "admission",
    "exclusive",
    "reserve",
    "attempts",
    "settle",
    "together",
    "coupons",
    "allowances",
    "invoices",
    "switch",
    "money",
    "payments",
    "refunds",
    "compute",
    "payouts",
    "dues",
    "disputes",
    "audit",
    "looks",
    "rules",
    "guards",
)
_MIGRATION_LOCK = 0x6F776E68


def migrate(url: str, *, may_break: bool = True) -> Upgrade:
    """Bring the schema `licensing` of the database at `url` (postgresql://...) to this version.

    Safe to call at every start and by several processes at once. Makes the schema on an empty database. Raises
    StillCalled, and changes nothing, where not `may_break` and processes of the version before could not go on.
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        conn.execute(text("CREATE SCHEMA IF NOT EXISTS licensing"))
        config = Config()
        config.set_main_option("script_location", str(_ROOM / "migrations"))
        config.attributes["connection"] = conn
        before, breaks = breaking_revisions(config, conn, schema="licensing")
        command.upgrade(config, "head")
        gone = _store_functions(conn)
        return upgrade_of(config, before=before, breaks=(*breaks, *gone), may_break=may_break)


def _store_functions(conn: Connection) -> tuple[str, ...]:
    """Store the functions of `sql/`, unless the schema's comment says that they are there; which are gone by it."""
    sources = [(_ROOM / "sql" / f"{name}.sql").read_text() for name in _FUNCTIONS]
    sources.append(lending_rights("licensing", VERBS))
    rights = [making_role(), binding("licensing", TABLES)]
    mark = "functions " + hashlib.sha256("\n".join([*sources, *rights]).encode()).hexdigest()
    stored = conn.scalar(text("SELECT obj_description('licensing'::regnamespace, 'pg_namespace')"))
    # A role belongs to the server, not to the database: one that was restored elsewhere may lack it.
    has_role = conn.scalar(text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)"), {"role": APPLICATION})
    if stored == mark and has_role:
        return ()
    driver = conn.connection.driver_connection
    if driver is None:
        raise LedgerBroken("the connection to the database was closed during the migration")
    driver.execute(making_role())
    gone = store_functions(driver, "licensing", sources)
    driver.execute(binding("licensing", TABLES))
    driver.execute(f"COMMENT ON SCHEMA licensing IS '{mark}'")
    return gone
