"""The state that is taken is the latest one within one standard error of the best."""

import math

import pytest

from training.curve import Gain, HeldOutLook, chosen, standard_error
from training.errors import TrainingBroke


def looks(*gains: tuple[float, ...]) -> list[HeldOutLook]:
    return [HeldOutLook(step=60 * (number + 1), gain=Gain(per_work=given)) for number, given in enumerate(gains)]


@pytest.mark.parametrize(
    ("gains", "step"),
    [
        ([(0.1, 0.3), (0.2, 0.4)], 120),
        ([(0.1, 0.3), (0.05, 0.34)], 120),
        ([(0.1, 0.3), (0.0, 0.15)], 60),
        ([(0.1, 0.3), (0.05, 0.34), (0.0, 0.1)], 120),
        ([(0.1, 0.3), (0.0, 0.2), (0.2, 0.4)], 180),
        ([(0.2,), (0.1,)], 60),
        ([(0.2,), (0.2,)], 120),
    ],
)
def test_the_latest_look_within_one_standard_error_of_the_best_is_chosen(gains, step):
    assert chosen(looks(*gains)).step == step


def test_a_gain_that_is_no_number_is_none():
    with pytest.raises(TrainingBroke, match="the gain on work 2 of 3 came out as nan; train again"):
        Gain(per_work=(0.1, math.nan, 0.2))


def test_more_looks_never_bring_an_earlier_one_back():
    every = looks((0.1, 0.2), (0.3, 0.0), (0.2, 0.2), (0.0, 0.1), (0.25, 0.1), (0.1, 0.0))

    steps = [chosen(every[:count]).step for count in range(1, len(every) + 1)]

    assert steps == sorted(steps)
    assert steps[-1] < every[-1].step


def test_the_standard_error_is_that_of_the_mean():
    assert standard_error((0.9, 0.1, 0.5)) == pytest.approx(0.2309, abs=1e-4)
    assert standard_error((0.9,)) == 0
