"""Which works are drawn alike: strangers and second styles are named, one style is left in peace."""

import numpy as np
import pytest
from PIL import ImageFilter, ImageOps

from tests.training.portfolio import drawing
from training.review.kinship import NUM_WORKS_MIN, find_kin
from training.review.strokes import strokes_of


def around(centre: float, count: int, *, seed: int) -> np.ndarray:
    """Works of one style as numbers."""
    return (centre + np.random.default_rng(seed).normal(size=(count, 60))).astype(np.float32)


def test_a_work_far_from_all_others_is_a_stranger():
    works = np.concatenate([around(0, 30, seed=1), around(4, 1, seed=2)])

    kin = find_kin(works)

    assert max(kin.strangers, key=lambda number: kin.strangers[number]) == 30
    assert kin.strangers[30] > 1.5
    assert kin.second_style == ()
    assert kin.typical[-1] == 30


def test_four_strangers_of_one_kind_do_not_hide_one_another():
    works = np.concatenate([around(0, 36, seed=1), around(3, 4, seed=2)])

    assert set(find_kin(works).strangers) == {36, 37, 38, 39}


def test_two_groups_are_two_styles_and_no_strangers():
    works = np.concatenate([around(0, 26, seed=1), around(2, 14, seed=2)])

    kin = find_kin(works)

    assert kin.second_style == tuple(range(26, 40))
    assert len(kin.strangers) <= 1, "one of forty may lie a little outside by chance"


def test_a_stranger_beside_two_styles_is_named():
    works = np.concatenate([around(0, 26, seed=1), around(2, 13, seed=2), around(-5, 1, seed=3)])

    kin = find_kin(works)

    assert max(kin.strangers, key=lambda number: kin.strangers[number]) == 39
    assert set(kin.second_style) >= set(range(26, 39))


def test_one_style_is_one_style():
    kin = find_kin(around(0, 40, seed=3))

    assert kin.second_style == ()
    assert len(kin.strangers) <= 2


def test_of_a_handful_of_works_nothing_is_said():
    works = np.concatenate([around(0, NUM_WORKS_MIN - 2, seed=1), around(9, 1, seed=2)])

    assert find_kin(works).strangers == {}


@pytest.fixture(scope="module")
def strokes() -> np.ndarray:
    """Twenty drawings in colour, and twelve as soft negatives of pencil lines."""
    own = [drawing(number, 224) for number in range(20)]
    lines = [ImageOps.grayscale(drawing(number, 224)).filter(ImageFilter.FIND_EDGES) for number in range(50, 62)]
    return strokes_of([*own, *(image.filter(ImageFilter.GaussianBlur(1)).convert("RGB") for image in lines)])


def test_pictures_drawn_in_two_ways_are_told_apart(strokes):
    assert find_kin(strokes).second_style == tuple(range(20, 32))


def test_numbers_of_pictures_are_finite_and_standardised(strokes):
    assert np.isfinite(strokes).all()
    assert np.abs(np.median(strokes, axis=0)).max() < 1e-4
