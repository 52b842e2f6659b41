"""What people are told, as tables. `metadata` is that of all tables of this room."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from service.db.columns import SCHEMA, flag, json, metadata, number, one_of, primary_id, row_of, text, time

MAIL_STATES = ("waiting", "sent", "failed", "off")

letters = sa.Table(
    "letters",  # what people are told: in their inbox, and by e-mail
    metadata,
    primary_id(),  # made of what it tells, so that nothing is told twice
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),  # the order of an inbox
    row_of("accounts", "account_id", optional=True),  # none for somebody who has no account
    text("address", optional=True),  # where the e-mail goes, if not to the account's address as it is then
    text("kind"),
    text("topic"),  # `service.letter_kinds`
    text("about", ""),  # the id of what it is about
    text("subject"),
    text("words"),
    text("path"),  # the page it leads to
    text("link", optional=True),  # a one-time link, under a key from the pepper; deleted once it was sent or ran out
    time("link_until", optional=True),
    flag("in_inbox", "true"),
    time("read_at", optional=True),
    time("created_at"),
    text("mail", "waiting"),
    number("round", "0"),  # grows with each time that a person asks for it to be sent again
    time("round_at"),  # the Date of its e-mail
    number("tries", "0"),  # of this round
    time("due_at"),  # the next try; while one is made, when others may make one
    time("give_up_at"),
    text("claimed_by", optional=True),
    json("attempts", "[]"),  # the last ones: [{"at", "code", "error", "ms"}]
    time("mail_ended_at", optional=True),
    sa.CheckConstraint("account_id IS NOT NULL OR address IS NOT NULL", name="goes_to_somebody"),
    sa.CheckConstraint("account_id IS NOT NULL OR NOT in_inbox", name="an_inbox_is_an_accounts"),
    sa.CheckConstraint("link IS NULL OR link_until IS NOT NULL", name="a_link_runs_out"),
    sa.Index("letters_of_account", "account_id", "number"),
    sa.Index("letters_unread", "account_id", postgresql_where=sa.text("in_inbox AND read_at IS NULL")),
    sa.Index("letters_waiting", "due_at", postgresql_where=sa.text("mail = 'waiting'")),
    sa.Index("letters_with_link", "link_until", postgresql_where=sa.text("link IS NOT NULL")),
    sa.Index("letters_by_age", "created_at"),
    one_of("mail", MAIL_STATES),
)

letter_choices = sa.Table(
    "letter_choices",  # which topics an account wants no e-mail of
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.accounts.id"), primary_key=True),
    sa.Column("off", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
)
