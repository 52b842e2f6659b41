"""Taxes, floors, rates, authors, plans that change, discounts, invoices."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    changes = Path(__file__).parent.parent / "0007_billing.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(changes.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
