"""How long who waits will wait, from steps that were timed."""

import pytest

from inference.pace import Pace, steps_until_free


def test_nothing_is_promised_before_anything_was_seen():
    assert Pace().step_seconds(4) == 0


def test_a_fit_separates_what_each_row_costs_from_what_every_step_costs():
    pace = Pace()
    for rows in (1, 2, 4, 8):
        pace.saw(rows, 0.5 + 0.1 * rows)

    assert pace.step_seconds(16) == pytest.approx(2.1)
    assert pace.step_seconds(1) == pytest.approx(0.6)


def test_one_batch_size_is_taken_as_proportional_upwards_and_as_fixed_downwards():
    pace = Pace()
    pace.saw(2, 1.0)

    assert pace.step_seconds(4) == 2.0
    assert pace.step_seconds(1) == 1.0


def test_previews_take_no_more_than_their_share():
    pace = Pace()
    for _ in range(10):
        pace.saw(2, 1.0)
    assert pace.affords_preview

    pace.previewed(2.0)

    assert not pace.affords_preview
    for _ in range(10):
        pace.saw(2, 1.0)
    assert pace.affords_preview


def test_old_steps_are_forgotten():
    pace = Pace(remember=4)
    pace.saw(1, 100.0)
    for _ in range(4):
        pace.saw(1, 1.0)

    assert pace.step_seconds(1) == 1.0


@pytest.mark.parametrize(
    ("running", "waiting", "steps"),
    [((), (), 0), ((9,), (), 0), ((9, 4), (), 4), ((9, 4), (10,), 9), ((9, 4), (10, 20), 14), ((), (5, 5, 5), 5)],
)
def test_a_free_row_goes_to_who_waited_longest(running, waiting, steps):
    assert steps_until_free(running, waiting, 2) == steps
