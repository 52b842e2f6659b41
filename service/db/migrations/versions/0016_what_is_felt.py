"""The line without its past: what was drawn lately is found by where its turn ends. Room beside rows that change."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column(
        "generations",
        sa.Column("turn_end", sa.BigInteger(), sa.Computed("turn + work", persisted=True)),
        schema="service",
    )
    op.create_index(
        "generations_felt",
        "generations",
        ["turn_end"],
        schema="service",
        postgresql_where=sa.text("turn_end IS NOT NULL"),
    )
    # A picture's progress is written many times: with room on its page no index hears of it.
    op.execute("ALTER TABLE service.generations SET (fillfactor = 70)")


def downgrade() -> None:
    op.execute("ALTER TABLE service.generations RESET (fillfactor)")
    op.drop_index("generations_felt", "generations", schema="service")
    op.drop_column("generations", "turn_end", schema="service")
