"""This room's tables and functions, brought to this version.

Tables come from `migrations/`, one dated step after the other. Functions are code: the files of `sql/` are of this
version, and `migrate` stores them again whenever they changed. Apart from the metered path, whose processes need no
alembic.
"""

import hashlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from licensing.errors import LedgerBroken
from licensing.tenancy import APPLICATION, TABLES, VERBS, binding, lending_rights, making_role

_ROOM = Path(__file__).parent
# Later files may use what earlier ones define in their types; bodies are checked when they run.
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
_DROP_FUNCTIONS = """
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    -- What tables and triggers are made of belongs to them.
    FOR v_function IN SELECT oid FROM pg_proc p
        WHERE pronamespace = 'licensing'::regnamespace AND prorettype <> 'trigger'::regtype
          AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_proc'::regclass AND refobjid = p.oid)
    LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
END $$
"""


def migrate(url: str) -> None:
    """Bring the schema `licensing` of the database at `url` (postgresql://...) to this version.

    Safe to call at every start and by several processes at once. Makes the schema on an empty database.
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        conn.execute(text("CREATE SCHEMA IF NOT EXISTS licensing"))
        config = Config()
        config.set_main_option("script_location", str(_ROOM / "migrations"))
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        _store_functions(conn)


def _store_functions(conn: Connection) -> None:
    """Replace the stored functions by those of `sql/`, unless the schema's comment says that they are the same."""
    sources = [(_ROOM / "sql" / f"{name}.sql").read_text() for name in _FUNCTIONS]
    sources += [making_role(), lending_rights("licensing", VERBS), binding("licensing", TABLES)]
    mark = "functions " + hashlib.sha256("\n".join(sources).encode()).hexdigest()
    stored = conn.scalar(text("SELECT obj_description('licensing'::regnamespace, 'pg_namespace')"))
    # A role belongs to the server, not to the database: one that was restored elsewhere may lack it.
    has_role = conn.scalar(text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)"), {"role": APPLICATION})
    if stored == mark and has_role:
        return
    driver = conn.connection.driver_connection
    if driver is None:
        raise LedgerBroken("the connection to the database was closed during the migration")
    driver.execute("SET LOCAL check_function_bodies = off")
    # A function whose arguments or answer changed would else stand beside its successor, or refuse to be replaced.
    driver.execute(_DROP_FUNCTIONS)
    for source in sources:
        driver.execute(source)
    driver.execute(f"COMMENT ON SCHEMA licensing IS '{mark}'")
