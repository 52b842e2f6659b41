"""Indexes by which pages find what they show without reading what they do not."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_IN_RECORD = "refused IS NOT NULL OR purpose = 'case' OR (purpose = 'deletion' AND role <> 'place')"


def upgrade() -> None:
    op.create_index("accounts_of_role", "accounts", ["role", "id"], schema="service")
    op.create_index("trainings_of_creator", "trainings", ["creator_id", "id"], schema="service")
    op.create_index(
        "approvals_waiting",
        "approvals",
        ["creator_id", "generation_id"],
        schema="service",
        postgresql_where=sa.text("decision IS NULL"),
    )
    op.create_index(
        "approvals_decided",
        "approvals",
        ["creator_id", "decided_at"],
        schema="service",
        postgresql_where=sa.text("decision IS NOT NULL"),
    )
    op.create_index(
        "data_use_in_record", "data_use", ["creator_id", "at"], schema="service", postgresql_where=sa.text(_IN_RECORD)
    )
    op.create_index(
        "data_use_by_operator",
        "data_use",
        ["actor", "at"],
        schema="service",
        postgresql_where=sa.text("purpose = 'case' AND refused IS NULL"),
    )
    op.create_index("cases_of_creator", "cases", ["creator_id", "opened_at"], schema="service")
    op.create_index(
        "cases_decided", "cases", ["decided_at"], schema="service", postgresql_where=sa.text("state = 'decided'")
    )


def downgrade() -> None:
    for name, table in (
        ("cases_decided", "cases"),
        ("cases_of_creator", "cases"),
        ("data_use_by_operator", "data_use"),
        ("data_use_in_record", "data_use"),
        ("approvals_decided", "approvals"),
        ("approvals_waiting", "approvals"),
        ("trainings_of_creator", "trainings"),
        ("accounts_of_role", "accounts"),
    ):
        op.drop_index(name, table, schema="service")
