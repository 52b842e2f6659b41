"""Teams of a client: members, invitations, for whom a session acts, and who of a team ordered."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

_LEVEL = "level IN ('makes', 'pays', 'manages')"


def upgrade() -> None:
    op.create_table(
        "team_members",
        sa.Column("id", sa.Text(), primary_key=True),
        _account("client_id"),
        _account("account_id"),
        sa.Column("level", sa.Text(), nullable=False),
        _time("since", optional=False),
        _account("invited_by"),
        _time("ended_at"),
        sa.CheckConstraint(_LEVEL, name="level_is_known"),
        sa.CheckConstraint("client_id <> account_id", name="nobody_is_in_their_own_team"),
        schema="service",
    )
    op.create_index(
        "one_membership_in_force",
        "team_members",
        ["account_id", "client_id"],
        unique=True,
        schema="service",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("members_of_client", "team_members", ["client_id", "id"], schema="service")
    op.create_table(
        "team_invitations",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),
        _account("client_id"),
        _account("invited_by"),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("is_mailed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _time("created_at", optional=False),
        _time("expires_at", optional=False),
        _time("used_at"),
        _time("withdrawn_at"),
        sa.CheckConstraint(_LEVEL, name="level_is_known"),
        schema="service",
    )
    op.create_index("invitations_of_client", "team_invitations", ["client_id", "id"], schema="service")
    op.add_column(
        "sessions",
        sa.Column("acts_for", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=True),
        schema="service",
    )
    op.add_column("generations", sa.Column("ordered_by", sa.Text(), nullable=True), schema="service")


def downgrade() -> None:
    op.drop_column("generations", "ordered_by", schema="service")
    op.drop_column("sessions", "acts_for", schema="service")
    op.drop_table("team_invitations", schema="service")
    op.drop_table("team_members", schema="service")


def _account(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False)


def _time(name: str, *, optional: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)
