"""What the operator's office keeps: self tests, what the fee was since when, and published reports."""

import sqlalchemy as sa

from service.db.columns import json as _json
from service.db.columns import metadata
from service.db.columns import number as _number
from service.db.columns import one_of as _one_of
from service.db.columns import primary_id as _id
from service.db.columns import text as _text
from service.db.columns import time as _time

SELF_TEST_STATES = ("waiting", "running", "passed", "failed")

self_tests = sa.Table(
    "self_tests",  # what is left of one: its result
    metadata,
    _id(),
    _text("base"),
    _text("state", "waiting"),
    _json("steps", "[]"),  # those that were done: [{"name", "seconds", "sentence"}]
    _text("problem", optional=True),
    _time("asked_at"),
    _time("ended_at", optional=True),
    sa.CheckConstraint("(state = 'failed') = (problem IS NOT NULL)", name="failed_says_why"),
    sa.CheckConstraint("(state IN ('passed', 'failed')) = (ended_at IS NOT NULL)", name="ended_has_a_time"),
    _one_of("state", SELF_TEST_STATES),
)

fees = sa.Table(
    "fees",  # what the operator asks for, as the web role first read it: a row where it differs from the one before
    metadata,
    sa.Column("since", sa.DateTime(timezone=True), primary_key=True),
    _number("fee_bps"),
    _number("dues"),  # of a month, in minor units of `currency`
    _number("training_minute"),
    _text("currency"),
)

reports = sa.Table(
    "reports",  # of a month that is over; never changed
    metadata,
    sa.Column("month", sa.Text, primary_key=True),  # 2026-11
    _time("published_at"),
    _json("figures"),
    _text("document"),  # the same, signed: a JWS
)
