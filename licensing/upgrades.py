"""What a newer version changes in a database while processes of the version before run on it.

Tables change by alembic's revisions. One that only adds what an older version need not know of says `ADDITIVE = True`:
a table, or a column that may be empty or has a default. An index is no addition: while it is built, whoever writes to
its table waits. Functions are code, stored again whenever they changed: a function that is replaced keeps its identity,
so whoever calls it calls the new one from the next time on. What cannot be replaced, because its arguments or its
answer changed, is gone for the version before; a version that changes one so comes with a revision, by which older code
knows at its start that it is not for these tables.

Whoever migrates is told what of that breaks processes that still run, before anything is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from licensing.errors import StillCalled

_FUNCTIONS = """
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ') -> ' || pg_get_function_result(p.oid),
       p.oid::regprocedure::text
FROM pg_proc p
-- What tables and triggers are made of belongs to them.
WHERE pronamespace = %s::regnamespace AND prorettype <> 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_proc'::regclass AND refobjid = p.oid)
"""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """From which revision of a room's tables to which (`before` is None where there were none), and what of it a
    version that knows only `before` cannot work with, in a few words each."""

    before: str | None
    after: str
    breaks: tuple[str, ...]


def breaking_revisions(config: Config, connection: Connection, *, schema: str) -> tuple[str | None, tuple[str, ...]]:
    """The revision at which tables are, and those that follow and are more than additions. None, and none, where there
    are no tables yet."""
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    before = context.get_current_revision()
    if before is None:
        return None, ()
    pending = ScriptDirectory.from_config(config).iterate_revisions("head", before)
    return before, tuple(
        f"{schema} {one.revision} ({one.doc})" for one in pending if not getattr(one.module, "ADDITIVE", False)
    )


def newest_revision(config: Config) -> str:
    """The revision that this version's code works with."""
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    return head


def store_functions(
    driver: "psycopg.Connection[tuple[str, ...]]", schema: str, sources: Sequence[str]
) -> tuple[str, ...]:
    """Store a schema's functions in place of those that are there; those that are gone by it, as `name(arguments) ->
    answer`. `sources` make each by CREATE OR REPLACE."""
    before = _functions(driver, schema)
    with driver.transaction(force_rollback=True):
        _drop(driver, before)
        _make(driver, sources)
        after = _functions(driver, schema)
    gone = {signature: function for signature, function in before.items() if signature not in after}
    _drop(driver, gone)
    _make(driver, sources)
    return tuple(sorted(gone))


def refuse_breaks(upgrade: Upgrade, *, may_break: bool) -> Upgrade:
    """The upgrade. Raises StillCalled where it breaks what may not be broken."""
    if upgrade.breaks and not may_break:
        raise StillCalled("; ".join(upgrade.breaks))
    return upgrade


def _functions(driver: "psycopg.Connection[tuple[str, ...]]", schema: str) -> dict[str, str]:
    return {row[0]: row[1] for row in driver.execute(_FUNCTIONS, [schema]).fetchall()}


def _drop(driver: "psycopg.Connection[tuple[str, ...]]", functions: Mapping[str, str]) -> None:
    for function in functions.values():
        # As the server itself quotes it.
        driver.execute(f"DROP FUNCTION {function}".encode())


def _make(driver: "psycopg.Connection[tuple[str, ...]]", sources: Sequence[str]) -> None:
    # Later files may use what earlier ones define in their types; bodies are checked when they run.
    driver.execute("SET LOCAL check_function_bodies = off")
    for source in sources:
        driver.execute(source.encode())
