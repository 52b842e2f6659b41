"""The service's own tables, in the schema `service`. Money, keys, terms and switches are the licensing room's.

Ids are made by the caller (`service.ids`). Times are aware. A row that belongs to a person carries that person's id, so
that every query can filter by it.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from service.db.account_tables import (
    WAYS,
    passwords,
    recovery_codes,
    second_factors,
    sign_in_steps,
    sign_in_tries,
    sign_ups,
)
from service.db.case_tables import cases, claim_contacts, claims, looks
from service.db.columns import SCHEMA, metadata
from service.db.columns import flag as _flag
from service.db.columns import json as _json
from service.db.columns import number as _number
from service.db.columns import one_of as _one_of
from service.db.columns import primary_id as _id
from service.db.columns import real as _real
from service.db.columns import row_of as _of
from service.db.columns import text as _text
from service.db.columns import time as _time
from service.db.letter_tables import letter_choices, letters
from service.db.office_tables import fees, reports, self_tests
from service.db.portfolio_tables import consent_works, consents, tries, upload_files, uploads
from service.db.search_tables import appearances, searches
from service.db.team_tables import team_invitations, team_members

__all__ = [
    "SCHEMA",
    "appearances",
    "cases",
    "claim_contacts",
    "claims",
    "consent_works",
    "consents",
    "fees",
    "letter_choices",
    "letters",
    "looks",
    "metadata",
    "passwords",
    "recovery_codes",
    "reports",
    "searches",
    "second_factors",
    "self_tests",
    "sign_in_steps",
    "sign_in_tries",
    "sign_ups",
    "team_invitations",
    "team_members",
    "tries",
    "upload_files",
    "uploads",
]

ROLES = ("creator", "client", "operator")
RIGHTS = ("mine", "client_consented", "licensed", "unsure")
TRAINING_STATES = (
    "queued",
    "preparing",
    "training",
    "measuring",
    "passed",
    "refused",
    "failed",
    "canceled",
    "paused",
)
GENERATION_STATES = (
    "queued",
    "running",
    "sealing",
    "awaiting_approval",
    "settled",
    "failed",
    "withdrawn",
    "canceled",
    "expired",
)
VERSION_STATES = ("draft", "published", "retired")
APPROVAL_DECISIONS = ("approved", "rejected")
TRUST_LEVELS = ("by_count", "trusted", "always_review")
DELIVERY_STATES = ("waiting", "delivered", "failed")
AUTHORSHIP_STATES = ("waiting", "in_force", "declined", "ended")
DATA_USE_PURPOSES = (
    "review",
    "description",
    "training",
    "drawing",
    "variation",
    "checking",
    "showing",
    "own",
    "case",
    "consent",
    "export",
    "deletion",
)


accounts = sa.Table(
    "accounts",
    metadata,
    _id(),
    _text("role"),
    _text("email"),  # lower case
    _text("name"),
    _time("created_at"),
    _time("disabled_at", optional=True),
    _time("erase_asked_at", optional=True),
    _time("erased_at", optional=True),  # its e-mail and name are made up since
    _number("ownership_terms", "0"),  # the version it was opened under, then the one its person accepted last
    _time("accepted_at", optional=True),
    _text("language", optional=True),  # in which letters are written; learned at the first sign-in, then chosen
    sa.CheckConstraint("language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'", name="language_is_a_tag"),
    sa.UniqueConstraint("email", name="one_account_per_email"),
    sa.Index("accounts_of_role", "role", "id"),
    _one_of("role", ROLES),
)

ownership_terms = sa.Table(
    "ownership_terms",  # who owns what: every version that was in force; a trigger keeps it from being changed
    metadata,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("sha256"),
    _json("document"),
    _time("created_at"),
)

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # SHA-256 of the word in the link
    _of("accounts", "account_id"),
    _time("created_at"),
    _time("expires_at"),
    _time("used_at", optional=True),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # SHA-256 of the cookie
    _of("accounts", "account_id"),
    _time("created_at"),
    _time("expires_at"),
    _time("seen_at"),
    _time("ended_at", optional=True),
    _text("way", "link"),  # how it was opened
    _text("device", ""),  # of the browser, in words; empty for sessions of before
    _of("accounts", "acts_for", optional=True),  # a client whose team the person is in; none: for themselves
    sa.Index("sessions_of_account", "account_id"),
    _one_of("way", WAYS),
)

styles = sa.Table(
    "styles",
    metadata,
    _id(),
    _of("accounts", "creator_id"),
    _text("name"),
    _text("summary"),
    _text("base"),
    _json("review"),  # the last look at the portfolio: {"of": digest of what was looked at, "findings": [...]}
    _text("describing", optional=True),  # the story that finds words for its works
    _text("published_version_id", optional=True),
    _time("created_at"),
    _time("updated_at"),
    _time("destroyed_at", optional=True),  # the switch was set to `destroyed`
    _time("emptied_at", optional=True),  # and everything it had is deleted
    _text("deletion", optional=True),  # the signed list of what was deleted
    _number("deletion_lists", "0"),  # how many files it lists: more are noted when workers tidy
    sa.Index("styles_of_creator", "creator_id", "id"),
)

deleted_files = sa.Table(
    "deleted_files",  # what a destroyed style had: noted where it lay, before it was deleted
    metadata,
    sa.Column("style_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.styles.id"), primary_key=True),
    sa.Column("place", sa.Text, primary_key=True),  # the object storage, or the process on whose disk it lay
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),  # of a bucket that keeps several; else empty
    _number("num_bytes"),
    _text("sha256"),
    _time("noted_at"),
)

works = sa.Table(
    "works",
    metadata,
    _id(),
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    _text("filename"),
    _text("mime"),
    _number("width"),
    _number("height"),
    _number("num_bytes"),
    _text("sha256"),
    _text("storage_key"),
    _text("rights"),
    sa.Column("captions", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("suggested", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),  # by a captioning model
    _flag("include", "true"),
    _json("kept"),  # what its creator answered to findings: {kind: why it stays}
    _time("offered_at", optional=True),  # since when clients may start variations from it (`service.starting_points`)
    _time("created_at"),
    _time("updated_at"),
    sa.UniqueConstraint("style_id", "sha256", name="a_file_once_per_style"),
    sa.Index("works_of_style", "style_id", "id"),
    sa.Index("works_offered", "style_id", "id", postgresql_where=sa.text("offered_at IS NOT NULL")),
    _one_of("rights", RIGHTS),
)

trainings = sa.Table(
    "trainings",
    metadata,
    _id(),
    _of("trainings", "of_training", optional=True),  # it judges an adapter that this one kept, and learns nothing
    _number("take_step", optional=True),  # the one after so many steps
    _json("kept"),  # of an ended one: {"looks": [{"step", "gain", "error"}], "files": [{"name", "key", "sha256"}]}
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    _text("base"),
    _text("recipe"),
    _number("seed"),
    _text("state", "queued"),
    _text("wanted", optional=True),  # what the creator asked of a running training: 'pause' or 'cancel'
    _number("run", "1"),  # grows by one with each resume: names the workflow
    _number("fence", "0"),  # grows by one with each process that takes it: an older one can no longer write
    _text("told_by", optional=True),  # the story that tells it: of the round it learns in, then of its filing
    _text("message", optional=True),
    _json("manifest", "[]"),  # the works it may use: [{"id", "sha256"}], fixed when it starts
    _number("step", "0"),
    _number("steps", optional=True),
    _real("loss"),
    _real("eta_s"),
    _real("estimate_s"),
    _real("max_minutes"),  # the training's hard limit; none for those of before there were limits
    _number("price", "0"),  # what it costs if it passes, in minor units of `currency`, as told before it started
    _text("currency", "EUR"),
    _json("heldout", "[]"),
    _json("samples", "[]"),
    _json("scores"),
    _text("version_id", optional=True),
    _time("created_at"),
    _time("started_at", optional=True),
    _time("ended_at", optional=True),
    _time("updated_at"),
    sa.CheckConstraint("wanted IN ('pause', 'cancel')", name="wanted_is_known"),
    sa.Index("trainings_of_style", "style_id", "id"),
    sa.Index("trainings_of_creator", "creator_id", "id"),
    _one_of("state", TRAINING_STATES),
)

speeds = sa.Table(
    "speeds",
    metadata,
    sa.Column("of", sa.Text, primary_key=True),  # digest of the base's entry, the recipe and the device
    _text("base"),
    _text("recipe"),
    _text("asked"),  # the story that measures, or measured last
    _time("asked_at"),
    sa.Column("speed", JSONB, nullable=True),
    _time("measured_at", optional=True),  # with no speed: it could not be measured then
)

versions = sa.Table(
    "versions",
    metadata,
    _id(),
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    _of("trainings", "training_id"),
    _number("number"),
    _text("base"),
    _text("trigger"),
    _text("adapter_key"),
    _text("adapter_sha256"),
    _text("flat_key", optional=True),  # the same adapter as engines read it at once
    _text("flat_sha256", optional=True),
    _text("report_key"),
    _text("receipt_key"),
    _text("sheet_key", optional=True),  # shows works: the creator's alone
    _text("looks_key", optional=True),  # what the works look like; none for versions of before near-copies were told
    _number("near_copies", "0"),  # pictures that were refused by them
    _json("examples", "[]"),  # keys of pictures for anybody
    _json("receipt"),  # what it states; the signature lies beside it in storage
    _json("scores"),
    _json("work_ids", "[]"),
    _flag("gate_passed", "false"),
    _text("state", "draft"),
    _time("created_at"),
    _time("published_at", optional=True),
    sa.UniqueConstraint("style_id", "number", name="a_number_once_per_style"),
    sa.UniqueConstraint("training_id", name="one_version_per_training"),
    sa.Index("versions_of_style", "style_id", "id"),
    sa.Index("versions_on_sale_of_creator", "creator_id", postgresql_where=sa.text("published_at IS NOT NULL")),
    _one_of("state", VERSION_STATES),
)

images = sa.Table(
    "images",
    metadata,
    _id(),
    _of("accounts", "client_id"),
    _text("storage_key"),
    _text("sha256"),
    _text("mime"),
    _number("width"),
    _number("height"),
    _number("num_bytes"),
    _time("created_at"),
    _time("used_at"),  # uploaded, priced or ordered with last
    sa.Index("images_of_client", "client_id", "id"),
    sa.Index("images_by_use", "used_at"),
)

_HAS_PICTURES = "(request ->> 'image') IS NOT NULL OR (request ->> 'mask') IS NOT NULL"
generations = sa.Table(
    "generations",
    metadata,
    _id(),
    _of("accounts", "client_id"),
    _text("key_id", optional=True),
    _text("ordered_by", optional=True),  # the account of the person who ordered it in a browser; none: a program
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    _of("versions", "version_id"),
    _text("state", "queued"),
    _text("message", optional=True),
    _text("tier"),
    _number("count"),
    _number("amount"),
    _text("currency"),
    _flag("test", "false"),
    _json("refused", "[]"),  # pictures that a check objected to: [{"number", "kind", "message"}]
    _json("request"),  # the order with defaults filled in: prompt, seed, size, steps, strength, image ...
    _text("webhook_id", optional=True),  # the endpoint that its client named; it may have been removed since
    _number("rules_version", optional=True),  # of its creator's rules, which judged it; none for orders of before
    _flag("needs_approval", "false"),  # its creator looks at the pictures first, as its client was told
    _time("approval_until", optional=True),  # until when; set once they wait, and kept
    _number("ownership_terms", "0"),  # the version in force when it was ordered
    _number("work", "1"),  # what all its pictures cost to draw, in row-steps
    _number("turn", optional=True),  # its place in the line, in row-steps: `service.turns`
    # A column, because Postgres asks whose a row is before it adds anything up, and so finds no sum by an index.
    sa.Column("turn_end", sa.BigInteger, sa.Computed("turn + work", persisted=True)),
    _number("step", "0"),
    _number("steps", optional=True),
    _real("eta_s"),
    _time("created_at"),
    _time("started_at", optional=True),
    _time("ended_at", optional=True),
    _time("updated_at"),
    _time("words_deleted_at", optional=True),  # prompt and pictures it began at are gone since (`service.retention`)
    sa.Index("generations_of_client", "client_id", "id"),
    sa.Index("generations_of_style", "style_id", "id"),
    sa.Index("generations_by_style_of_client", "client_id", "style_id", "created_at"),
    sa.Index(
        "generations_not_ended",
        "state",
        postgresql_where=sa.text("state IN ('queued', 'running', 'sealing', 'awaiting_approval')"),
    ),
    sa.Index("generations_with_words", "ended_at", postgresql_where=sa.text("words_deleted_at IS NULL")),
    sa.Index("generations_with_pictures", "client_id", postgresql_where=sa.text(_HAS_PICTURES)),
    sa.Index("generations_in_line", "turn", postgresql_where=sa.text("turn IS NOT NULL")),
    sa.Index("generations_felt", "turn_end", postgresql_where=sa.text("turn_end IS NOT NULL")),
    _one_of("state", GENERATION_STATES),
)

approvals = sa.Table(
    "approvals",  # orders whose pictures wait, or waited, for their creator
    metadata,
    sa.Column("generation_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.generations.id"), primary_key=True),
    _of("accounts", "creator_id"),
    _of("accounts", "client_id"),
    _number("fence"),  # of the attempt that made them
    _number("num_pictures"),
    _json("kept"),  # what the settle needs: {"pictures", "message", "refused"}; emptied when the order has ended
    _text("decision", optional=True),
    _time("created_at"),
    _time("decided_at", optional=True),
    sa.CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided_has_a_time"),
    sa.Index("approvals_of_creator", "creator_id", "client_id"),
    sa.Index("approvals_waiting", "creator_id", "generation_id", postgresql_where=sa.text("decision IS NULL")),
    sa.Index("approvals_decided", "creator_id", "decided_at", postgresql_where=sa.text("decision IS NOT NULL")),
    sa.Index("approvals_kept", "generation_id", postgresql_where=sa.text("kept <> '{}'")),
    _one_of("decision", APPROVAL_DECISIONS),
)

trust = sa.Table(
    "trust",  # what creators decided about clients
    metadata,
    sa.Column("creator_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.accounts.id"), primary_key=True),
    sa.Column("client_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.accounts.id"), primary_key=True),
    _text("level"),
    _time("updated_at"),
    _one_of("level", TRUST_LEVELS),
)

authorships = sa.Table(
    "authorships",  # who shares what a style earns
    metadata,
    _id(),
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    sa.Column("parts", JSONB, nullable=False),  # weights by account
    _json("said"),  # what each answered
    _text("state", "waiting"),
    _time("created_at"),
    _time("ended_at", optional=True),
    sa.Index(
        "one_authorship_per_style",
        "style_id",
        "state",
        unique=True,
        postgresql_where=sa.text("state IN ('waiting', 'in_force')"),
    ),
    _one_of("state", AUTHORSHIP_STATES),
)

outputs = sa.Table(
    "outputs",
    metadata,
    _id(),
    _of("generations", "generation_id"),
    _of("accounts", "client_id"),
    _of("styles", "style_id"),
    _of("accounts", "creator_id"),
    _number("number"),
    _text("storage_key"),
    _text("mime"),
    _number("width"),
    _number("height"),
    _number("num_bytes"),
    _text("sha256"),
    _json("receipt"),  # how it was made (`inference.receipt`); empty where nobody knows: of a test key, or from before
    _time("created_at"),
    sa.UniqueConstraint("generation_id", "number", name="a_picture_once_per_generation"),
    sa.Index("outputs_of_client", "client_id", "id"),
    sa.Index("outputs_of_style", "style_id", "id"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _text("subject"),  # the id of the generation or training
    _text("kind"),
    _json("data"),
    _time("created_at"),
    sa.Index("events_of_subject", "subject", "id"),
    sa.Index("events_by_age", "created_at"),
)

webhooks = sa.Table(
    "webhooks",  # endpoints of clients
    metadata,
    _id(),
    _of("accounts", "client_id"),
    _text("url"),
    sa.Column("kinds", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),  # empty: all
    _text("description", ""),
    _text("secret"),  # under a key from the pepper: `service.webhooks`
    _text("old_secret", optional=True),
    _time("old_secret_until", optional=True),
    _time("created_at"),
    _time("failing_since", optional=True),  # the first try that failed after the last that did not
    _time("retry_at", optional=True),  # until then its oldest message rests, and all behind it
    _time("claimed_until", optional=True),  # by one who sends; past: when it was last looked at
    _text("claimed_by", optional=True),
    _time("disabled_at", optional=True),
    _text("disabled_why", optional=True),
    sa.UniqueConstraint("client_id", "url", name="a_url_once_per_client"),
)

messages = sa.Table(
    "messages",  # what clients are told
    metadata,
    _id(),
    _text("kind"),
    _text("body"),  # the very text that is signed and sent
    _time("created_at"),
    sa.Index("messages_by_age", "created_at"),
)

_WAITING = "state = 'waiting' AND due_at IS"
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("message_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.messages.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("webhook_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.webhooks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),  # the order of an endpoint's
    _text("state", "waiting"),
    _number("tries", "0"),
    _time("due_at", optional=True),  # set for what goes out of turn, at this time
    _json("attempts", "[]"),  # the last ones: [{"at", "status", "error", "ms"}]
    _time("ended_at", optional=True),
    sa.Index("deliveries_of_webhook", "webhook_id", "number"),
    sa.Index("deliveries_in_turn", "webhook_id", "number", postgresql_where=sa.text(f"{_WAITING} NULL")),
    sa.Index("deliveries_out_of_turn", "webhook_id", "due_at", postgresql_where=sa.text(f"{_WAITING} NOT NULL")),
    _one_of("state", DELIVERY_STATES),
)

switch_stops = sa.Table(
    "switch_stops",  # how long `off` took: until it held (place 'fence'), until a worker had stopped
    metadata,
    sa.Column("event_no", sa.BigInteger, primary_key=True, autoincrement=False),  # licensing.switch_event
    sa.Column("place", sa.Text, primary_key=True),
    _time("asked_at"),
    _time("stopped_at"),
    _number("num_orders", "0"),
    sa.Index("switch_stops_by_time", "stopped_at"),
)

executors = sa.Table(
    "executors",
    metadata,
    _id(),  # the workflow engine's name for the process, the same after a restart
    _text("role"),
    _text("host"),
    _number("pid"),
    _text("content_check", ""),  # the name of what judges what its pictures show; empty: nothing does
    _time("started_at"),
    _time("seen_at"),
    _json("speeds"),  # how fast a worker draws, by base: `inference.pace.Speed`
    _json("machine"),  # what a worker says of its machine: `service.machines`
)

oldest_code = sa.Table(
    "oldest_code",  # by room, the oldest revision whose code may be started over the tables: `service.skew`
    metadata,
    sa.Column("room", sa.Text(), primary_key=True),
    _text("revision"),
)

_IN_RECORD = "refused IS NOT NULL OR purpose = 'case' OR (purpose = 'deletion' AND role <> 'place')"
data_use = sa.Table(
    "data_use",  # who opened a creator's files, or was refused; a trigger keeps it from being changed
    metadata,
    _id(),
    _time("at"),
    _of("accounts", "creator_id"),  # whose the files are
    _of("styles", "style_id"),
    _text("purpose"),
    _text("role"),  # of who opened them; 'place' where a job did
    _text("actor"),  # the account, or the process that told the job
    _text("via", ""),  # the key or the session that spoke for the account
    _text("job", ""),
    _number("num_files"),
    _json("files"),  # [{"key", "sha256"}]
    sa.Column("day", sa.Date, nullable=True),  # of what is told once a day
    _text("refused", optional=True),  # why; then nothing was opened
    sa.Index("data_use_of_creator", "creator_id", "id"),
    sa.Index("data_use_of_style", "style_id", "id"),
    # What of it the records of accounts tell: `service.audit`.
    sa.Index("data_use_in_record", "creator_id", "at", postgresql_where=sa.text(_IN_RECORD)),
    sa.Index("data_use_by_operator", "actor", "at", postgresql_where=sa.text("purpose = 'case' AND refused IS NULL")),
    sa.Index(
        "data_use_told_once_a_day",
        *("creator_id", "style_id", "purpose", "actor", "via", "day"),
        unique=True,
        postgresql_where=sa.text("day IS NOT NULL"),
    ),
    _one_of("purpose", DATA_USE_PURPOSES),
)

audit = sa.Table(
    "audit",  # what was done that leaves no row of its own (`service.audit`); kept from being changed alike
    metadata,
    sa.Column("id", sa.Text, primary_key=True, server_default=sa.text("gen_random_uuid()::text")),
    _time("at"),
    _of("accounts", "account_id"),  # whose record it is in
    _of("styles", "style_id", optional=True),
    _text("kind"),
    _text("subject", ""),
    _text("role"),  # of who did it, as in data_use
    _text("via", ""),
    _json("data"),
    sa.Index("audit_of_account", "account_id", "at"),
)
