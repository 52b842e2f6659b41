"""What checks refused, what the works of a version look like, and which content check a process runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("versions", sa.Column("looks_key", sa.Text(), nullable=True), schema="service")
    op.add_column(
        "versions", sa.Column("near_copies", sa.BigInteger(), server_default="0", nullable=False), schema="service"
    )
    op.add_column(
        "generations",
        sa.Column("refused", JSONB, server_default=sa.text("'[]'::jsonb"), nullable=False),
        schema="service",
    )
    op.add_column(
        "executors", sa.Column("content_check", sa.Text(), server_default="", nullable=False), schema="service"
    )


def downgrade() -> None:
    op.drop_column("executors", "content_check", schema="service")
    op.drop_column("generations", "refused", schema="service")
    op.drop_column("versions", "near_copies", schema="service")
    op.drop_column("versions", "looks_key", schema="service")
