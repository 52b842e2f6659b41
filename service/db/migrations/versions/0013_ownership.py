"""Versions of who owns what, which of them an account has, and which one a generation was made under."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "ownership_terms",
        sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("document", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        schema="service",
    )
    for trigger, moment in (("is_only_added_to", "UPDATE OR DELETE"), ("is_not_truncated", "TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER ownership_terms_{trigger} BEFORE {moment} ON service.ownership_terms"
            f" FOR EACH {'STATEMENT' if moment == 'TRUNCATE' else 'ROW'} EXECUTE FUNCTION service.refuse_change()"
        )
    for table in ("accounts", "generations"):
        op.add_column(
            table, sa.Column("ownership_terms", sa.BigInteger(), server_default="0", nullable=False), schema="service"
        )
    op.add_column("accounts", sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True), schema="service")


def downgrade() -> None:
    op.drop_column("accounts", "accepted_at", schema="service")
    for table in ("accounts", "generations"):
        op.drop_column(table, "ownership_terms", schema="service")
    op.drop_table("ownership_terms", schema="service")
