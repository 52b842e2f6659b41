"""What is tried when an adapter remembers too much: earlier, weaker, smaller."""

import json

import pytest
import torch

from inference.adapters.stack import LayerChange
from tests.training.test_training import request_for, run_quietly
from training.candidates import smaller, weaker
from training.messages import StateChanged


def change(out: int, into: int, rank: int, *, kernel: int = 0) -> LayerChange:
    torch.manual_seed(1)
    down = torch.randn(rank, into, kernel, kernel) if kernel else torch.randn(rank, into)
    return LayerChange(down=down, up=torch.randn(out, rank))


def product(of: LayerChange) -> torch.Tensor:
    return of.up @ of.down.flatten(1)


@pytest.mark.parametrize("kernel", [0, 3])
def test_a_smaller_adapter_is_the_nearest_of_its_rank(kernel):
    full = change(12, 10, 6, kernel=kernel)
    left, values, right = torch.linalg.svd(product(full), full_matrices=False)
    best = left[:, :2] * values[:2] @ right[:2]

    small = smaller(full, 2)

    assert small.down.shape == (2, *full.down.shape[1:])
    torch.testing.assert_close(product(small), best, atol=1e-4, rtol=1e-4)


def test_a_weaker_adapter_does_a_share_of_the_same():
    full = change(12, 10, 6)

    torch.testing.assert_close(product(weaker(full, 0.7)), 0.7 * product(full))


@pytest.fixture(scope="module")
def drift_as_trained(portfolio, tiny_entry, tiny_recipe, tmp_path_factory) -> float:
    ended, _ = run_quietly(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path_factory.mktemp("lenient")))
    return json.loads(ended.receipt.read_text())["receipt"]["scores"]["drift"]


def strict(tiny_entry, tiny_recipe, folder, limit: float) -> str:
    text = (tiny_entry.parent / "tiny-style.toml").read_text()
    file = folder / "strict-style.toml"
    file.write_text(text.replace("max_drift = 1.0", f"max_drift = {limit}"))
    return str(file)


def test_a_milder_adapter_is_released_where_the_trained_one_does_too_much(
    portfolio, tiny_entry, tiny_recipe, tmp_path, drift_as_trained
):
    recipe = strict(tiny_entry, tiny_recipe, tmp_path, 0.9 * drift_as_trained)

    ended, events = run_quietly(request_for(portfolio, tiny_entry, recipe, tmp_path))

    receipt = json.loads(ended.receipt.read_text())["receipt"]
    tried = receipt["gate"]["tried"]
    assert ended.outcome == "passed"
    assert tried[0] == {"adapter": "the adapter after 12 steps", "passed": False, "broken": ["drift"]}
    assert [one["passed"] for one in tried] == [False] * (len(tried) - 1) + [True]
    assert receipt["scores"]["drift"] <= 0.9 * drift_as_trained
    said = [
        event.message
        for event in events
        if isinstance(event, StateChanged) and event.state == "measuring" and event.message
    ]
    assert said[0].endswith("Trying the adapter after 6 steps.")
    assert "a milder one is released" in ended.report.read_text()


def test_where_none_passes_the_trained_one_is_refused_and_every_try_is_told(
    portfolio, tiny_entry, tiny_recipe, tmp_path
):
    recipe = strict(tiny_entry, tiny_recipe, tmp_path, 1e-9)

    ended, _ = run_quietly(request_for(portfolio, tiny_entry, recipe, tmp_path))

    receipt = json.loads(ended.receipt.read_text())["receipt"]
    assert ended.outcome == "refused"
    assert receipt["adapter"]["steps"] == 12
    assert [one["adapter"] for one in receipt["gate"]["tried"]] == [
        "the adapter after 12 steps",
        "the adapter after 6 steps",
        "the adapter after 12 steps at 70% of its strength",
        "the adapter after 12 steps with a capacity of 1 instead of 2",
    ]
    assert ended.report.read_text().count("changes pictures that do not call it") >= 4
