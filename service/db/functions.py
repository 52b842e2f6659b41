"""The functions of this room's schema: what several tables are told in one call, and the line. They are code: stored
again whenever they changed, as the licensing room's are (`licensing.migrate`)."""

from pathlib import Path

from licensing.tenancy import lending_rights
from service.outbox import TELL_ORDERS

LENT = ("accept_plain", "begin_orders", "settle_orders")
"""What every order goes through. Each calls a verb of the licensing room that is the house's alone before it does
anything else, and then runs with its owner's rights: to ask again of each row whose it is costs as much as the work."""
_FILES = ("line", "accept", "begin", "settle")
_DROP = """
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    -- What triggers are made of belongs to the migrations.
    FOR v_function IN SELECT oid FROM pg_proc
        WHERE pronamespace = 'service'::regnamespace AND prorettype <> 'trigger'::regtype
    LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
END $$;
SET LOCAL check_function_bodies = off;
"""


def storing_functions() -> str:
    """SQL that stores them in place of those that are there."""
    sources = [(Path(__file__).parent / "sql" / f"{name}.sql").read_text() for name in _FILES]
    return "\n".join([_DROP, *sources, f"{TELL_ORDERS};", lending_rights("service", LENT)])
