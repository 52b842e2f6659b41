"""Authors who share what a style earns, and what each of them said to it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "authorships",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("said", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'in_force', 'declined', 'ended')", name="state_is_known"),
        schema="service",
    )
    op.create_index(
        "one_authorship_per_style",
        "authorships",
        ["style_id", "state"],
        unique=True,
        schema="service",
        postgresql_where=sa.text("state IN ('waiting', 'in_force')"),
    )


def downgrade() -> None:
    op.drop_table("authorships", schema="service")
