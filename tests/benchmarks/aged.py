"""A place that has sold for long: one paid order's rows copied to many orders of the past.

The copies are rows alone: nothing of them was posted, so hashes and sums do not fit and no page is to be asked about
them. What they show is how long indexes and tables are that a new order goes through.
"""

import psycopg

_COPY = """
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {made_columns}
FROM {table} one,
     generate_series(1, %(orders)s::bigint) AS made_before(nth),
     LATERAL (SELECT (%(clients)s::text[])[1 + nth %% cardinality(%(clients)s::text[])] AS client) AS whose,
     LATERAL (SELECT replace(replace(replace(to_jsonb(one)::text, one_client, whose.client),
                 one_order, 'gen_00' || to_char(nth, 'FM000000000000000000000000')),
                 one_output, 'out_00' || to_char(nth, 'FM000000000000000000000000'))::jsonb AS row) AS named,
     LATERAL jsonb_populate_record(NULL::{table}, named.row || {changes}) AS made
WHERE one.{of_order}
"""
_COLUMNS = """
SELECT quote_ident(column_name) FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER'
"""
_TABLES = (
    ("licensing.hold", "order_id = one_order", "'{}'"),
    ("licensing.idempotency", "order_id = one_order", "jsonb_build_object('key', 'old-' || nth)"),
    (
        "licensing.entry",
        "group_no = one_group",
        "jsonb_build_object('group_no', -nth)",
    ),
    (
        "licensing.link",
        "commit_no = one_commit",
        "jsonb_build_object('commit_no', -nth, 'seq', 1000000000000 + nth)",
    ),
    (
        "licensing.entry_group",
        "group_no = one_group",
        "jsonb_build_object('group_no', -nth, 'commit_no', -nth, 'at', one.at - nth * interval '10 seconds')",
    ),
    ("licensing.output", "output_id = one_output", "'{}'"),
    ("service.generations", "id = one_order", "'{}'"),
    ("service.outputs", "id = one_output", "'{}'"),
    ("service.events", "subject = one_order", "jsonb_build_object('id', -nth * 10 + one.id %% 10)"),
)
_ONE = """
SELECT h.client_id, h.order_id, o.output_id, g.group_no, g.commit_no FROM licensing.hold h
JOIN licensing.output o ON o.order_id = h.order_id JOIN licensing.entry_group g ON g.subject = h.order_id
WHERE h.state = 'settled' AND g.kind = 'sale' LIMIT 1
"""


def age(database_url: str, orders: int) -> None:
    """Have so many orders been paid before, by the clients that there are."""
    with psycopg.connect(database_url) as conn:
        row = conn.execute(_ONE).fetchone()
        assert row is not None, "nothing was sold yet that could be copied"
        names = ("one_client", "one_order", "one_output", "one_group", "one_commit")
        clients = [one for (one,) in conn.execute("SELECT id FROM service.accounts WHERE role = 'client'")]
        # Triggers would post, link and forbid.
        conn.execute("SET LOCAL session_replication_role = replica")
        for table, of_order, changes in _TABLES:
            columns = [name for (name,) in conn.execute(_COLUMNS, table.split("."))]
            statement = _COPY.format(
                table=table,
                of_order=of_order,
                changes=changes,
                columns=", ".join(columns),
                made_columns=", ".join(f"made.{name}" for name in columns),
            )
            for name, value in zip(names, row, strict=True):
                statement = statement.replace(name, f"'{value}'" if isinstance(value, str) else str(value))
            conn.execute(statement.encode(), {"orders": orders, "clients": clients})
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
