"""What people are told: an inbox and e-mail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0020"
down_revision = "0019"

_INDEXES = {
    "letters_of_account": (["account_id", "number"], None),
    "letters_unread": (["account_id"], "in_inbox AND read_at IS NULL"),
    "letters_waiting": (["due_at"], "mail = 'waiting'"),
    "letters_with_link": (["link_until"], "link IS NOT NULL"),
    "letters_by_age": (["created_at"], None),
}


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("link_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_inbox", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mail", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("round", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("round_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("attempts", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("mail_ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("account_id IS NOT NULL OR address IS NOT NULL", name="goes_to_somebody"),
        sa.CheckConstraint("account_id IS NOT NULL OR NOT in_inbox", name="an_inbox_is_an_accounts"),
        sa.CheckConstraint("link IS NULL OR link_until IS NOT NULL", name="a_link_runs_out"),
        sa.CheckConstraint("mail IN ('waiting', 'sent', 'failed', 'off')", name="mail_is_known"),
        schema="service",
    )
    for name, (columns, where) in _INDEXES.items():
        op.create_index(name, "letters", columns, schema="service", postgresql_where=sa.text(where) if where else None)
    op.create_table(
        "letter_choices",
        sa.Column("account_id", sa.Text(), sa.ForeignKey("service.accounts.id"), primary_key=True),
        sa.Column("off", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        schema="service",
    )


def downgrade() -> None:
    op.drop_table("letter_choices", schema="service")
    op.drop_table("letters", schema="service")
