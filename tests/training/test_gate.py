"""The gate speaks in sentences, and its numbers notice what they are for."""

import random

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter, ImageOps

from tests.training.portfolio import drawing
from training.gate import Scores, judge
from training.likeness import likeness, look_at
from training.measure import Gain, find_copies, gap_interval, natural_likeness
from training.recipe import Gate

GOOD = Scores(
    heldout_gain=0.2,
    heldout_error=0.01,
    member_gain=0.25,
    member_gap=0.05,
    member_gap_low=0.01,
    member_gap_high=0.09,
    drift=0.01,
    copies=0,
    samples=16,
    natural_likeness=0.6,
    own_likeness_trained=0.4,
    own_likeness_heldout=0.3,
)


def scores(**changes: float) -> Scores:
    return Scores(**{**vars(GOOD), **changes})


def test_a_good_adapter_passes_with_a_sentence_for_every_rule():
    verdict = judge(GOOD, Gate())

    assert verdict.passed
    assert len(verdict.sentences) == 4


@pytest.mark.parametrize(
    ("changes", "begins", "advises"),
    [
        ({"heldout_gain": 0.001}, "It did not learn the style", "Leave out works"),
        ({"member_gap": 0.6}, "It learnt works by heart", "Add more different works"),
        ({"copies": 2}, "It copies: 2 of 16", "fuller captions"),
        ({"drift": 0.5}, "It changes pictures that do not call it", "prior_share"),
    ],
)
def test_a_broken_rule_is_said_first_with_what_to_change(changes, begins, advises):
    verdict = judge(scores(**changes), Gate())

    assert not verdict.passed
    assert verdict.sentences[0].startswith(begins)
    assert advises in verdict.sentences[0]


def test_planted_copies_are_found_and_other_drawings_are_not():
    works = [drawing(number, 128) for number in range(20)]
    copies = [
        works[3].filter(ImageFilter.GaussianBlur(2)),
        works[8].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        works[11].point(lambda level: level * 0.97),
        ImageChops.offset(works[15], 2, 1),
    ]
    others = [look_at(drawing(number, 128)) for number in range(100, 120)]
    looks = [look_at(work) for work in works]
    faces = [[look, look_at(ImageOps.mirror(work))] for look, work in zip(looks, works, strict=True)]
    natural = natural_likeness(looks, others[:4], others[4:8], portfolio=looks)

    found = find_copies([*others, *map(look_at, copies)], faces, natural=natural, portfolio=looks, gate=Gate())

    assert [(copy.sample, copy.work) for copy in found] == [(20, 3), (21, 8), (22, 11), (23, 15)]
    assert natural < 0.9


def test_what_all_works_share_is_no_likeness():
    framed = [ImageOps.expand(drawing(number, 96), border=16, fill="#204060") for number in range(12)]
    looks = [look_at(work) for work in framed]

    alike = likeness(looks[:6], looks[6:], portfolio=looks)

    assert abs(alike.mean()) < 0.2


def test_the_interval_of_the_gap_holds_the_true_gap():
    pick = random.Random(1)
    members = Gain(per_work=tuple(0.5 + pick.gauss(0, 0.05) for _ in range(12)))
    held_out = Gain(per_work=tuple(0.2 + pick.gauss(0, 0.05) for _ in range(6)))

    gap, low, high = gap_interval(members, held_out, seed=1)

    assert low < 0.3 < high
    assert low < gap < high
    assert np.isclose(gap, members.mean - held_out.mean)
