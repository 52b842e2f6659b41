"""The weight of a style is the lowest at which its pictures come near the works' hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from inference.bases.sd import StableDiffusion
from inference.catalog import base_spec
from tests.inference.random_adapters import random_adapter
from tests.training.test_training import started
from training import weigh
from training.control import Series
from training.examination import SHARES, WEIGHED
from training.recipe import Recipe
from training.recognise import Hand
from training.sampling import draw, order_for
from training.weigh import weigh_style

BASE_GUIDANCE = 2.0
CONTROL = SimpleNamespace(
    words=Series(
        orders=tuple(order_for(word, trigger="xovaj", seed=3 + n) for n, word in enumerate(["a pear", "a hat"])),
        without=(),
        steps=3,
    ),
    styles=(),
)
"""Two common words; of the trial's own noise."""


@pytest.fixture
def training(tiny_entry, portfolio):
    spec = replace(base_spec(str(tiny_entry)), style_guidance=BASE_GUIDANCE)
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2)
    return started(StableDiffusion(spec), portfolio, recipe)


@pytest.fixture
def weigh_by(training, monkeypatch):
    """Weighs a style whose pictures go so far, at each weight in turn; tells what was found and what was drawn."""

    def weigh_by(*ways: tuple[float, ...]):
        asked, still = [], iter(ways)
        monkeypatch.setattr(weigh, "draw", lambda *given, **also: asked.append((given[2], also["adapter"])) or [])
        monkeypatch.setattr(
            weigh, "compare_hands", lambda *_: Hand(ways=next(still), told=0, told_without=0, told_works=1)
        )
        monkeypatch.setattr(training.base, "textures", lambda images: None)
        found = weigh_style(training, training.adapter, CONTROL, seed=3, go_on=lambda: None)
        return found, asked

    return weigh_by


def test_the_lowest_weight_that_goes_far_enough_is_taken_and_no_higher_one_is_drawn(weigh_by, training):
    found, asked = weigh_by((0.1, 0.3) * 6, (0.8, 0.9) * 6, (1.0, 1.0) * 6)

    assert found.style_guidance == round(SHARES[1] * BASE_GUIDANCE, 2)
    assert found.layers == training.adapter.layers
    tried = [adapter.style_guidance for _, adapter in asked]
    assert tried == [round(share * BASE_GUIDANCE, 2) for share in SHARES[:2]]


def test_where_no_weight_goes_far_enough_the_lowest_is_taken_that_goes_nearly_as_far_as_any(weigh_by):
    little, nearly, furthest = (0.2,) * 12, (0.45,) * 12, (0.5,) * 12

    found, asked = weigh_by(little, nearly, furthest, nearly, little, little)

    assert found.style_guidance == round(SHARES[1] * BASE_GUIDANCE, 2)
    assert len(asked) == len(SHARES)


def test_a_style_that_goes_no_way_weighs_little(weigh_by):
    found, _ = weigh_by((-0.3,) * 12, (-0.1,) * 12, *[(-0.2,) * 12] * 4)

    assert found.style_guidance == round(SHARES[1] * BASE_GUIDANCE, 2)


def test_few_words_are_drawn_several_times_and_never_from_the_noise_of_the_trial(weigh_by):
    found, asked = weigh_by(*[(0.9, 0.9)] * 6)

    orders = [order for lot, _ in asked for order in lot]
    assert [order.plain for order in orders] == ["a pear", "a hat"] * (WEIGHED // 2)
    assert {order.called for order in orders} == {"a pear, xovaj style", "a hat, xovaj style"}
    assert len({order.seed for order in orders}) == len(orders)
    assert not {order.seed for order in orders} & {order.seed for order in CONTROL.words.orders}
    assert {adapter.style_guidance for _, adapter in asked} == {found.style_guidance}


def test_works_that_were_drawn_at_a_high_weight_ask_for_more_than_the_lowest(training):
    adapter = random_adapter(training.base.unet, ("to_q", "to_v", "conv1"), seed=4, rank=2)
    weight = round(SHARES[3] * BASE_GUIDANCE, 2)
    orders = [order_for(f"a {word}", trigger="xovaj", seed=place) for place, word in enumerate(["pear", "hat"] * 10)]
    works, plain = (
        training.base.textures(
            draw(training.base, training.stack, lot, adapter=one, guidance=3.0, steps=3, go_on=lambda: None)
        )
        for lot, one in (
            (orders, replace(adapter, style_guidance=weight)),
            ([replace(order, called=order.plain) for order in orders[:2]], None),
        )
    )
    series = Series(orders=tuple(orders[:2]), without=(), steps=3)

    found = weigh_style(
        training, adapter, SimpleNamespace(words=series, styles=(works, plain)), seed=3, go_on=lambda: None
    )

    assert found.style_guidance > SHARES[0] * BASE_GUIDANCE


def test_a_base_that_gives_styles_no_scale_leaves_nothing_to_choose(tiny_base, portfolio):
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2)
    training = started(tiny_base, portfolio, recipe)

    assert weigh_style(training, training.adapter, CONTROL, seed=0, go_on=lambda: None) is training.adapter


def test_textures_do_not_care_where_something_stands(tiny_base, portfolio):
    from PIL import Image, ImageChops

    picture = Image.open(sorted(portfolio.iterdir())[0]).resize((32, 32))
    moved, darker = ImageChops.offset(picture, 8, 4), picture.point(lambda level: level // 2)

    own, shifted, other = tiny_base.textures([picture, moved, darker])

    assert (own - shifted).norm() < 0.5 * (own - other).norm()
    torch.testing.assert_close(tiny_base.textures([picture])[0], own)
