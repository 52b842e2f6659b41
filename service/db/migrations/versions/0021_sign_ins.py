"""Passwords, second factors, sign-ups, and sessions that can be told apart."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("way", sa.Text(), server_default="link", nullable=False), schema="service")
    op.add_column("sessions", sa.Column("device", sa.Text(), server_default="", nullable=False), schema="service")
    op.create_check_constraint("way_is_known", "sessions", "way IN ('link', 'password')", schema="service")
    op.create_index("sessions_of_account", "sessions", ["account_id"], schema="service")
    op.create_table(
        "passwords",
        _account(),
        sa.Column("hash", sa.Text(), nullable=False),
        _time("set_at"),
        schema="service",
    )
    op.create_table(
        "second_factors",
        _account(),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at_links", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _time("made_at"),
        _time("on_since", optional=True),
        schema="service",
    )
    op.create_table(
        "recovery_codes", _account(), _digest(), _time("made_at"), _time("used_at", optional=True), schema="service"
    )
    op.create_table(
        "sign_in_steps",
        _digest(),
        sa.Column("account_id", sa.Text(), sa.ForeignKey("service.accounts.id"), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        sa.CheckConstraint("way IN ('link', 'password')", name="way_is_known"),
        schema="service",
    )
    op.create_table(
        "sign_ups",
        _digest(),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("email", "name", "role")),
        sa.Column("terms_version", sa.BigInteger(), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        sa.CheckConstraint("role IN ('creator', 'client')", name="role_is_known"),
        schema="service",
    )
    op.create_table(
        "sign_in_tries",
        _digest(),
        sa.Column("count", sa.BigInteger(), nullable=False),
        _time("last_at"),
        _time("next_at"),
        schema="service",
    )


def downgrade() -> None:
    for name in ("sign_in_tries", "sign_ups", "sign_in_steps", "recovery_codes", "second_factors", "passwords"):
        op.drop_table(name, schema="service")
    op.drop_index("sessions_of_account", table_name="sessions", schema="service")
    op.drop_constraint("way_is_known", "sessions", schema="service")
    op.drop_column("sessions", "device", schema="service")
    op.drop_column("sessions", "way", schema="service")


def _account() -> sa.Column[str]:
    return sa.Column("account_id", sa.Text(), sa.ForeignKey("service.accounts.id"), primary_key=True)


def _digest() -> sa.Column[bytes]:
    return sa.Column("digest", sa.LargeBinary(), primary_key=True)


def _time(name: str, *, optional: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)
