"""The gate speaks in sentences, one for every rule."""

import math
from dataclasses import replace

import pytest

from training.errors import TrainingBroke
from training.gate import Drawn, Predicted, Scores, judge, judge_predicted
from training.recipe import Gate

PREDICTED = Predicted(
    heldout_gain=0.2,
    heldout_error=0.01,
    member_gain=0.25,
    member_gap=0.05,
    member_gap_low=0.01,
    member_gap_high=0.09,
    drift=0.01,
)
DRAWN = Drawn(
    copies=0,
    copied_once=0,
    samples=26,
    recalled=1,
    recalled_without=0,
    captions=12,
    hand=0.8,
    hand_error=0.1,
    recognised=9,
    recognised_without=0,
    shown=12,
    recognised_works=0.85,
    other_styles=11,
)
GOOD = Scores(predicted=PREDICTED, drawn=DRAWN)


def scores(**changes: float) -> Scores:
    predicted = {name: value for name, value in changes.items() if name in vars(PREDICTED)}
    drawn = {name: value for name, value in changes.items() if name in vars(DRAWN)}
    return Scores(predicted=replace(PREDICTED, **predicted), drawn=replace(DRAWN, **drawn))


@pytest.mark.parametrize("name", ["drift", "hand_error"])
def test_what_came_out_as_no_number_is_no_score(name):
    with pytest.raises(TrainingBroke, match=f"the adapter's {name} came out as nan; train again"):
        scores(**{name: math.nan})


def test_a_good_adapter_passes_with_a_sentence_for_every_rule():
    verdict = judge(GOOD, Gate())

    assert verdict.passed
    assert len(verdict.sentences) == 6
    said = " ".join(verdict.sentences)
    assert "go 80% of the way from the base's hand to yours (9 of 12 are told for yours among 11 other styles" in said


@pytest.mark.parametrize(
    ("rule", "changes", "begins", "advises"),
    [
        ("style", {"heldout_gain": 0.001}, "It did not learn the style", "Leave out works"),
        ("hand", {"hand": 0.1}, "It hardly shows your hand: pictures of common things go 10%", "what is special"),
        ("memory", {"member_gap": 0.6}, "It learnt works by heart", "Add more different works"),
        ("recall", {"recalled": 8}, "Works come back at their words", "several different captions"),
        ("copies", {"copies": 2}, "It copies: 2 of 26", "fuller captions"),
        ("drift", {"drift": 0.5}, "It changes pictures that do not call it", "prior_share"),
    ],
)
def test_a_broken_rule_is_said_first_with_what_to_change(rule, changes, begins, advises):
    verdict = judge(scores(**changes), Gate())

    assert not verdict.passed
    assert verdict.broken == (rule,)
    assert verdict.sentences[0].startswith(begins)
    assert advises in verdict.sentences[0]


@pytest.mark.parametrize(
    ("changes", "may_be_mended"),
    [
        ({}, False),
        ({"copies": 2}, True),
        ({"copies": 2, "member_gap": 0.6, "recalled": 9, "drift": 0.2}, True),
        ({"copies": 2, "heldout_gain": 0.0}, False),
        ({"hand": 0.0}, False),
    ],
)
def test_only_an_adapter_that_holds_too_much_may_be_mended_by_less(changes, may_be_mended):
    assert judge(scores(**changes), Gate()).may_be_mended is may_be_mended


def test_a_way_that_may_be_chance_does_not_count():
    assert "hand" in judge(scores(hand=0.5, hand_error=0.6), Gate()).broken
    assert "hand" not in judge(scores(hand=0.5, hand_error=0.3), Gate()).broken


def test_a_base_without_other_styles_is_named_as_the_only_one():
    assert "among the base's own style" in " ".join(judge(scores(other_styles=1), Gate()).sentences)


def test_works_that_words_alone_bring_up_do_not_count():
    assert "recall" in judge(scores(recalled=9, recalled_without=2), Gate()).broken
    assert "recall" not in judge(scores(recalled=9, recalled_without=6), Gate()).broken


def test_predictions_are_judged_before_anything_is_drawn():
    verdict = judge_predicted(replace(PREDICTED, member_gap=0.6), Gate())

    assert verdict.broken == ("memory",)
    assert len(verdict.sentences) == 3


def test_a_likeness_by_chance_is_told_and_breaks_no_rule():
    verdict = judge(scores(copied_once=1), Gate())

    assert verdict.passed
    assert any(
        "1 more came near one by chance, and not again when drawn 4 times anew" in one for one in verdict.sentences
    )
