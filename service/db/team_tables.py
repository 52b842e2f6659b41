"""Who else acts for a client: the people of its team, and those who are asked to join."""

import sqlalchemy as sa

from service.db.columns import flag, metadata, one_of, primary_id, row_of, text, time

TEAM_LEVELS = ("makes", "pays", "manages")

team_members = sa.Table(
    "team_members",
    metadata,
    primary_id(),
    row_of("accounts", "client_id"),
    row_of("accounts", "account_id"),  # the person's own
    text("level"),
    time("since"),
    row_of("accounts", "invited_by"),
    time("ended_at", optional=True),
    sa.Index(
        "one_membership_in_force",
        "account_id",
        "client_id",
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    sa.Index("members_of_client", "client_id", "id"),
    one_of("level", TEAM_LEVELS),
    sa.CheckConstraint("client_id <> account_id", name="nobody_is_in_their_own_team"),
)

team_invitations = sa.Table(
    "team_invitations",
    metadata,
    primary_id(),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),  # SHA-256 of the link's word
    row_of("accounts", "client_id"),
    row_of("accounts", "invited_by"),
    text("email"),  # lower case; only its owner may accept
    text("level"),
    flag("is_mailed", "false"),  # its link was in the letter alone, so it proves the address
    time("created_at"),
    time("expires_at"),
    time("used_at", optional=True),
    time("withdrawn_at", optional=True),
    sa.Index("invitations_of_client", "client_id", "id"),
    one_of("level", TEAM_LEVELS),
)
