"""A query holds the conditions that were named, and counts its parameters after those it has anyway."""

from service.db.conditions import named


def test_a_condition_that_was_not_named_is_not_in_the_query():
    assert named(("id < {}", None), ("style_id = {}", "sty_1"), ("note = {}", ""), after=2) == (
        " AND style_id = $3 AND note = $4",
        ["sty_1", ""],
    )


def test_where_nothing_was_named_a_query_stays_as_it_is():
    assert named(("id < {}", None), after=2) == ("", [])
