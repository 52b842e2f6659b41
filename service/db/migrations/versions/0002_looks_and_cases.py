"""What works look like, what their creators answered to findings, and cases for the operator."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "works",
        sa.Column("kept", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        schema="service",
    )
    _make_looks()
    _make_cases()


def downgrade() -> None:
    op.drop_table("cases", schema="service")
    op.drop_table("looks", schema="service")
    op.drop_column("works", "kept", schema="service")


def _make_looks() -> None:
    op.create_table(
        "looks",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.Column("thumb", sa.LargeBinary(), nullable=False),
        sa.Column("band_0", sa.Integer(), nullable=False),
        sa.Column("band_1", sa.Integer(), nullable=False),
        sa.Column("band_2", sa.Integer(), nullable=False),
        sa.Column("band_3", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["work_id"], ["service.works.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("work_id"),
        schema="service",
    )
    for band in ("band_0", "band_1", "band_2", "band_3"):
        op.create_index(f"looks_by_{band}", "looks", [band], unique=False, schema="service")


def _make_cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("said", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('near_duplicate')", name="kind_is_known"),
        sa.CheckConstraint("outcome IN ('allowed', 'refused')", name="outcome_is_known"),
        sa.CheckConstraint("state IN ('open', 'decided')", name="state_is_known"),
        sa.CheckConstraint("(state = 'decided') = (outcome IS NOT NULL)", name="decided_has_an_outcome"),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("cases_of_subject", "cases", ["subject"], unique=False, schema="service")
    op.create_index(
        "cases_open",
        "cases",
        ["opened_at"],
        unique=False,
        schema="service",
        postgresql_where=sa.text("state = 'open'"),
    )
