"""How each picture was made."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "outputs", sa.Column("receipt", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False), schema="service"
    )


def downgrade() -> None:
    op.drop_column("outputs", "receipt", schema="service")
