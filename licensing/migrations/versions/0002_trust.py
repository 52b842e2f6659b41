"""Stripped pictures found by an index; checkpoints, audits, revocations and marks."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    tables = Path(__file__).parent.parent / "0002_trust.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(tables.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
