"""What a captioning model says of works, and which story is finding words for a style's."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "works",
        sa.Column("suggested", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        schema="service",
    )
    op.add_column("styles", sa.Column("describing", sa.Text(), nullable=True), schema="service")


def downgrade() -> None:
    op.drop_column("styles", "describing", schema="service")
    op.drop_column("works", "suggested", schema="service")
