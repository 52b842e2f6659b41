"""Creators' rules move to the gateway; pictures that wait for their creators, and what creators think of clients."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"

_DECISIONS = "decision IN ('approved', 'rejected')"
_LEVELS = "level IN ('by_count', 'trusted', 'always_review')"


def upgrade() -> None:
    op.execute(
        "INSERT INTO licensing.rules (creator_id, style_id, version, rules, actor, created_at)"
        " SELECT creator_id, id, row_number() OVER (PARTITION BY creator_id ORDER BY id),"
        "  jsonb_build_object('refuse', prompt_rules -> 'refuse', 'categories', '[]'::jsonb,"
        "   'only_clients', '[]'::jsonb, 'blocked_clients', '[]'::jsonb), creator_id, updated_at"
        " FROM service.styles WHERE jsonb_array_length(coalesce(prompt_rules -> 'refuse', '[]')) > 0"
    )
    op.drop_column("styles", "prompt_rules", schema="service")
    op.add_column("generations", sa.Column("rules_version", sa.BigInteger(), nullable=True), schema="service")
    op.add_column(
        "generations",
        sa.Column("needs_approval", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="service",
    )
    op.add_column(
        "generations", sa.Column("approval_until", sa.DateTime(timezone=True), nullable=True), schema="service"
    )
    _approvals()
    op.create_table(
        "trust",
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("client_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("creator_id", "client_id"),
        sa.CheckConstraint(_LEVELS, name="level_is_known"),
        schema="service",
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("generation_id", sa.Text(), sa.ForeignKey("service.generations.id"), primary_key=True),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("client_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("num_pictures", sa.BigInteger(), nullable=False),
        sa.Column("kept", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(_DECISIONS, name="decision_is_known"),
        sa.CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided_has_a_time"),
        schema="service",
    )
    op.create_index("approvals_of_creator", "approvals", ["creator_id", "client_id"], schema="service")
    op.create_index(
        "approvals_kept", "approvals", ["generation_id"], schema="service", postgresql_where=sa.text("kept <> '{}'")
    )


def downgrade() -> None:
    op.drop_table("trust", schema="service")
    op.drop_table("approvals", schema="service")
    for column in ("rules_version", "needs_approval", "approval_until"):
        op.drop_column("generations", column, schema="service")
    op.add_column(
        "styles",
        sa.Column("prompt_rules", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        schema="service",
    )
