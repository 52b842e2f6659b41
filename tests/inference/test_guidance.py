"""Guidance towards the words and guidance towards a style are two scales over three answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.adapters.stack import Adapter
from inference.engine import Engine
from inference.guidance import asks, blend
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.test_engine import ENDINGS, asked, make, never, pixels

CALLED, PLAIN, NEGATIVE = (torch.full((3, 4), float(number)) for number in range(3))


WORN = (Adapter(layers={}), 1.0)


def questions(**changes):
    settings = {"guidance": 4.0, "style_guidance": 6.0, "adapters": (WORN,), **changes}
    return asks(called=CALLED, plain=PLAIN, negative=NEGATIVE, **settings)


def column(weights):
    return torch.tensor(weights, dtype=torch.float32).reshape(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def adapter(tiny_spec, tmp_path_factory):
    from inference.bases.sd import StableDiffusion

    unet = StableDiffusion(tiny_spec).unet
    path = tmp_path_factory.mktemp("adapter") / "style.safetensors"
    return replace(write_adapter(path, random_adapter(unet, ENDINGS, seed=5, rank=3)), trigger="vozix")


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({}, [6, -2, -3]),
        ({"style_guidance": 4.0}, [4, -3]),
        ({"guidance": 1.0}, [6, -5]),
        ({"guidance": 1.0, "style_guidance": 1.0}, [1]),
        ({"style_guidance": 0.0}, [4, -3]),
        ({"adapters": ()}, [4, -3]),
        ({"adapters": (), "guidance": 1.0}, [1]),
    ],
)
def test_only_questions_that_weigh_something_are_asked(changes, weights):
    assert [ask.weight for ask in questions(**changes)] == weights
    assert sum(weights) == 1


def test_only_the_wanted_answer_goes_through_the_adapters_where_style_has_a_scale_of_its_own():
    assert [ask.adapters for ask in questions()] == [(WORN,), (), ()]
    assert [ask.adapters for ask in questions(style_guidance=0.0)] == [(WORN,), (WORN,)]


@pytest.mark.parametrize(
    ("worn", "weight"),
    [
        ([(0.0, 1.0)], 6.0),
        ([(2.5, 1.0)], 2.5),
        ([(2.5, 0.4)], 2.5),
        ([(2.0, 0.75), (0.0, 0.25)], 3.0),
        ([(2.0, 1.0), (8.0, -1.0)], 5.0),
        ([(2.0, 0.0)], 6.0),
    ],
)
def test_a_style_weighs_what_its_file_says_and_several_their_mean(worn, weight):
    adapters = tuple((Adapter(layers={}, style_guidance=own), strength) for own, strength in worn)

    assert questions(adapters=adapters)[0].weight == weight


def test_the_blend_leads_from_the_negative_to_the_words_and_from_the_words_to_the_style():
    styled, plain, negative = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    blended = blend(torch.stack([styled, plain, negative]), column([ask.weight for ask in questions()]), rescale=0.0)

    torch.testing.assert_close(blended, negative + 4 * (plain - negative) + 6 * (styled - plain))


def test_a_rescaled_blend_deviates_as_the_wanted_answer_does():
    answers = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, full, half = (blend(answers, column([6, -2, -3]), rescale) for rescale in (0.0, 1.0, 0.5))

    torch.testing.assert_close(full.std(), answers[0].std())
    torch.testing.assert_close(half, (plain + full) / 2)


def test_a_picture_goes_further_from_the_base_the_more_its_style_weighs(tiny_spec, adapter):
    made = []
    for scale in (0.5, 2.0, 6.0):
        with Engine(replace(tiny_spec, style_guidance=scale), max_rows=4) as engine:
            base = pixels(make(engine, asked()))
            made.append(pixels(make(engine, asked(adapters=(adapter,)))))

    distances = [np.abs(picture - base).mean() for picture in made]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_pictures_with_two_and_three_questions_share_a_batch_and_nothing_else(tiny_spec, adapter):
    requests = [asked("a", adapters=(adapter,)), asked("b", seed=2), asked("c", seed=3, guidance=1.0)]
    requests += [asked("d", seed=4, adapters=(adapter,), guidance=1.0, negative_prompt="a pear")]
    with Engine(replace(tiny_spec, style_guidance=2.0), max_rows=4) as engine:
        alone = [make(engine, request) for request in requests]
        together = [future.result(60) for future in [engine.submit(request, stop=never) for request in requests]]

    for single, shared in zip(alone, together, strict=True):
        assert np.abs(pixels(single) - pixels(shared)).max() <= 1


def test_a_style_that_changes_nothing_and_is_not_called_leaves_the_base_alone(tiny_spec, adapter):
    silent = replace(adapter, strength=0.0, trigger=None)
    with Engine(replace(tiny_spec, style_guidance=5.0)) as engine:
        base, same = make(engine, asked()), make(engine, asked(adapters=(silent,)))

    assert np.abs(pixels(base) - pixels(same)).max() <= 1
