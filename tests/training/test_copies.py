"""Near-copies of works are found and named; likeness that words, ground or frame explain is none."""

import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from inference.likeness import likeness, look_at
from tests.training.portfolio import drawing
from training.copies import Learnt, Sampled, count_recalled, find_copies, likeness_in_shape, see
from training.measure import gap_interval
from training.recipe import Gate

WORKS = [drawing(number, 128) for number in range(20)]


def learnt(works: Sequence[Image.Image] = WORKS, clusters: Sequence[int] | None = None) -> Learnt:
    versions = tuple((see(work), see(ImageOps.mirror(work))) for work in works)
    portfolio = tuple(look_at(work) for work in works)
    return Learnt(versions=versions, clusters=tuple(clusters or range(len(works))), portfolio=portfolio)


def sampled(picture: Image.Image, *, without: Image.Image | None = None, work: int | None = None) -> Sampled:
    return Sampled(with_style=see(picture), without=see(without or drawing(999, 128)), work=work)


def bubble(left: int, *, is_hatched: bool = False) -> Image.Image:
    """A disc of one colour, or hatched so that it is of that colour from afar."""
    image, disc = Image.new("RGB", (128, 128), "#fff8ee"), Image.new("L", (128, 128))
    ImageDraw.Draw(disc).ellipse((left, 36, left + 56, 92), fill=255)
    fill = Image.new("RGB", (128, 128), "#c8501c" if is_hatched else "#e4702e")
    if is_hatched:
        for stripe in range(0, 128, 8):
            ImageDraw.Draw(fill).rectangle((stripe, 0, stripe + 3, 128), fill="#ff9040")
    image.paste(fill, mask=disc)
    return image


def test_planted_copies_are_found_and_named_and_other_drawings_are_not():
    copies = [
        sampled(WORKS[3].filter(ImageFilter.GaussianBlur(2)), work=3),
        sampled(WORKS[8].transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        sampled(WORKS[11].point(lambda level: level * 0.97), work=11),
        sampled(ImageChops.offset(WORKS[15], 2, 1)),
    ]
    others = [sampled(drawing(number, 128), work=number % 20) for number in range(100, 120)]

    found = find_copies([*others, *copies], learnt(), Gate())

    assert [(copy.sample, copy.work) for copy in found] == [(20, 3), (21, 8), (22, 11), (23, 15)]


def test_a_likeness_that_the_base_draws_as_well_is_no_copy():
    blurred = WORKS[3].filter(ImageFilter.GaussianBlur(3))

    assert find_copies([sampled(WORKS[3], without=drawing(999, 128), work=3)], learnt(), Gate())
    assert not find_copies([sampled(WORKS[3], without=blurred, work=3)], learnt(), Gate())


def test_what_the_base_draws_in_other_colours_is_no_copy():
    negative = ImageOps.invert(WORKS[3].filter(ImageFilter.GaussianBlur(3)))
    blurred = WORKS[3].filter(ImageFilter.GaussianBlur(2))
    looks = [look_at(one) for one in (negative, blurred, WORKS[3])]

    assert likeness(looks[:1], looks[2:], portfolio=learnt().portfolio).item() < 0.3
    assert likeness_in_shape(looks[:1], looks[2:], portfolio=learnt().portfolio).item() > 0.9
    assert not find_copies([sampled(blurred, without=negative, work=3)], learnt(), Gate())


def test_what_has_the_edges_of_another_work_is_no_copy():
    hatched, plain = bubble(30, is_hatched=True), bubble(46)
    known = learnt([*WORKS, hatched, plain])
    looks = [look_at(one) for one in (bubble(31), hatched, plain)]

    to_hatched, to_plain = likeness(looks[:1], looks[1:], portfolio=known.portfolio)[0]

    assert to_hatched - to_plain > Gate().copy_margin, "by what stands where it is the hatched one"
    assert not find_copies([sampled(bubble(31), work=20)], known, Gate())
    assert find_copies([sampled(bubble(31, is_hatched=True), work=20)], known, Gate())


def test_edges_that_are_hardly_more_those_of_one_work_than_of_another_make_no_copy():
    known = learnt([*WORKS, bubble(30, is_hatched=True), bubble(46)])
    hint, copy = (Image.blend(bubble(31), bubble(31, is_hatched=True), share) for share in (0.1, 0.25))

    alike = [max(see(hint).edges @ version.edges for version in versions) for versions in known.versions]

    assert 0 < alike.pop(20) - max(alike) < Gate().copy_margin
    assert not find_copies([sampled(hint, work=20)], known, Gate())
    assert find_copies([sampled(copy, work=20)], known, Gate())


def test_a_picture_of_one_colour_has_no_shape():
    flat = [look_at(Image.new("RGB", (64, 64), colour)) for colour in ("white", "#204060")]

    alike = likeness_in_shape(flat, learnt().portfolio, portfolio=learnt().portfolio)

    assert np.isfinite(alike).all()
    # What one colour for all of it explains of a work, no more.
    assert np.abs(alike).max() < 0.6


def test_a_picture_as_like_another_work_is_no_copy_unless_that_is_a_repeat():
    twin = WORKS[3].filter(ImageFilter.GaussianBlur(1))
    works, sample = [*WORKS, twin], [sampled(WORKS[3].filter(ImageFilter.GaussianBlur(2)), work=3)]

    assert not find_copies(sample, learnt(works), Gate())
    assert find_copies(sample, learnt(works, [*range(20), 3]), Gate()), "repeats of a work protect nothing"


def test_works_that_come_back_at_their_words_are_counted():
    blurred = [work.filter(ImageFilter.GaussianBlur(4)) for work in WORKS[:6]]
    other = [drawing(number, 128) for number in range(600, 606)]

    assert count_recalled([see(picture) for picture in blurred], range(6), learnt()) == 6
    assert count_recalled([see(picture) for picture in blurred], [5, 4, 3, 2, 1, 0], learnt()) == 0
    assert count_recalled([see(picture) for picture in other], range(6), learnt()) <= 2


def test_what_all_works_share_is_no_likeness():
    framed = [ImageOps.expand(drawing(number, 96), border=16, fill="#204060") for number in range(12)]
    looks = [look_at(work) for work in framed]

    alike = likeness(looks[:6], looks[6:], portfolio=looks)

    assert abs(alike.mean()) < 0.2


def test_the_interval_of_the_gap_mostly_holds_the_true_gap():
    held = []
    for seed in range(40):
        pick = random.Random(seed)
        members = [0.5 + pick.gauss(0, 0.05) for _ in range(12)]
        unseen = [0.2 + pick.gauss(0, 0.05) for _ in range(6)]
        gap, low, high = gap_interval(members, unseen, seed=seed)
        assert low < gap < high
        assert np.isclose(gap, np.mean(members) - np.mean(unseen))
        held.append(low < 0.3 < high)

    # Of a 90 % interval over so few values somewhat fewer.
    assert 0.7 < np.mean(held) < 1
