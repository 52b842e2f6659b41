"""What is held out, and what each step looks at, follows from numbers alone."""

import pytest
import torch

from training.encode import Encoded
from training.plan import prior_look, split_works, style_look
from training.recipe import Recipe

RECIPE = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=10, batch=4)


def singles(count: int) -> list[tuple[int, ...]]:
    return [(number,) for number in range(count)]


def data(works: int) -> Encoded:
    captions = tuple((f"thing {number}", "thing") for number in range(works))
    return Encoded(latents_VCHW=torch.zeros(works, 4, 1, 2, 2).unbind(0), captions=captions, trigger="xovaj", texts={})


@pytest.mark.parametrize(("works", "held_out"), [(8, 2), (12, 3), (16, 4), (40, 5), (100, 12)])
def test_about_an_eighth_is_held_out_but_never_fewer_than_tell_anything(works, held_out):
    split = split_works(singles(works), RECIPE, seed=1)

    assert len(split.held_out) == held_out
    assert set(split.held_out).isdisjoint(split.trained_works)
    assert len(split.trained_works) == works - held_out


@pytest.mark.parametrize("seed", range(10))
def test_near_duplicates_are_never_on_both_sides(seed):
    clusters = [(0, 1, 2), (3, 4), *[(number,) for number in range(5, 20)]]

    split = split_works(clusters, RECIPE, seed=seed)

    for cluster in clusters:
        assert set(cluster) <= set(split.held_out) or set(cluster).isdisjoint(split.held_out)


def test_a_portfolio_of_pairs_holds_one_of_them_out():
    split = split_works([(0, 1), (2, 3), (4, 5)], RECIPE, seed=1)

    assert len(split.held_out) == 2, "without any there would be no gain to judge by"
    assert len(split.trained) == 2


def test_the_split_depends_on_the_seed_alone():
    assert split_works(singles(40), RECIPE, seed=3) == split_works(singles(40), RECIPE, seed=3)
    assert split_works(singles(40), RECIPE, seed=3) != split_works(singles(40), RECIPE, seed=4)


def test_every_cluster_comes_once_before_any_comes_twice():
    split = split_works([(0, 1, 2), (3,), (4,), (5,), (6,), (7,)], RECIPE, seed=1)
    looks = [
        style_look(data(8), split, RECIPE, seed=5, step=step, slot=slot, rows=2, timesteps=1000)
        for step in range(3)
        for slot in range(2)
    ]

    first_round = [look.work for look in looks][: len(split.trained)]

    assert len({next(c for c in split.trained if work in c) for work in first_round}) == len(split.trained)


def test_what_a_row_looks_at_follows_from_seed_step_and_slot():
    split = split_works(singles(8), RECIPE, seed=1)

    def rows(seed: int) -> list:
        shared = {"seed": seed, "timesteps": 1000}
        style = [style_look(data(8), split, RECIPE, step=s, slot=0, rows=1, **shared) for s in range(20)]
        return style + [prior_look(data(8), split, step=s, slot=0, **shared) for s in range(20)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)
    assert all("xovaj" in look.prompt for look in rows(1)[:20])
    assert not any("xovaj" in look.prompt for look in rows(1)[20:])
