"""Alembic's entry: runs inside the transaction that `licensing.migrate.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="licensing",
    transactional_ddl=True,
)
context.run_migrations()
