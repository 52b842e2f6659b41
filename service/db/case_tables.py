"""What works look like, and what the operator decides about them: cases, and claims of somebody outside."""

import sqlalchemy as sa

from service.db.columns import SCHEMA, json, metadata, one_of, primary_id, row_of, text, time

CASE_KINDS = ("near_duplicate", "withheld_work")
CASE_STATES = ("open", "decided")
CASE_OUTCOMES = ("allowed", "refused")
CLAIM_STATES = ("open", "decided", "appealed", "closed")
CLAIM_OUTCOMES = ("upheld", "rejected", "withdrawn")
CLAIM_PAYERS = ("creator", "operator")

looks = sa.Table(
    "looks",  # what a work looks like in numbers, for finding it again among everybody's
    metadata,
    sa.Column("work_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.works.id", ondelete="CASCADE"), primary_key=True),
    row_of("accounts", "creator_id"),
    sa.Column("bits", sa.LargeBinary, nullable=False),  # perceptual hash, 8 bytes
    sa.Column("thumb", sa.LargeBinary, nullable=False),  # 16 x 16 RGB
    *(sa.Column(f"band_{number}", sa.Integer, nullable=False) for number in range(4)),  # the four parts of `bits`
    *(sa.Index(f"looks_by_band_{number}", f"band_{number}") for number in range(4)),
)

cases = sa.Table(
    "cases",  # what a person of the operator's has to decide
    metadata,
    primary_id(),
    text("kind"),
    text("subject"),  # what it is about: the id of a work, or the hash of a file that was not taken
    row_of("accounts", "creator_id"),  # whose the subject is
    json("evidence"),  # by kind; a near-duplicate {"other", "bits_apart", "colours_apart", "rights"}; else {"claim"}
    json("said", "[]"),  # [{"at", "by", "sentence"}] in order; `by` is a role
    text("state", "open"),
    text("outcome", optional=True),
    time("opened_at"),
    time("decided_at", optional=True),
    sa.Index("cases_of_subject", "subject"),
    sa.Index("cases_of_creator", "creator_id", "opened_at"),
    sa.Index("cases_decided", "decided_at", postgresql_where=sa.text("state = 'decided'")),
    sa.Index("cases_open", "opened_at", postgresql_where=sa.text("state = 'open'")),
    sa.CheckConstraint("(state = 'decided') = (outcome IS NOT NULL)", name="decided_has_an_outcome"),
    one_of("kind", CASE_KINDS),
    one_of("state", CASE_STATES),
    one_of("outcome", CASE_OUTCOMES),
)

claims = sa.Table(
    "claims",  # somebody outside says that a work is theirs
    metadata,
    primary_id(),
    text("work_id"),  # which is deleted where the claim is upheld for good
    row_of("styles", "style_id"),
    row_of("accounts", "creator_id"),  # whose portfolio it is in
    text("sha256"),  # of the file: while the claim is in effect nobody brings it again
    sa.Column("bits", sa.LargeBinary, nullable=True),  # and nothing that looks like it: as in `looks`
    sa.Column("thumb", sa.LargeBinary, nullable=True),
    *(sa.Column(f"band_{number}", sa.Integer, nullable=True) for number in range(4)),
    text("state", "open"),
    text("outcome", optional=True),
    text("paid_by", optional=True),  # who pays a training without the work
    json("said", "[]"),  # [{"at", "by", "act", "words", "outcome"}] in order
    json("effect"),  # what being upheld changed, so that it can be undone: {"works", "versions", "trainings"}
    json("retrainings", "[]"),  # [{"style", "training"}]
    time("opened_at"),
    time("answer_due_at"),
    time("answered_at", optional=True),
    time("decide_due_at"),
    time("decided_at", optional=True),
    time("appeal_due_at", optional=True),
    time("appealed_at", optional=True),
    time("final_due_at", optional=True),
    time("closed_at", optional=True),
    time("in_effect_at", optional=True),  # the work is locked since
    time("removed_at", optional=True),  # its file is deleted
    sa.Index("claims_of_creator", "creator_id", "sha256"),
    sa.Index("claims_in_effect", "sha256", postgresql_where=sa.text("in_effect_at IS NOT NULL")),
    sa.CheckConstraint("(state = 'open') = (outcome IS NULL)", name="decided_has_an_outcome"),
    sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_a_time"),
    sa.CheckConstraint("(outcome IS NOT DISTINCT FROM 'upheld') = (paid_by IS NOT NULL)", name="upheld_names_a_payer"),
    one_of("state", CLAIM_STATES),
    one_of("outcome", CLAIM_OUTCOMES),
    one_of("paid_by", CLAIM_PAYERS),
)

claim_contacts = sa.Table(
    "claim_contacts",  # how to reach whoever claims a work; no party sees it
    metadata,
    sa.Column("claim_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.claims.id"), primary_key=True),
    text("contact"),
)
