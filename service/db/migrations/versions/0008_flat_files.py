"""The file of a version's adapter that engines read at once."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for name in ("flat_key", "flat_sha256"):
        op.add_column("versions", sa.Column(name, sa.Text, nullable=True), schema="service")


def downgrade() -> None:
    for name in ("flat_key", "flat_sha256"):
        op.drop_column("versions", name, schema="service")
