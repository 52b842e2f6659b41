"""The weight of a style is the one at which its pictures are drawn most as the works are."""

from dataclasses import replace

import pytest
import torch

from inference.bases.sd import StableDiffusion
from inference.catalog import base_spec
from tests.inference.random_adapters import random_adapter
from tests.training.test_training import started
from training import weigh
from training.captions import with_trigger
from training.recipe import Recipe
from training.sampling import Order, draw
from training.weigh import SHARES, clearly_above, distances_to_works, weigh_style

BASE_GUIDANCE = 2.0


@pytest.fixture
def training(tiny_entry, portfolio):
    spec = replace(base_spec(str(tiny_entry)), style_guidance=BASE_GUIDANCE)
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2)
    return started(StableDiffusion(spec), portfolio, recipe)


def drawn_with(training, adapter, *, seed: int):
    data = training.data
    captions = [data.captions[number][0] for number in training.split.held_out]
    orders = [
        Order(called=with_trigger(caption, data.trigger)[0], plain=caption, seed=seed + number)
        for number, caption in enumerate(captions * 4)
    ]
    return draw(training.base, training.stack, orders, adapter=adapter, guidance=3.0, steps=3, go_on=lambda: None)


@pytest.mark.parametrize("share", SHARES)
def test_the_weight_at_which_the_works_were_drawn_is_found(training, share):
    adapter = random_adapter(training.base.unet, ("to_q", "to_v", "conv1"), seed=4, rank=2)
    weight = round(share * BASE_GUIDANCE, 2)
    works = training.base.textures(drawn_with(training, replace(adapter, style_guidance=weight), seed=0))

    found = weigh_style(training, adapter, works, seed=0, go_on=lambda: None)

    assert found.style_guidance == weight
    assert found.layers is adapter.layers


def test_styles_are_tried_on_words_that_the_base_draws_well(training, monkeypatch):
    training.base.spec = replace(training.base.spec, known_words=("a pear", "a hat"))
    adapter, asked = random_adapter(training.base.unet, ("to_q",), seed=4, rank=2), []
    monkeypatch.setattr(weigh, "draw", lambda *given, **also: asked.append(given[2]) or draw(*given, **also))

    works = training.base.textures(drawn_with(training, adapter, seed=0))
    weigh_style(training, adapter, works, seed=3, go_on=lambda: None)

    assert [order.plain for order in asked[0]] == ["a pear", "a hat"] * (weigh.PICTURES // 2)
    assert {order.called for order in asked[0]} == {"a pear, xovaj style", "a hat, xovaj style"}
    assert all(lot == asked[0] for lot in asked)
    assert len(asked) == len(SHARES)


def test_a_base_that_gives_styles_no_scale_leaves_nothing_to_choose(tiny_base, portfolio):
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2)
    training = started(tiny_base, portfolio, recipe)

    assert weigh_style(training, training.adapter, torch.zeros(0, 1), seed=0, go_on=lambda: None) is training.adapter


def test_each_picture_counts_by_its_nearest_work_and_each_number_alike():
    works = torch.tensor([[0.0, 0.0], [10.0, 1000.0]])
    near, between, far = works + torch.tensor([1.0, 0.0]), works.mean(dim=0, keepdim=True), works + 30

    distances = distances_to_works(works, [near, between, far])
    stretched = torch.tensor([1.0, 50.0])
    again = distances_to_works(works * stretched, [lot * stretched for lot in (near, between, far)])

    assert [len(lot) for lot in distances] == [2, 1, 2]
    assert max(distances[0]) < min(distances[1]) < max(distances[2])
    for one, same in zip(distances, again, strict=True):
        assert same == pytest.approx(one, rel=1e-4)


def test_of_weights_without_a_clear_difference_the_lowest_is_taken(training, monkeypatch):
    far, near, level = [3.0, 4.0, 5.0], [1.0, 2.5, 1.5], [1.5, 1.5, 1.6]
    monkeypatch.setattr(weigh, "distances_to_works", lambda works, drawn: [far, near, level, level, far])
    works = training.base.textures(drawn_with(training, training.adapter, seed=0))

    found = weigh_style(training, training.adapter, works, seed=0, go_on=lambda: None)

    assert found.style_guidance == SHARES[1] * BASE_GUIDANCE


def test_textures_do_not_care_where_something_stands(tiny_base, portfolio):
    from PIL import Image, ImageChops

    picture = Image.open(sorted(portfolio.iterdir())[0]).resize((32, 32))
    moved, darker = ImageChops.offset(picture, 8, 4), picture.point(lambda level: level // 2)

    own, shifted, other = tiny_base.textures([picture, moved, darker])

    assert (own - shifted).norm() < 0.5 * (own - other).norm()
    torch.testing.assert_close(tiny_base.textures([picture])[0], own)


def test_a_difference_is_clear_pair_by_pair_even_where_pairs_differ_much():
    easy_and_hard = (0.9, 0.1, 0.5)

    assert clearly_above(easy_and_hard, tuple(value - 0.01 for value in easy_and_hard))
    assert not clearly_above(easy_and_hard, (0.1, 0.9, 0.5))
