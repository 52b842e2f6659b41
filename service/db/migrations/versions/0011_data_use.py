"""Who opened creators' files, and what was done that leaves no row of its own: both are only added to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"

PURPOSES = ("review", "description", "training", "drawing", "checking", "own", "case", "export", "deletion")
ONLY_ADDED_TO = ("data_use", "audit")


def upgrade() -> None:
    _make_data_use()
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), primary_key=True, server_default=sa.text("gen_random_uuid()::text")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), server_default="", nullable=False),
        sa.Column("data", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        schema="service",
    )
    op.create_index("audit_of_account", "audit", ["account_id", "at"], schema="service")
    _keep_from_change()


def downgrade() -> None:
    for name in ONLY_ADDED_TO:
        op.drop_table(name, schema="service")
    op.execute("DROP FUNCTION service.refuse_change()")


def _make_data_use() -> None:
    listed = ", ".join(f"'{word}'" for word in PURPOSES)
    op.create_table(
        "data_use",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), server_default="", nullable=False),
        sa.Column("job", sa.Text(), server_default="", nullable=False),
        sa.Column("num_files", sa.BigInteger(), nullable=False),
        sa.Column("files", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.CheckConstraint(f"purpose IN ({listed})", name="purpose_is_known"),
        schema="service",
    )
    op.create_index("data_use_of_creator", "data_use", ["creator_id", "id"], schema="service")
    op.create_index("data_use_of_style", "data_use", ["style_id", "id"], schema="service")
    op.create_index(
        "data_use_told_once_a_day",
        "data_use",
        ["creator_id", "style_id", "purpose", "actor", "via", "day"],
        unique=True,
        postgresql_where=sa.text("day IS NOT NULL"),
        schema="service",
    )


def _keep_from_change() -> None:
    op.execute(
        "CREATE FUNCTION service.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'service.% is only added to: % refused', TG_TABLE_NAME, TG_OP"
        " USING ERRCODE = 'restrict_violation'; END $$"
    )
    for name in ONLY_ADDED_TO:
        op.execute(
            f"CREATE TRIGGER {name}_is_only_added_to BEFORE UPDATE OR DELETE ON service.{name}"
            " FOR EACH ROW EXECUTE FUNCTION service.refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {name}_is_not_truncated BEFORE TRUNCATE ON service.{name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change()"
        )
