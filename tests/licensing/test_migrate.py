"""The stored functions are those of this version, whatever was stored before."""

import psycopg

from licensing.migrate import migrate
from tests.postgres import Server

_OF_AN_EARLIER_VERSION = """
COMMENT ON SCHEMA licensing IS 'functions of an earlier version';
DROP FUNCTION licensing.quote;
CREATE FUNCTION licensing.quote(p_style text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION licensing.reserve(p_order text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""
_FUNCTIONS = """
SELECT proname, pg_get_function_identity_arguments(oid) FROM pg_proc
WHERE pronamespace = 'licensing'::regnamespace ORDER BY 1, 2
"""


def test_functions_whose_arguments_changed_are_replaced(postgres: Server):
    name = postgres.create_database()
    migrate(postgres.url(name))
    with psycopg.connect(postgres.url(name)) as conn:
        before = conn.execute(_FUNCTIONS).fetchall()
        conn.execute(_OF_AN_EARLIER_VERSION)

    migrate(postgres.url(name))

    with psycopg.connect(postgres.url(name)) as conn:
        assert conn.execute(_FUNCTIONS).fetchall() == before
    assert "reserve" in {function for function, _ in before}
    postgres.drop_database(name)
