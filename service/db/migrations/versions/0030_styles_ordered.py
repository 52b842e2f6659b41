"""Which styles a client has ordered is found without reading each order."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.create_index(
        "generations_by_style_of_client", "generations", ["client_id", "style_id", "created_at"], schema="service"
    )


def downgrade() -> None:
    op.drop_index("generations_by_style_of_client", "generations", schema="service")
