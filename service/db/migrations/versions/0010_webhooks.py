"""Webhooks: endpoints, messages, deliveries, and the endpoint that an order names."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("generations", sa.Column("webhook_id", sa.Text(), nullable=True), schema="service")
    _make_webhooks()
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("messages_by_age", "messages", ["created_at"], schema="service")
    _make_deliveries()


def downgrade() -> None:
    for table in ("deliveries", "messages", "webhooks"):
        op.drop_table(table, schema="service")
    op.drop_column("generations", "webhook_id", schema="service")


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("client_id", "url", name="a_url_once_per_client"),
        schema="service",
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state_is_known"),
        sa.ForeignKeyConstraint(["message_id"], ["service.messages.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["webhook_id"], ["service.webhooks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "webhook_id"),
        schema="service",
    )
    op.create_index("deliveries_of_webhook", "deliveries", ["webhook_id", "number"], schema="service")
    for name, column, state in (("in", "number", "NULL"), ("out_of", "due_at", "NOT NULL")):
        op.create_index(
            f"deliveries_{name}_turn",
            "deliveries",
            ["webhook_id", column],
            schema="service",
            postgresql_where=sa.text(f"state = 'waiting' AND due_at IS {state}"),
        )
