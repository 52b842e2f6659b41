"""Statements of the operator's bank, line by line, and what each line booked."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "bank_statements",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="read", nullable=False),
        sa.Column("uploaded_by", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_by", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("sha256", name="one_bank_statement_per_file"),
        sa.CheckConstraint("state IN ('read', 'booked')", name="state_is_known"),
        schema="service",
    )
    op.create_table(
        "bank_lines",
        sa.Column(
            "statement_id",
            sa.Text(),
            sa.ForeignKey("service.bank_statements.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("iban", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("is_booked", sa.Boolean(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=True),
        schema="service",
    )
    op.create_index("bank_lines_by_line", "bank_lines", ["line_id"], schema="service")
    op.create_index(
        "bank_lines_by_code", "bank_lines", ["code"], schema="service", postgresql_where=sa.text("code <> ''")
    )
    op.create_index(
        "bank_lines_by_subject",
        "bank_lines",
        ["subject"],
        schema="service",
        postgresql_where=sa.text("subject IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("bank_lines", schema="service")
    op.drop_table("bank_statements", schema="service")
