"""Works that clients may start variations from, and consents that cover it."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

_PURPOSES = ("review", "description", "training", "drawing", "checking", "own", "case", "consent", "export", "deletion")


def upgrade() -> None:
    op.add_column("works", sa.Column("offered_at", sa.DateTime(timezone=True), nullable=True), schema="service")
    op.create_index(
        "works_offered",
        "works",
        ["style_id", "id"],
        schema="service",
        postgresql_where=sa.text("offered_at IS NOT NULL"),
    )
    op.add_column(
        "consents",
        sa.Column("covers_starts", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="service",
    )
    _let_purposes_be((*_PURPOSES, "variation", "showing"))


def downgrade() -> None:
    op.execute("ALTER TABLE service.data_use DISABLE TRIGGER data_use_is_only_added_to")
    op.execute("UPDATE service.data_use SET purpose = 'drawing' WHERE purpose = 'variation'")
    # One line a day of each reader may be there already; what is shown has none of its own.
    op.execute("UPDATE service.data_use SET purpose = 'own', day = NULL WHERE purpose = 'showing'")
    op.execute("ALTER TABLE service.data_use ENABLE TRIGGER data_use_is_only_added_to")
    _let_purposes_be(_PURPOSES)
    op.drop_column("consents", "covers_starts", schema="service")
    op.drop_index("works_offered", "works", schema="service")
    op.drop_column("works", "offered_at", schema="service")


def _let_purposes_be(purposes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{word}'" for word in purposes)
    op.drop_constraint("purpose_is_known", "data_use", schema="service")
    op.create_check_constraint("purpose_is_known", "data_use", f"purpose IN ({listed})", schema="service")
