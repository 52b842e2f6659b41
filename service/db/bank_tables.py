"""Statements of the operator's bank, as tables. `metadata` is that of all tables of this room."""

import sqlalchemy as sa

from service.db.tables import SCHEMA, metadata

__all__ = ["SCHEMA", "bank_lines", "bank_statements", "metadata"]


def _text(name: str, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=optional)


def _account(name: str, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{SCHEMA}.accounts.id"), nullable=optional)


bank_statements = sa.Table(
    "bank_statements",  # files of the operator's bank; one file is here once
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("sha256"),
    _text("name"),  # what its uploader called it
    sa.Column("num_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="read"),
    _account("uploaded_by"),
    sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
    _account("booked_by", optional=True),
    sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
    sa.UniqueConstraint("sha256", name="one_bank_statement_per_file"),
    sa.CheckConstraint("state IN ('read', 'booked')", name="state_is_known"),
)

bank_lines = sa.Table(
    "bank_lines",  # their lines as the bank wrote them; what each was about and booked, once it was confirmed
    metadata,
    sa.Column(
        "statement_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.bank_statements.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("line_id"),  # the bank's name of it
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    _text("currency"),
    _text("text"),
    _text("holder"),  # who sent it, or got it
    _text("iban"),
    _text("code"),
    _text("about", optional=True),
    _text("subject", optional=True),
    _text("party", optional=True),
    sa.Column("is_booked", sa.Boolean, nullable=True),
    _text("sentence", optional=True),
    sa.Index("bank_lines_by_line", "line_id"),
    sa.Index("bank_lines_by_code", "code", postgresql_where=sa.text("code <> ''")),
    sa.Index("bank_lines_by_subject", "subject", postgresql_where=sa.text("subject IS NOT NULL")),
)
