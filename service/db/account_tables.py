"""How people prove who they are: passwords, second factors, sign-ups that wait for their address, and counted tries."""

import sqlalchemy as sa

from service.db.columns import SCHEMA, flag, metadata, number, one_of, row_of, text, time

WAYS = ("link", "password")
SIGN_UP_ROLES = ("creator", "client")


def _account() -> sa.Column[str]:
    return sa.Column("account_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.accounts.id"), primary_key=True)


def _digest() -> sa.Column[bytes]:
    return sa.Column("digest", sa.LargeBinary, primary_key=True)


passwords = sa.Table(
    "passwords",
    metadata,
    _account(),
    text("hash"),  # Argon2id, in PHC's form
    time("set_at"),
)

second_factors = sa.Table(
    "second_factors",
    metadata,
    _account(),
    text("secret"),  # encrypted under the pepper
    number("last_step", "0"),  # the newest code that was used: none is used twice
    flag("at_links", "false"),  # asked for at links as well
    time("made_at"),
    time("on_since", optional=True),  # none until a first code has shown that the app has the secret
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    _account(),
    _digest(),  # keyed by the pepper
    time("made_at"),
    time("used_at", optional=True),
)

sign_in_steps = sa.Table(
    "sign_in_steps",  # somebody who has shown a link or a password, and owes a code
    metadata,
    _digest(),  # SHA-256 of the word that the form carries
    row_of("accounts", "account_id"),
    text("way"),
    time("created_at"),
    time("expires_at"),
    one_of("way", WAYS),
)

sign_ups = sa.Table(
    "sign_ups",  # accounts to be, until the link that went to the address is used
    metadata,
    _digest(),
    text("email"),
    text("name"),
    text("role"),
    number("terms_version"),  # of who owns what, that was said yes to
    time("created_at"),
    time("expires_at"),
    one_of("role", SIGN_UP_ROLES),
)

sign_in_tries = sa.Table(
    "sign_in_tries",  # how often something was tried lately, whether or not it exists
    metadata,
    _digest(),  # of what was tried and with which address or account, keyed by the pepper
    number("count"),
    time("last_at"),
    time("next_at"),
)
