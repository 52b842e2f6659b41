"""Around a portfolio: uploads that outlive a closed tab, consents that somebody is asked for, tries of a version."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from service.db.columns import SCHEMA, flag, metadata, number, one_of, primary_id, row_of, text, time

TRY_STATES = ("waiting", "drawn", "failed")
UPLOAD_FILE_STATES = ("waiting", "arrived", "refused")

uploads = sa.Table(
    "uploads",  # files that somebody brings together: the record tells of each, so it stays without its files
    metadata,
    primary_id(),
    row_of("styles", "style_id"),
    row_of("accounts", "creator_id"),
    text("rights"),  # of the works that come of it
    text("via"),  # the key or the session that began it
    number("num_new", "0"),  # works that came of it
    time("started_at"),
    time("touched_at"),
    time("closed_at", optional=True),  # and its files are forgotten
    sa.Index("uploads_open", "style_id", unique=True, postgresql_where=sa.text("closed_at IS NULL")),
    sa.Index("uploads_of_creator", "creator_id", "started_at"),
)

upload_files = sa.Table(
    "upload_files",  # what an open upload consists of
    metadata,
    primary_id(),
    sa.Column("upload_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.uploads.id", ondelete="CASCADE"), nullable=False),
    row_of("accounts", "creator_id"),
    text("filename"),  # with its folders, as the browser knows it
    number("num_bytes"),
    number("modified_ms"),  # with name and size it tells the same file again
    number("received", "0"),  # bytes that are here
    text("state", "waiting"),
    text("work_id", optional=True),  # what it became
    sa.Column("problem", JSONB, nullable=True),  # or why not, as a problem document
    sa.UniqueConstraint("upload_id", "filename", "num_bytes", "modified_ms", name="a_file_once_per_upload"),
    one_of("state", UPLOAD_FILE_STATES),
)

consents = sa.Table(
    "consents",  # somebody is asked, by a link, whether works may be used; the row is the evidence of the answer
    metadata,
    primary_id(),
    row_of("styles", "style_id"),
    row_of("accounts", "creator_id"),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),  # SHA-256 of the word in the link
    text("asked"),  # who, in the creator's words
    text("words"),  # what they were asked, as they read it
    flag("covers_starts", "false"),  # and whether that was also that clients start variations from the works
    number("text_version"),
    time("made_at"),
    time("expires_at"),  # until when it can be answered
    time("revoked_at", optional=True),  # the creator took the question back
    text("answer", optional=True),
    text("answered_by", optional=True),  # a name, as it was typed
    time("answered_at", optional=True),
    time("withdrawn_at", optional=True),  # the yes was taken back
    sa.Index("consents_of_style", "style_id", "id"),
    sa.CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="an_answer_has_a_time"),
    sa.CheckConstraint("withdrawn_at IS NULL OR answer = 'yes'", name="only_a_yes_is_withdrawn"),
    one_of("answer", ("yes", "no")),
)

consent_works = sa.Table(
    "consent_works",  # the works that a consent is about; a work may be deleted, and its hash stays
    metadata,
    sa.Column("consent_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.consents.id"), primary_key=True),
    sa.Column("work_id", sa.Text, primary_key=True),
    row_of("accounts", "creator_id"),
    text("sha256"),
    sa.Index("consents_of_file", "creator_id", "sha256"),
)

tries = sa.Table(
    "tries",  # pictures that creators have drawn of own versions, for nothing; they are deleted after some days
    metadata,
    primary_id(),
    row_of("accounts", "creator_id"),
    row_of("styles", "style_id"),
    row_of("versions", "version_id"),
    text("prompt"),
    number("seed"),
    text("state", "waiting"),
    text("message", optional=True),  # why there is no picture
    text("storage_key", optional=True),
    time("created_at"),
    sa.Index("tries_of_creator", "creator_id", "created_at"),
    sa.Index("tries_of_version", "version_id", "id"),
    one_of("state", TRY_STATES),
)
