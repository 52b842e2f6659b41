"""A style is told from others, also where one of them is motley and another narrow."""

from collections.abc import Sequence

import pytest
import torch

from training.recognise import compare_hands, margins


def style(middle: float, spread: float, count: int = 30, *, seed: int) -> torch.Tensor:
    return middle + spread * torch.randn(count, 40, generator=torch.Generator().manual_seed(seed))


def is_told(pictures: torch.Tensor, styles: Sequence[torch.Tensor], **also: int) -> torch.Tensor:
    return margins(pictures, styles, **also) > 0


def test_pictures_are_told_for_the_style_they_are_drawn_in():
    own, other = style(0.0, 1.0, seed=1), style(2.0, 1.0, seed=2)

    assert is_told(style(0.0, 1.0, seed=3), [own, other]).float().mean() > 0.9
    assert is_told(style(2.0, 1.0, seed=4), [own, other]).float().mean() < 0.1


def test_a_motley_portfolio_does_not_claim_what_belongs_to_a_narrow_one():
    motley, narrow = style(0.0, 3.0, seed=1), style(1.0, 0.5, seed=2)

    assert is_told(style(1.0, 0.5, seed=3), [motley, narrow]).float().mean() < 0.1
    assert is_told(style(0.0, 3.0, seed=4), [motley, narrow]).float().mean() > 0.8


def test_a_style_of_one_is_none():
    own, other = style(0.0, 1.0, seed=1), style(0.0, 1.0, seed=2, count=1)

    with pytest.raises(AssertionError, match="one alone does not say"):
        margins(own, [own, other])


def test_works_are_judged_by_the_other_works():
    own, other = style(0.0, 1.0, seed=1), style(0.0, 1.0, seed=2)

    share = is_told(own, [own, other], members_of=0).float().mean()

    assert 0.2 < share < 0.8, "two styles alike cannot be told apart, and no work may vouch for itself"
    assert is_told(own, [own, style(3.0, 1.0, seed=3)], members_of=0).all()


def test_pictures_that_stand_for_another_style_do_not_vouch_for_it():
    own, other = style(0.0, 1.0, seed=1), style(0.0, 1.0, seed=2)

    assert is_told(other, [own, other], members_of=1).any()
    assert not is_told(other, [own, other]).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_way_from_the_bases_hand_to_the_works_is_measured(share):
    works, other, plain = style(4.0, 1.0, seed=1), style(-4.0, 1.0, seed=2), style(0.0, 1.0, seed=3)
    drawn = plain + share * (style(4.0, 1.0, seed=4) - plain)

    hand = compare_hands(drawn, [works, other, plain])

    assert hand.way == pytest.approx(share, abs=0.2)
    assert hand.error < 0.1
    assert hand.told_works == 1
    assert hand.told_without == 0


def test_a_base_that_draws_like_the_works_leaves_no_way_to_go():
    works, other, plain = style(0.0, 1.0, seed=1), style(4.0, 1.0, seed=2), style(0.0, 1.0, seed=3)

    hand = compare_hands(style(0.0, 1.0, seed=4), [works, other, plain])

    assert abs(hand.way) < 1
