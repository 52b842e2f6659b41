"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    _make_accounts()
    _make_events()
    _make_executors()
    _make_images()
    _make_sessions()
    _make_sign_in_links()
    _make_styles()
    _make_trainings()
    _make_works()
    _make_versions()
    _make_generations()
    _make_outputs()


def downgrade() -> None:
    for table in (
        "outputs",
        "generations",
        "versions",
        "works",
        "trainings",
        "styles",
        "sign_in_links",
        "sessions",
        "images",
        "executors",
        "events",
        "accounts",
    ):
        op.drop_table(table, schema="service")


def _make_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('creator', 'client', 'operator')", name="role_is_known"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email", name="one_account_per_email"),
        schema="service",
    )


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("events_by_age", "events", ["created_at"], unique=False, schema="service")
    op.create_index("events_of_subject", "events", ["subject", "id"], unique=False, schema="service")


def _make_executors() -> None:
    op.create_table(
        "executors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )


def _make_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("images_of_client", "images", ["client_id", "id"], unique=False, schema="service")


def _make_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("digest"),
        schema="service",
    )


def _make_sign_in_links() -> None:
    op.create_table(
        "sign_in_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("digest"),
        schema="service",
    )


def _make_styles() -> None:
    op.create_table(
        "styles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("prompt_rules", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("review", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("published_version_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deletion", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("styles_of_creator", "styles", ["creator_id", "id"], unique=False, schema="service")


def _make_trainings() -> None:
    op.create_table(
        "trainings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("style_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("run", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("manifest", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=True),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("eta_s", sa.Double(), nullable=True),
        sa.Column("estimate_s", sa.Double(), nullable=True),
        sa.Column("heldout", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("samples", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("scores", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ("
            "'queued', 'preparing', 'training', 'measuring', "
            "'passed', 'refused', 'failed', 'canceled', 'paused')",
            name="state_is_known",
        ),
        sa.CheckConstraint("wanted IN ('pause', 'cancel')", name="wanted_is_known"),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["style_id"], ["service.styles.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index("trainings_of_style", "trainings", ["style_id", "id"], unique=False, schema="service")


def _make_works() -> None:
    op.create_table(
        "works",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("style_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("captions", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("include", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("rights IN ('mine', 'client_consented', 'licensed', 'unsure')", name="rights_is_known"),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["style_id"], ["service.styles.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("style_id", "sha256", name="a_file_once_per_style"),
        schema="service",
    )
    op.create_index("works_of_style", "works", ["style_id", "id"], unique=False, schema="service")


def _make_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("style_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("training_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("adapter_key", sa.Text(), nullable=False),
        sa.Column("adapter_sha256", sa.Text(), nullable=False),
        sa.Column("report_key", sa.Text(), nullable=False),
        sa.Column("receipt_key", sa.Text(), nullable=False),
        sa.Column("sheet_key", sa.Text(), nullable=True),
        sa.Column("examples", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("receipt", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("scores", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("work_ids", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("gate_passed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('draft', 'published', 'retired')", name="state_is_known"),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["style_id"], ["service.styles.id"]),
        sa.ForeignKeyConstraint(["training_id"], ["service.trainings.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("style_id", "number", name="a_number_once_per_style"),
        sa.UniqueConstraint("training_id", name="one_version_per_training"),
        schema="service",
    )
    op.create_index("versions_of_style", "versions", ["style_id", "id"], unique=False, schema="service")


def _make_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("style_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("test", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("request", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=True),
        sa.Column("eta_s", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ("
            "'queued', 'running', 'sealing', 'awaiting_approval', "
            "'settled', 'failed', 'withdrawn', 'canceled', 'expired')",
            name="state_is_known",
        ),
        sa.ForeignKeyConstraint(["client_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["style_id"], ["service.styles.id"]),
        sa.ForeignKeyConstraint(["version_id"], ["service.versions.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index(
        "generations_not_ended",
        "generations",
        ["state"],
        unique=False,
        schema="service",
        postgresql_where=sa.text("state IN ('queued', 'running', 'sealing', 'awaiting_approval')"),
    )
    op.create_index("generations_of_client", "generations", ["client_id", "id"], unique=False, schema="service")
    op.create_index("generations_of_style", "generations", ["style_id", "id"], unique=False, schema="service")


def _make_outputs() -> None:
    op.create_table(
        "outputs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("generation_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("style_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["creator_id"], ["service.accounts.id"]),
        sa.ForeignKeyConstraint(["generation_id"], ["service.generations.id"]),
        sa.ForeignKeyConstraint(["style_id"], ["service.styles.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("generation_id", "number", name="a_picture_once_per_generation"),
        schema="service",
    )
    op.create_index("outputs_of_client", "outputs", ["client_id", "id"], unique=False, schema="service")
    op.create_index("outputs_of_style", "outputs", ["style_id", "id"], unique=False, schema="service")
