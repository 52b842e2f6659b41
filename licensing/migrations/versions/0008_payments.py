"""What clients paid and got back, saved methods, and the events of payment providers."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    tables = Path(__file__).parent.parent / "0008_payments.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(tables.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
