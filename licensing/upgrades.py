"""What a newer version changes in a database while processes of the version before run on it.

Tables change by alembic's revisions. One that only adds what an older version need not know of says `ADDITIVE = True`:
a table, or a column that may be empty or has a default. Building an index in a revision is none: whoever writes to its
table would wait until it is there. So a revision names indexes of tables that have rows, `INDEXES = {"works_by_day":
"service.works (created_at)"}`, and they are built after all revisions, beside whoever writes; until then all works,
only slower. A revision that drops one says None in place of what it is on. Functions are code, stored again whenever
they changed: a function that is replaced keeps its identity, so whoever calls it calls the new one from the next time
on. What cannot be replaced, because its arguments or its answer changed, is gone for the version before; a version that
changes one so comes with a revision, by which older code knows at its start that it is not for these tables.

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
    version that knows only `before` cannot work with, in a few words each. `indexes` are what `build_indexes` is to see
    to: by their names, what each is on."""

    before: str | None
    after: str
    breaks: tuple[str, ...]
    indexes: Mapping[str, str]


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


def later_indexes(config: Config) -> dict[str, str]:
    """What the revisions' `INDEXES` come to."""
    found: dict[str, str | None] = {}
    for one in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        found |= getattr(one.module, "INDEXES", {})
    return {name: on for name, on in found.items() if on is not None}


def build_indexes(
    driver: "psycopg.Connection[tuple[str, ...]]", schema: str, indexes: Mapping[str, str]
) -> tuple[str, ...]:
    """Build those that are missing while others write, and return their names. One whose building was cut off is there
    and of no use to anybody; it is built anew. The connection is outside of a transaction."""
    rows = driver.execute(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relnamespace = %s::regnamespace AND relname = ANY(%s)",
        [schema, list(indexes)],
    ).fetchall()
    is_valid = {str(name): bool(valid) for name, valid in rows}
    missing = tuple(name for name in indexes if not is_valid.get(name))
    for name in missing:
        driver.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{name}".encode())
        driver.execute(f"CREATE INDEX CONCURRENTLY {name} ON {indexes[name]}".encode())
    return missing


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


def upgrade_of(config: Config, *, before: str | None, breaks: tuple[str, ...], may_break: bool) -> Upgrade:
    """What was changed, up to the revision that this version's code works with. Raises StillCalled where that breaks
    what may not be broken."""
    if breaks and not may_break:
        raise StillCalled("; ".join(breaks))
    after = ScriptDirectory.from_config(config).get_current_head()
    assert after is not None
    return Upgrade(before=before, after=after, breaks=breaks, indexes=later_indexes(config))


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
