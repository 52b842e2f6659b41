"""How published versions are drawn, in numbers, and pictures that somebody looks for a style with."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "appearances",
        sa.Column("version_id", sa.Text(), sa.ForeignKey("service.versions.id"), primary_key=True),
        sa.Column("way", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.LargeBinary(), nullable=False),
        sa.Column("square", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        schema="service",
    )
    op.create_table(
        "searches",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=True),
        sa.Column("numbers", sa.LargeBinary(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'seen', 'failed')", name="state_is_known"),
        sa.CheckConstraint("state = 'waiting' OR picture IS NULL", name="no_picture_is_kept"),
        sa.CheckConstraint("(state = 'seen') = (numbers IS NOT NULL)", name="seen_has_numbers"),
        schema="service",
    )
    op.create_index("searches_by_time", "searches", ["asked_at"], schema="service")


def downgrade() -> None:
    op.drop_table("searches", schema="service")
    op.drop_table("appearances", schema="service")
