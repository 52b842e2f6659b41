"""Which version's code may still be started over the tables as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
ADDITIVE = True


def upgrade() -> None:
    op.create_table(
        "oldest_code",
        sa.Column("room", sa.Text(), primary_key=True),
        sa.Column("revision", sa.Text(), nullable=False),
        schema="service",
    )


def downgrade() -> None:
    op.drop_table("oldest_code", schema="service")
