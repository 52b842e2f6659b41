"""What trainings keep, and trainings that judge another adapter of an earlier one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column(
        "trainings",
        sa.Column("of_training", sa.Text(), sa.ForeignKey("service.trainings.id"), nullable=True),
        schema="service",
    )
    op.add_column("trainings", sa.Column("take_step", sa.BigInteger(), nullable=True), schema="service")
    op.add_column(
        "trainings", sa.Column("kept", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False), schema="service"
    )


def downgrade() -> None:
    for name in ("kept", "take_step", "of_training"):
        op.drop_column("trainings", name, schema="service")
