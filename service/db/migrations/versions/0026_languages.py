"""Accounts have a language, which their letters are written in."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("language", sa.Text(), nullable=True), schema="service")
    op.create_check_constraint(
        "language_is_a_tag", "accounts", "language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'", schema="service"
    )


def downgrade() -> None:
    op.drop_column("accounts", "language", schema="service")
