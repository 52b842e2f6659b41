"""A style is told from others, also where one of them is motley and another narrow."""

import torch

from training.recognise import recognised


def style(middle: float, spread: float, count: int = 30, *, seed: int) -> torch.Tensor:
    return middle + spread * torch.randn(count, 40, generator=torch.Generator().manual_seed(seed))


def test_pictures_are_told_for_the_style_they_are_drawn_in():
    own, other = style(0.0, 1.0, seed=1), style(2.0, 1.0, seed=2)

    assert recognised(style(0.0, 1.0, seed=3), [own, other]).float().mean() > 0.9
    assert recognised(style(2.0, 1.0, seed=4), [own, other]).float().mean() < 0.1


def test_a_motley_portfolio_does_not_claim_what_belongs_to_a_narrow_one():
    motley, narrow = style(0.0, 3.0, seed=1), style(1.0, 0.5, seed=2)

    assert recognised(style(1.0, 0.5, seed=3), [motley, narrow]).float().mean() < 0.1
    assert recognised(style(0.0, 3.0, seed=4), [motley, narrow]).float().mean() > 0.8


def test_works_are_judged_by_the_other_works():
    own, other = style(0.0, 1.0, seed=1), style(0.0, 1.0, seed=2)

    share = recognised(own, [own, other], members_of=0).float().mean()

    assert 0.2 < share < 0.8, "two styles alike cannot be told apart, and no work may vouch for itself"
    assert recognised(own, [own, style(3.0, 1.0, seed=3)], members_of=0).all()


def test_pictures_that_stand_for_another_style_do_not_vouch_for_it():
    own, other = style(0.0, 1.0, seed=1), style(0.0, 1.0, seed=2)

    assert recognised(other, [own, other], members_of=1).any()
    assert not recognised(other, [own, other]).any()
