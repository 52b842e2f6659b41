"""What creators owe for a month; where refunds by transfer go, and who sent them."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    tables = Path(__file__).parent.parent / "0010_dues_and_transfers.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(tables.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
