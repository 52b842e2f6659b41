"""Trainings that learn together: which story tells each."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("trainings", sa.Column("told_by", sa.Text(), nullable=True), schema="service")


def downgrade() -> None:
    op.drop_column("trainings", "told_by", schema="service")
