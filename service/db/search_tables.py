"""Finding a style by a picture: how versions are drawn, in numbers, and the pictures that somebody looks with."""

import sqlalchemy as sa

from service.db.columns import SCHEMA, metadata, number, one_of, primary_id, text, time

SEARCH_STATES = ("waiting", "seen", "failed")

appearances = sa.Table(
    "appearances",  # of the example pictures of a version that is or was published; none of them is a work
    metadata,
    sa.Column("version_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.versions.id"), primary_key=True),
    number("way"),  # how they were looked at: `service.appearances.WAY`
    sa.Column("mean", sa.LargeBinary, nullable=False),  # float32, of each number over the pictures
    sa.Column("square", sa.LargeBinary, nullable=False),  # the same of its square
    time("seen_at"),
)

searches = sa.Table(
    "searches",  # kept for an hour
    metadata,
    primary_id(),
    text("state", "waiting"),
    sa.Column("picture", sa.LargeBinary, nullable=True),  # small, and only until a worker has looked at it
    sa.Column("numbers", sa.LargeBinary, nullable=True),
    time("asked_at"),
    sa.Index("searches_by_time", "asked_at"),
    one_of("state", SEARCH_STATES),
    sa.CheckConstraint("state = 'waiting' OR picture IS NULL", name="no_picture_is_kept"),
    sa.CheckConstraint("(state = 'seen') = (numbers IS NOT NULL)", name="seen_has_numbers"),
)
