"""Pictures that are sold once: what else was sold of a style is found by an index."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    tables = Path(__file__).parent.parent / "0004_exclusive.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(tables.read_text())


def downgrade() -> None:
    raise RuntimeError("a ledger is not unmade; restore a backup instead")
