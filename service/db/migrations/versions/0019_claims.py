"""Somebody outside claims a work of a portfolio."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"

_OUTCOMES = "outcome IN ('upheld', 'rejected', 'withdrawn')"


def upgrade() -> None:
    _let_cases_be("'near_duplicate', 'withheld_work'")
    op.create_table(
        "claims",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=True),
        sa.Column("thumb", sa.LargeBinary(), nullable=True),
        *(sa.Column(f"band_{number}", sa.Integer(), nullable=True) for number in range(4)),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("paid_by", sa.Text(), nullable=True),
        sa.Column("said", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("effect", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("retrainings", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        *(_time(name, optional=False) for name in ("opened_at", "answer_due_at", "decide_due_at")),
        *(_time(name) for name in ("answered_at", "decided_at", "appeal_due_at", "appealed_at", "final_due_at")),
        *(_time(name) for name in ("closed_at", "in_effect_at", "removed_at")),
        sa.CheckConstraint("(state = 'open') = (outcome IS NULL)", name="decided_has_an_outcome"),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_a_time"),
        sa.CheckConstraint(
            "(outcome IS NOT DISTINCT FROM 'upheld') = (paid_by IS NOT NULL)", name="upheld_names_a_payer"
        ),
        sa.CheckConstraint("state IN ('open', 'decided', 'appealed', 'closed')", name="state_is_known"),
        sa.CheckConstraint(_OUTCOMES, name="outcome_is_known"),
        sa.CheckConstraint("paid_by IN ('creator', 'operator')", name="paid_by_is_known"),
        schema="service",
    )
    op.create_index("claims_of_creator", "claims", ["creator_id", "sha256"], schema="service")
    op.create_index(
        "claims_in_effect",
        "claims",
        ["sha256"],
        schema="service",
        postgresql_where=sa.text("in_effect_at IS NOT NULL"),
    )
    op.create_table(
        "claim_contacts",
        sa.Column("claim_id", sa.Text(), sa.ForeignKey("service.claims.id"), primary_key=True),
        sa.Column("contact", sa.Text(), nullable=False),
        schema="service",
    )


def downgrade() -> None:
    op.drop_table("claim_contacts", schema="service")
    op.drop_table("claims", schema="service")
    op.execute("DELETE FROM service.cases WHERE kind = 'withheld_work'")
    _let_cases_be("'near_duplicate'")


def _time(name: str, *, optional: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)


def _let_cases_be(kinds: str) -> None:
    op.drop_constraint("kind_is_known", "cases", schema="service")
    op.create_check_constraint("kind_is_known", "cases", f"kind IN ({kinds})", schema="service")
