"""Self tests, what the fee was since when, published reports, and what machines say of themselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"

_KEEP = """
CREATE FUNCTION service.keep_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the report of % is published: % refused', OLD.month, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER report_stays BEFORE UPDATE OR DELETE ON service.reports
    FOR EACH ROW EXECUTE FUNCTION service.keep_report();
"""


def upgrade() -> None:
    op.add_column(
        "executors",
        sa.Column("machine", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        schema="service",
    )
    op.create_table(
        "self_tests",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("steps", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'failed') = (problem IS NOT NULL)", name="failed_says_why"),
        sa.CheckConstraint("(state IN ('passed', 'failed')) = (ended_at IS NOT NULL)", name="ended_has_a_time"),
        sa.CheckConstraint("state IN ('waiting', 'running', 'passed', 'failed')", name="state_is_known"),
        schema="service",
    )
    op.create_table(
        "fees",
        sa.Column("since", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("fee_bps", sa.BigInteger(), nullable=False),
        sa.Column("dues", sa.BigInteger(), nullable=False),
        sa.Column("training_minute", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        schema="service",
    )
    op.create_table(
        "reports",
        sa.Column("month", sa.Text(), primary_key=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("figures", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        schema="service",
    )
    op.execute(_KEEP)


def downgrade() -> None:
    for table in ("reports", "fees", "self_tests"):
        op.drop_table(table, schema="service")
    op.execute("DROP FUNCTION service.keep_report()")
    op.drop_column("executors", "machine", schema="service")
