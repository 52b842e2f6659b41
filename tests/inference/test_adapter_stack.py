"""Every row of a batch wears its own adapter, exactly."""

import pytest
import torch
from torch import nn

from inference.adapters.layer import AdaptedLayer
from inference.adapters.stack import Adapter, LayerChange, StackedAdapters, plain_forward, side_by_side
from inference.errors import WrongBase
from tests.inference.random_adapters import random_adapter

ENDINGS = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "time_emb_proj", "ff.net.2")


def inputs(base, rows: int):
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(rows, 4, 8, 8, generator=generator)
    timesteps = torch.linspace(999, 50, rows)
    texts = torch.randn(rows, 16, 16, generator=generator)
    return latents, timesteps, texts


def worn(base, count: int) -> list[Adapter]:
    return [random_adapter(base.unet, ENDINGS, seed=seed, rank=(2, 4, 8, 3)[seed % 4]) for seed in range(count)]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 5), (4, 7, 6)),
        (nn.Linear(6, 5), (4, 6)),
        (nn.Conv2d(6, 5, 3, padding=1), (4, 6, 8, 8)),
        (nn.Conv2d(6, 5, 3, stride=2, padding=1), (4, 6, 8, 8)),
        (nn.Conv2d(6, 5, 1), (4, 6, 8, 8)),
        (nn.Conv2d(6, 5, 3, padding=1), (4, 6, 40, 30)),
        (nn.Conv2d(6, 5, (3, 5), padding=(2, 4), dilation=2), (4, 6, 8, 9)),
        (nn.Conv2d(6, 5, 3), (4, 6, 8, 8)),
        (nn.Conv2d(6, 5, 3, padding="same"), (4, 6, 8, 8)),
    ],
    ids=[
        "linear",
        "linear on vectors",
        "convolution",
        "strided convolution",
        "1x1 convolution",
        "convolution of many places",
        "dilated convolution",
        "convolution without margin",
        "convolution with a named margin",
    ],
)
def test_the_fast_layer_equals_its_plain_twin(layer, shape):
    model = nn.ModuleDict({"layer": layer}).requires_grad_(False)
    adapters = [random_adapter(model, ("layer",), seed=seed, rank=seed + 1) for seed in range(3)]
    rows = [[(adapters[0], 1.0)], [], [(adapters[1], 0.5), (adapters[2], -0.7)], [(adapters[2], 1.0)]]
    x = torch.randn(*shape)
    expected = plain_forward(layer, "layer", x, rows)

    stack = StackedAdapters(model)
    stack.bind(rows)

    assert torch.allclose(model["layer"](x), expected, atol=1e-5)


def test_one_batch_of_different_adapters_equals_one_at_a_time(tiny_base):
    adapters = worn(tiny_base, 4)
    rows = [[(adapters[0], 1.0)], [(adapters[1], 1.0)], [], [(adapters[2], 0.6), (adapters[3], 0.4)]]
    latents, timesteps, texts = inputs(tiny_base, 4)
    stack = StackedAdapters(tiny_base.unet)
    singly = []
    for number, row in enumerate(rows):
        stack.bind([row])
        one = slice(number, number + 1)
        singly.append(tiny_base.predict(latents[one], timesteps[one], texts[one]))

    stack.bind(rows)
    together = tiny_base.predict(latents, timesteps, texts)

    assert torch.allclose(together, torch.cat(singly), atol=1e-4)


def test_wearing_the_wrong_adapter_would_show(tiny_base):
    adapters = worn(tiny_base, 2)
    latents, timesteps, texts = inputs(tiny_base, 2)
    stack = StackedAdapters(tiny_base.unet)
    stack.bind([[(adapters[0], 1.0)], [(adapters[1], 1.0)]])
    right = tiny_base.predict(latents, timesteps, texts)

    stack.bind([[(adapters[1], 1.0)], [(adapters[0], 1.0)]])
    wrong = tiny_base.predict(latents, timesteps, texts)

    assert (right - wrong).abs().amax(dim=(1, 2, 3)).min() > 1e-2


def test_a_cleared_stack_leaves_the_base_bit_for_bit(tiny_base):
    latents, timesteps, texts = inputs(tiny_base, 2)
    before = tiny_base.predict(latents, timesteps, texts)
    stack = StackedAdapters(tiny_base.unet)
    stack.bind([[(worn(tiny_base, 1)[0], 1.0)]] * 2)
    assert not torch.equal(tiny_base.predict(latents, timesteps, texts), before)

    stack.clear()

    assert torch.equal(tiny_base.predict(latents, timesteps, texts), before)


def test_gradients_reach_each_rows_own_adapter_and_no_other():
    model = nn.ModuleDict({"layer": nn.Linear(6, 5)}).requires_grad_(False)
    first, second = (random_adapter(model, ("layer",), seed=seed, rank=2) for seed in (1, 2))
    for adapter in (first, second):
        adapter.layers["layer"].down.requires_grad_()
    stack = StackedAdapters(model)
    stack.bind([[(first, 1.0)], [(second, 1.0)]])

    model["layer"](torch.randn(2, 3, 6))[0].sum().backward()

    assert first.layers["layer"].down.grad.abs().max() > 0
    assert second.layers["layer"].down.grad.abs().max() == 0


def test_an_adapter_in_float32_learns_over_a_base_in_bfloat16():
    model = nn.ModuleDict({"layer": nn.Linear(6, 5, dtype=torch.bfloat16)}).requires_grad_(False)
    adapter = random_adapter(model, ("layer",), seed=1, rank=2)
    adapter.layers["layer"].down.requires_grad_()
    stack = StackedAdapters(model)
    stack.bind([[(adapter, 1.0)]])

    answer = model["layer"](torch.randn(2, 3, 6, dtype=torch.bfloat16))
    answer.float().sum().backward()

    assert answer.dtype == torch.bfloat16
    assert adapter.layers["layer"].down.dtype == torch.float32
    assert adapter.layers["layer"].down.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("nowhere", LayerChange(down=torch.zeros(2, 6), up=torch.zeros(5, 2)), "does not have"),
        ("layer", LayerChange(down=torch.zeros(2, 7), up=torch.zeros(5, 2)), "shape"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(name, change, reason):
    stack = StackedAdapters(nn.ModuleDict({"layer": nn.Linear(6, 5)}))

    with pytest.raises(WrongBase, match=reason):
        stack.check({name: change})


def test_a_layer_without_rows_is_the_frozen_layer():
    frozen = nn.Linear(3, 3)
    x = torch.randn(2, 3)

    assert torch.equal(AdaptedLayer(frozen)(x), frozen(x))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_runs_of_alike_rows_add_what_each_row_would(length):
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "linear": nn.Linear(6, 5),
            "strided": nn.Conv2d(4, 3, 3, stride=2, padding=1),
            "conv": nn.Conv2d(4, 3, 3, padding=1),
        }
    )
    adapters = [random_adapter(model, tuple(model), seed=seed, rank=2) for seed in range(3)]
    rows = [((adapter, 1.0),) for adapter in adapters for _ in range(length)]
    picture = torch.randn(len(rows), 4, 8, 8)
    given = {"linear": torch.randn(len(rows), 7, 6), "strided": picture, "conv": picture}
    expected = {name: plain_forward(model[name], name, x, rows) for name, x in given.items()}
    stack = StackedAdapters(model)

    stack.bind(rows)

    for name, x in given.items():
        torch.testing.assert_close(model[name](x), expected[name], atol=1e-5, rtol=1e-4)
    (part,) = model["linear"].parts
    assert len(part.down) == 3, "a run is gathered once"


def test_neighbours_of_nearly_one_rank_are_computed_together_and_bare_rows_not_at_all():
    model = nn.ModuleDict({"layer": nn.Linear(64, 64)})
    small, medium, large = (((random_adapter(model, ("layer",), seed=rank, rank=rank), 1.0),) for rank in (4, 8, 30))
    x = torch.randn(5, 3, 64)
    rows = [small, medium, large, (), ()]
    stack = StackedAdapters(model)

    stack.bind(rows)

    assert [part.rows for part in model["layer"].parts] == [slice(0, 2), slice(2, 3)]
    torch.testing.assert_close(model["layer"](x), plain_forward(model["layer"].base, "layer", x, rows))


def test_rows_that_wear_the_same_are_put_side_by_side():
    model = nn.ModuleDict({"layer": nn.Linear(64, 64)})
    small, other, large = (
        ((random_adapter(model, ("layer",), seed=seed, rank=rank), 1.0),) for seed, rank in ((1, 4), (2, 4), (3, 30))
    )

    order = side_by_side([large, (), small, other, (), small])

    assert order == [3, 2, 5, 0, 1, 4]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 5), (6, 7, 6)),
        (nn.Conv2d(6, 5, 1), (6, 6, 8, 8)),
        (nn.Conv2d(6, 5, 3, padding=1), (6, 6, 8, 8)),
        (nn.Conv2d(6, 5, 3, stride=2, padding=1), (6, 6, 8, 8)),
    ],
    ids=["linear", "1x1 convolution", "convolution", "strided convolution"],
)
def test_autocast_changes_no_more_than_its_rounding(layer, shape, count):
    model = nn.ModuleDict({"layer": layer}).requires_grad_(False)
    adapters = [random_adapter(model, ("layer",), seed=seed, rank=2) for seed in range(count)]
    for adapter in adapters:
        adapter.layers["layer"].down.requires_grad_()
    rows = [((adapters[number % count], 1.0),) for number in range(len(torch.empty(shape)))]
    x = torch.randn(*shape)
    stack = StackedAdapters(model)
    stack.bind(rows)
    exact = model["layer"](x)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        stack.bind(rows)
        rounded = model["layer"](x)
    rounded.float().sum().backward()

    torch.testing.assert_close(rounded.float(), exact, atol=0.1, rtol=0.05)
    assert adapters[0].layers["layer"].down.grad.abs().max() > 0
