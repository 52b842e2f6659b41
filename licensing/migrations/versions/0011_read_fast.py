"""Indexes for what pages show."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    tables = Path(__file__).parent.parent / "0011_read_fast.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(tables.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
