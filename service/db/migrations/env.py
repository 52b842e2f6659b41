"""Run by alembic; `service.db.migrate` hands over the connection."""

from alembic import context

from service.db.bank_tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
