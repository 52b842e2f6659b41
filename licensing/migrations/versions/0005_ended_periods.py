"""Periods found by when they ended."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    indexes = Path(__file__).parent.parent / "0005_ended_periods.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(indexes.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
