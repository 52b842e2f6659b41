"""Uploads that outlive a closed tab, consents by link, and what creators try."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"


_PURPOSES = ("review", "description", "training", "drawing", "checking", "own", "case", "export", "deletion")


def upgrade() -> None:
    _make_uploads()
    _make_consents()
    _make_tries()
    _let_purposes_be((*_PURPOSES, "consent"))


def downgrade() -> None:
    for name in ("tries", "consent_works", "consents", "upload_files", "uploads"):
        op.drop_table(name, schema="service")
    op.execute("ALTER TABLE service.data_use DISABLE TRIGGER data_use_is_only_added_to")
    op.execute("UPDATE service.data_use SET purpose = 'own' WHERE purpose = 'consent'")
    op.execute("ALTER TABLE service.data_use ENABLE TRIGGER data_use_is_only_added_to")
    _let_purposes_be(_PURPOSES)


def _make_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("num_new", sa.BigInteger(), server_default="0", nullable=False),
        _time("started_at", optional=False),
        _time("touched_at", optional=False),
        _time("closed_at"),
        schema="service",
    )
    op.create_index(
        "uploads_open",
        "uploads",
        ["style_id"],
        unique=True,
        schema="service",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("uploads_of_creator", "uploads", ["creator_id", "started_at"], schema="service")
    op.create_table(
        "upload_files",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("upload_id", sa.Text(), sa.ForeignKey("service.uploads.id", ondelete="CASCADE"), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("work_id", sa.Text(), nullable=True),
        sa.Column("problem", JSONB(), nullable=True),
        sa.UniqueConstraint("upload_id", "filename", "num_bytes", "modified_ms", name="a_file_once_per_upload"),
        sa.CheckConstraint("state IN ('waiting', 'arrived', 'refused')", name="state_is_known"),
        schema="service",
    )


def _make_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("text_version", sa.BigInteger(), nullable=False),
        _time("made_at", optional=False),
        _time("expires_at", optional=False),
        _time("revoked_at"),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        _time("answered_at"),
        _time("withdrawn_at"),
        sa.CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="an_answer_has_a_time"),
        sa.CheckConstraint("withdrawn_at IS NULL OR answer = 'yes'", name="only_a_yes_is_withdrawn"),
        sa.CheckConstraint("answer IN ('yes', 'no')", name="answer_is_known"),
        schema="service",
    )
    op.create_index("consents_of_style", "consents", ["style_id", "id"], schema="service")
    op.create_table(
        "consent_works",
        sa.Column("consent_id", sa.Text(), sa.ForeignKey("service.consents.id"), primary_key=True),
        sa.Column("work_id", sa.Text(), primary_key=True),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        schema="service",
    )
    op.create_index("consents_of_file", "consent_works", ["creator_id", "sha256"], schema="service")


def _make_tries() -> None:
    op.create_table(
        "tries",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("creator_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("style_id", sa.Text(), sa.ForeignKey("service.styles.id"), nullable=False),
        sa.Column("version_id", sa.Text(), sa.ForeignKey("service.versions.id"), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("storage_key", sa.Text(), nullable=True),
        _time("created_at", optional=False),
        sa.CheckConstraint("state IN ('waiting', 'drawn', 'failed')", name="state_is_known"),
        schema="service",
    )
    op.create_index("tries_of_creator", "tries", ["creator_id", "created_at"], schema="service")
    op.create_index("tries_of_version", "tries", ["version_id", "id"], schema="service")


def _let_purposes_be(purposes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{word}'" for word in purposes)
    op.drop_constraint("purpose_is_known", "data_use", schema="service")
    op.create_check_constraint("purpose_is_known", "data_use", f"purpose IN ({listed})", schema="service")


def _time(name: str, *, optional: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)
