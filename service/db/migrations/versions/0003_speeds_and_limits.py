"""How fast this place trains, how long a training may take, and what it may cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("trainings", sa.Column("max_minutes", sa.Double(), nullable=True), schema="service")
    op.add_column(
        "trainings", sa.Column("price", sa.BigInteger(), server_default="0", nullable=False), schema="service"
    )
    op.add_column("trainings", sa.Column("currency", sa.Text(), server_default="EUR", nullable=False), schema="service")
    op.create_table(
        "speeds",
        sa.Column("of", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("speed", JSONB(), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("of"),
        schema="service",
    )


def downgrade() -> None:
    op.drop_table("speeds", schema="service")
    op.drop_column("trainings", "currency", schema="service")
    op.drop_column("trainings", "price", schema="service")
    op.drop_column("trainings", "max_minutes", schema="service")
