"""How long it took until a switch held, and until workers had stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "switch_stops",
        sa.Column("event_no", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Text(), primary_key=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("num_orders", sa.BigInteger(), server_default="0", nullable=False),
        schema="service",
    )
    op.create_index("switch_stops_by_time", "switch_stops", ["stopped_at"], schema="service")


def downgrade() -> None:
    op.drop_table("switch_stops", schema="service")
