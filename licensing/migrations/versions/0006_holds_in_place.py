"""Holds whose leases move without a word to any index."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    changes = Path(__file__).parent.parent / "0006_holds_in_place.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(changes.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
