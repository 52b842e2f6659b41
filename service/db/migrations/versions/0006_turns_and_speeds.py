"""Whose turn an order is, and how fast workers draw."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "generations", sa.Column("work", sa.BigInteger(), server_default="1", nullable=False), schema="service"
    )
    op.add_column("generations", sa.Column("turn", sa.BigInteger(), nullable=True), schema="service")
    op.create_index(
        "generations_in_line",
        "generations",
        ["turn"],
        schema="service",
        postgresql_where=sa.text("turn IS NOT NULL"),
    )
    op.add_column(
        "executors", sa.Column("speeds", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False), schema="service"
    )


def downgrade() -> None:
    op.drop_column("executors", "speeds", schema="service")
    op.drop_index("generations_in_line", "generations", schema="service")
    op.drop_column("generations", "turn", schema="service")
    op.drop_column("generations", "work", schema="service")
