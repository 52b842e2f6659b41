"""What clients ask for and bring is kept for a while only."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

HAS_PICTURES = "(request ->> 'image') IS NOT NULL OR (request ->> 'mask') IS NOT NULL"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.add_column("images", sa.Column("used_at", time, nullable=True), schema="service")
    op.execute("UPDATE service.images SET used_at = created_at")
    op.alter_column("images", "used_at", nullable=False, schema="service")
    op.create_index("images_by_use", "images", ["used_at"], schema="service")
    op.add_column("generations", sa.Column("words_deleted_at", time, nullable=True), schema="service")
    op.create_index(
        "generations_with_words",
        "generations",
        ["ended_at"],
        postgresql_where=sa.text("words_deleted_at IS NULL"),
        schema="service",
    )
    op.create_index(
        "generations_with_pictures",
        "generations",
        ["client_id"],
        postgresql_where=sa.text(HAS_PICTURES),
        schema="service",
    )
    _note_deleted_files()
    for name in ("erase_asked_at", "erased_at"):
        op.add_column("accounts", sa.Column(name, time, nullable=True), schema="service")


def _note_deleted_files() -> None:
    op.add_column(
        "styles", sa.Column("deletion_lists", sa.BigInteger, server_default="0", nullable=False), schema="service"
    )
    op.create_table(
        "deleted_files",
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), primary_key=True),
        sa.Column("place", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), primary_key=True),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        schema="service",
    )


def downgrade() -> None:
    for name in ("erased_at", "erase_asked_at"):
        op.drop_column("accounts", name, schema="service")
    op.drop_table("deleted_files", schema="service")
    op.drop_column("styles", "deletion_lists", schema="service")
    op.drop_index("generations_with_pictures", "generations", schema="service")
    op.drop_index("generations_with_words", "generations", schema="service")
    op.drop_column("generations", "words_deleted_at", schema="service")
    op.drop_index("images_by_use", "images", schema="service")
    op.drop_column("images", "used_at", schema="service")
