"""How many replicas a worker wants."""

import pytest

from service.fleet.scaling import Scaler, row_steps_left
from service.turns import InLine


def order(state: str, *, work: int, step: int = 0, steps: int | None = None, turn: int | None = 1) -> InLine:
    return InLine(
        id="gen_1",
        client_id="client",
        creator_id="creator",
        base="tiny",
        state=state,
        turn=turn,
        work=work,
        count=1,
        step=step,
        steps=steps,
    )


def test_as_many_are_wanted_as_draw_what_waits_in_time():
    scaler = Scaler(least=1, most=10, within_s=60.0)
    # One draws 600 row-steps in that time.
    assert scaler.wanted(600.0, 10.0, now_s=0.0) == 1
    assert scaler.wanted(601.0, 10.0, now_s=1.0) == 2
    assert scaler.wanted(3_000.0, 10.0, now_s=2.0) == 5


def test_there_are_never_fewer_or_more_than_was_set():
    scaler = Scaler(least=2, most=4, within_s=60.0)
    assert scaler.wanted(0.0, 10.0, now_s=0.0) == 2
    assert scaler.wanted(1e9, 10.0, now_s=1.0) == 4


def test_those_that_were_needed_stay_for_a_while():
    scaler = Scaler(least=1, most=10, within_s=60.0, rest_s=100.0)
    assert scaler.wanted(3_000.0, 10.0, now_s=0.0) == 5
    assert scaler.wanted(0.0, 10.0, now_s=50.0) == 5
    assert scaler.wanted(1_200.0, 10.0, now_s=99.0) == 5
    assert scaler.wanted(0.0, 10.0, now_s=101.0) == 2
    assert scaler.wanted(0.0, 10.0, now_s=200.0) == 1


def test_nobody_guesses_before_a_speed_was_measured():
    assert Scaler(least=1, most=10, within_s=60.0).wanted(1e6, 0.0, now_s=0.0) == 1


def test_what_waits_counts_whole_and_what_is_drawn_by_what_is_left():
    line = [
        order("queued", work=100),
        order("queued", work=1_000, turn=None),
        order("running", work=100, step=15, steps=20),
        order("running", work=40),
        order("settled", work=500),
    ]
    assert row_steps_left(line) == pytest.approx(100 + 25 + 40)
