"""What is promised of a training before it starts, and kept."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.bases.sd import StableDiffusion
from inference.catalog import base_spec
from tests.training.test_training import request_for, run_quietly, started
from training import probe as probing
from training import state, steps
from training.budget import Budget
from training.errors import OverBudget
from training.estimate import estimate
from training.examination import num_answers
from training.messages import Estimate, HeldOut, Progress, Speed, StateChanged, Way, read_event
from training.pipeline import train
from training.probe import fastest_way, probe, row_bytes
from training.recipe import Recipe, load_recipe
from training.ways import computed, threaded

RECIPE = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=8, batch=4, text_targets=("q_proj",))
SPEED = Speed(opening_s=1.0, picture_s=0.1, prompt_s=0.01, step_s=0.5, memory_bytes=10**9, way=Way(), device="cpu")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


# --- what is measured


def test_a_machine_is_measured_without_anything_of_a_creators(tiny_entry):
    speed = probe(base_spec(str(tiny_entry)), RECIPE, device="cpu")

    assert min(speed.opening_s, speed.picture_s, speed.prompt_s, speed.step_s) > 0
    assert 10**8 < speed.memory_bytes < 10**11
    assert speed.way == Way(precision="float32", is_checkpointed=False, rows_at_once=0)


@pytest.fixture
def threads():
    """Torch as on a machine of eight cores, to the end of the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0, 2: 1.2}, 1),
        ({1: 1.0, 2: 0.9}, 1),
        ({1: 1.0, 2: 0.6, 4: 0.55}, 2),
        ({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.2}, 8),
    ],
)
def test_a_core_is_taken_only_where_it_makes_steps_clearly_faster(threads, tiny_base, monkeypatch, seconds, chosen):
    monkeypatch.setattr(
        probing, "_timed", lambda base, data, recipe, way, *, stack, go_on: (way, seconds[way.num_threads])
    )

    way, step_s = fastest_way(tiny_base, None, RECIPE, go_on=lambda: None)

    assert (way, step_s) == (Way(num_threads=chosen), seconds[chosen])


def test_steps_are_computed_by_the_threads_of_their_way(threads, tiny_base, portfolio, tmp_path):
    training = started(tiny_base, portfolio, replace(RECIPE, steps=1), tmp_path)
    training.way, seen = Way(num_threads=2), list[int]()
    predict = tiny_base.predict
    tiny_base.predict = lambda *given: (seen.append(torch.get_num_threads()), predict(*given))[1]

    list(steps.take_steps(training))

    assert set(seen) == {2}
    assert torch.get_num_threads() == 8
    with threaded(Way(num_threads=64)):
        assert torch.get_num_threads() == 8


def test_measuring_leaves_adapters_where_they_lie_over_the_base(threads, tiny_base, portfolio, tmp_path):
    training = started(tiny_base, portfolio, replace(RECIPE, steps=2), tmp_path)
    taken = steps.take_steps(training)
    next(taken)
    before = {name: tensor.detach().clone() for name, tensor in training.parameters.items()}

    fastest_way(tiny_base, training.data, training.recipe, stack=training.stack, go_on=lambda: None)
    next(taken)

    assert any(not torch.equal(tensor, before[name]) for name, tensor in training.parameters.items())
    assert all(tensor.grad is not None for tensor in training.parameters.values())


def test_a_probe_is_a_process_that_says_one_line(portfolio, tiny_entry, tiny_recipe, tmp_path):
    path = tmp_path / "request.json"
    path.write_text(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path).to_json())

    # It ends early where its standard input closes, so that is held open.
    command = [sys.executable, "-m", "training.probe", str(path), "--device", "cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()

    assert process.returncode == 0
    speed = read_event(said.splitlines()[-1])
    assert isinstance(speed, Speed)
    assert speed.step_s > 0


@pytest.fixture
def begun(tiny_base, portfolio, tmp_path):
    def begun(**changes):
        return started(tiny_base, portfolio, replace(RECIPE, **changes), tmp_path)

    return begun


def test_rows_are_weighed_and_only_as_many_taken_as_there_is_room_for(begun, monkeypatch):
    training = begun()
    one = row_bytes(training.base, training.data, training.recipe, Way())
    assert one > 1000

    room = 2.5 * one / probing.MEMORY_SHARE
    monkeypatch.setattr(probing.psutil, "virtual_memory", lambda: type("Memory", (), {"available": room}))
    way, _ = fastest_way(training.base, training.data, training.recipe, go_on=lambda: None)

    assert way.rows_at_once == 2 or way.is_checkpointed, "fewer at once, or with less kept of each"


def test_less_is_kept_between_layers_where_it_is_computed_again(begun):
    training = begun()
    plain, again = (
        row_bytes(training.base, training.data, training.recipe, Way(is_checkpointed=is_checkpointed))
        for is_checkpointed in (False, True)
    )

    assert again < plain


def test_the_way_is_left_behind_with_the_block(tiny_base):
    with computed(tiny_base, Way(precision="bfloat16", is_checkpointed=True)):
        assert tiny_base.unet.is_gradient_checkpointing
        assert torch.is_autocast_enabled("cpu")

    assert not tiny_base.unet.is_gradient_checkpointing
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("way", "tolerance"),
    [
        (Way(is_checkpointed=True), 1e-5),
        (Way(rows_at_once=3), 1e-5),
        (Way(precision="bfloat16"), 0.05),
    ],
)
def test_every_way_learns_the_same(begun, tmp_path, way, tolerance):
    first = begun()
    second = state.begin(
        first.base,
        first.stack,
        first.data,
        first.split,
        first.recipe,
        seed=0,
        fingerprint="one",
        folder=tmp_path / "other",
        way=way,
    )

    losses = [[done.loss for done in steps.take_steps(one)] for one in (first, second)]

    assert losses[1] == pytest.approx(losses[0], rel=tolerance)


# --- what is made of it


def test_an_estimate_grows_with_the_works_and_the_steps(tiny_entry):
    spec = base_spec(str(tiny_entry))

    few, many = (estimate(SPEED, spec, RECIPE, works) for works in (10, 200))
    longer = estimate(SPEED, spec, replace(RECIPE, steps=800), 10)

    assert few.seconds < many.seconds
    assert longer.seconds > few.seconds + 700 * SPEED.step_s
    assert few.memory_bytes == SPEED.memory_bytes


def test_the_answers_that_judging_takes_are_counted_right(portfolio, tiny_entry, tiny_recipe, tmp_path, monkeypatch):
    """Every row that goes through the denoiser after the last step is counted."""
    counted = {"rows": 0}
    predict = StableDiffusion.predict

    def counting(self, latents, timesteps, texts):
        counted["rows"] += len(latents)
        return predict(self, latents, timesteps, texts)

    monkeypatch.setattr(StableDiffusion, "predict", counting)
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path)
    rows = {}

    def hear(event):
        if isinstance(event, StateChanged):
            rows[event.state] = counted["rows"]

    ended = train(request, on_event=hear, stop=lambda: False)

    assert ended.outcome == "passed", "one adapter was judged"
    taken = rows["passed"] - rows["measuring"]
    expected = num_answers(base_spec(str(tiny_entry)), load_recipe(tiny_recipe), len(request.works))
    assert taken == pytest.approx(expected, rel=0.1)


# --- what is kept of it


def test_a_budget_counts_all_runs_of_a_training():
    clock = Clock()
    budget = Budget(2, clock=clock)
    budget.count(60.0)

    with budget.counting():
        clock.now_s = 30.0
        assert budget.spent_s == 90
        assert budget.left_s == 30
        budget.require_room_for(30)
        with pytest.raises(OverBudget, match=r"about 2\.0 minutes on this machine, and its limit is 2"):
            budget.require_room_for(31)
        clock.now_s = 61.0
        with pytest.raises(OverBudget, match="allow more and it goes on from there"):
            budget.require_any()


def test_a_budget_stands_still_while_others_work():
    clock = Clock()
    budget = Budget(2, clock=clock)
    with budget.counting():
        clock.now_s = 10.0
    clock.now_s = 500.0

    budget.count(5.0)

    assert budget.spent_s == 15
    with budget.counting():
        clock.now_s = 501.0
    assert budget.spent_s == 16


def test_without_a_limit_there_is_always_room():
    budget = Budget(0)

    budget.require_room_for(1e9)
    budget.require_any()


def test_a_training_that_does_not_fit_is_refused_after_three_steps(portfolio, tiny_entry, tiny_recipe, tmp_path):
    recipe = tmp_path / "long-style.toml"
    recipe.write_text(Path(tiny_recipe).read_text().replace("steps = 12", "steps = 90000"))
    request = request_for(portfolio, tiny_entry, str(recipe), tmp_path, max_minutes=2.0)

    with pytest.raises(OverBudget, match="its limit is 2"):
        run_quietly(request)

    assert not (tmp_path / "out" / "adapter.safetensors").exists()


def test_a_training_that_turns_slow_ends_early_and_is_judged(portfolio, tiny_entry, tiny_recipe, tmp_path, monkeypatch):
    budget = Budget(60, clock=(clock := Clock()))
    monkeypatch.setattr("training.pipeline.Budget", lambda minutes: budget)
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path, max_minutes=60.0)
    events = []

    def hear(event):
        events.append(event)
        if isinstance(event, HeldOut) and event.step == 6:
            # More than the next step takes, less than judging does, which is most of what is left.
            [progress] = [one for one in events if isinstance(one, Progress)]
            clock.now_s += budget.left_s - progress.eta_s / 2

    ended = train(request, on_event=hear, stop=lambda: False)

    assert [event.step for event in events if isinstance(event, HeldOut)] == [6, 7]
    [measuring] = [one for one in events if isinstance(one, StateChanged) and one.state == "measuring"]
    assert measuring.message == "Its time was nearly used up after 7 of 12 steps, so it ended there."
    assert ended.outcome in ("passed", "refused")
    assert json.loads(ended.receipt.read_text())["receipt"]["adapter"]["steps"] in (6, 7)


def test_the_estimate_that_is_told_holds_for_the_whole_of_it(portfolio, tiny_entry, tiny_recipe, tmp_path):
    _, events = run_quietly(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path))

    [told] = [event for event in events if isinstance(event, Estimate)]
    assert told.seconds > 0
    assert told.steps == 12
