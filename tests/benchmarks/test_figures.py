"""What benchmarks say about themselves. The benchmarks themselves are run by hand."""

import argparse
import importlib
import inspect
import json

import pytest

from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.base import training_hours
from tests.benchmarks.figures import Figure, as_table


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_wants(name: str):
    module = importlib.import_module(BENCHMARKS[name])

    parser = argparse.ArgumentParser()

    module.add_options(parser)

    options = {action.dest for action in parser._actions} - {"help"}
    assert options == inspect.signature(module.measure).parameters.keys() - {"seed", "say"}


def test_a_goal_that_was_not_met_is_printed_as_such():
    figures = [
        Figure(name="share", value=0.5, unit="share", goal=0.7),
        Figure(name="seconds", value=0.5, unit="s", goal=1.0, at_most=True),
        Figure(name="size", value=3, unit="MB"),
    ]

    rows = as_table(figures).splitlines()[1:]

    assert [row.split()[-1] for row in rows] == ["NO", "yes", "-"]


def test_the_cost_of_a_training_counts_every_step_once(tmp_path):
    log = tmp_path / "denoiser.jsonl"
    told = [(50, 1800.0), (100, 3600.0), (150, 9999.0), (150, 7200.0)]
    log.write_text("".join(json.dumps({"step": step, "loss": 1.0, "ms": ms}) + "\n" for step, ms in told))

    assert training_hours(log) == pytest.approx(50 * (1.8 + 3.6 + 7.2) / 3600)
