"""How long who waits will wait, from steps that were timed."""

import pytest

from inference.pace import Load, Pace, Speed, forecast, mean_speed


def test_nothing_is_promised_before_anything_was_seen():
    assert Pace().step_seconds(4) == 0


def test_a_fit_separates_what_each_row_costs_from_what_every_step_costs():
    pace = Pace()
    for rows in (1, 2, 4, 8):
        pace.measured(rows, 0.5 + 0.1 * rows)

    assert pace.step_seconds(16) == pytest.approx(2.1)
    assert pace.step_seconds(1) == pytest.approx(0.6)


def test_one_batch_size_is_taken_as_proportional_upwards_and_as_fixed_downwards():
    pace = Pace()
    pace.measured(2, 1.0)

    assert pace.step_seconds(4) == 2.0
    assert pace.step_seconds(1) == 1.0


def test_previews_take_no_more_than_their_share():
    pace = Pace()
    pace.measured(2, 1.0)
    for _ in range(10):
        pace.saw(2, 1.0)
    assert pace.affords_preview

    pace.previewed(2.0)

    assert not pace.affords_preview
    assert pace.step_and_previews_seconds(2) == pytest.approx(pace.step_seconds(2) * 1.22, rel=0.02)
    for _ in range(10):
        pace.saw(2, 1.0)
    assert pace.affords_preview


def test_old_steps_are_forgotten():
    pace = Pace()
    pace.measured(1, 1.0)
    pace.saw(1, 100.0)
    for _ in range(8):
        pace.saw(1, 1.0)

    assert pace.step_seconds(1) == 1.0


def load(steps: int, *, questions: float = 1, admission_s: float = 0, finishing_s: float = 0) -> Load:
    return Load(steps=steps, all_steps=10, questions=questions, admission_s=admission_s, finishing_s=finishing_s)


@pytest.mark.parametrize(
    ("running", "waiting", "begins"),
    [((), (), 0), ((9,), (), 0), ((9, 4), (), 4), ((9, 4), (10,), 9), ((9, 4), (10, 20), 14), ((), (5, 5, 5), 5)],
)
def test_a_free_row_goes_to_who_waited_longest(running, waiting, begins):
    found = forecast(
        [load(steps) for steps in running],
        [load(steps) for steps in waiting],
        load(3),
        max_rows=2,
        max_questions=100,
        step_seconds=lambda _: 1.0,
    )

    assert found.begins_s == begins
    assert found.ends_s == begins + 3


def test_everything_that_stands_still_meanwhile_is_counted():
    found = forecast(
        [load(2, finishing_s=10)],
        [load(2, admission_s=100, finishing_s=1000)],
        load(3, questions=2, admission_s=0.5, finishing_s=0.25),
        max_rows=2,
        max_questions=100,
        step_seconds=lambda rows: rows,
    )

    # The other is let in; both take 2 steps and end; mine is let in, and one more like those that left.
    assert found.begins_s == 100 + 2 * 2 + 10 + 1000
    assert found.ends_s == found.begins_s + 2 * 0.5 + 3 * (2 + 1) + 0.25


def test_an_engine_at_work_stays_as_full_as_it_is():
    busy, alone = (
        forecast(
            running,
            [],
            load(20, admission_s=0.5, finishing_s=0.25),
            max_rows=3,
            max_questions=100,
            step_seconds=lambda questions: questions,
        )
        for running in ([load(5, finishing_s=1), load(40)], [])
    )

    # One leaves after 5 and 15 steps, two others come instead; the other stays.
    assert busy.ends_s == 0.5 + 20 * 3 + 2 * (1 + 0.5) + 0.25
    assert alone.ends_s == 0.5 + 20 + 0.25


def test_the_newest_steps_say_how_fast_the_machine_is_now():
    pace = Pace()
    for rows in (1, 2, 4, 8):
        pace.measured(rows, 0.5 + 0.1 * rows)

    for _ in range(8):
        pace.saw(8, 2.6)

    # All steps take twice as long, also of those sizes that were not seen since.
    assert pace.step_seconds(8) == pytest.approx(2.6)
    assert pace.step_seconds(1) == pytest.approx(1.2)


def test_what_a_picture_takes_before_its_first_step_is_remembered():
    pace = Pace()
    assert pace.admission_seconds == 0

    pace.admitted(1.0)
    pace.admitted(2.0)

    assert pace.admission_seconds == 1.5


def test_a_speed_that_was_told_gives_steps_of_any_size_and_averages():
    fast = Speed(rows=4, questions=8, half_s=0.6, full_s=1.0, admission_s=0.1, finishing_s=0.5)
    slow = Speed(rows=8, questions=8, half_s=1.2, full_s=2.0, admission_s=0.1, finishing_s=1.5)

    assert [fast.step_seconds(questions) for questions in (1, 4, 8, 16)] == pytest.approx([0.3, 0.6, 1.0, 1.8])
    assert mean_speed([fast, slow]).step_seconds(4) == pytest.approx(0.9)
    assert mean_speed([fast, slow], weights=[0.9, 0.1]).finishing_s == pytest.approx(0.6)
