"""What is kept of an ended training, and another of its adapters judged by it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.test_training import request_for, run_quietly
from training.errors import RequestInvalid
from training.kept import KEPT, MOST, place_of
from training.messages import Done, HeldOut, Progress


@pytest.fixture(scope="module")
def ended(portfolio, tiny_entry, tiny_recipe, tmp_path_factory):
    """A training, its events, and its request."""
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path_factory.mktemp("first"))
    made, events = run_quietly(request)
    return made, events, request


def moved(done: Done, folder: Path) -> Path:
    """What was kept, in the scratch folder of another training."""
    for path in done.kept:
        target = place_of(path.name, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def receipt_of(made) -> dict:
    return json.loads(made.receipt.read_text())["receipt"]


def test_other_looks_are_kept_with_their_numbers_and_the_one_that_is_delivered_is_not(ended):
    made, events, _ = ended
    done = next(event for event in events if isinstance(event, Done))
    looked = {event.step: event.gain for event in events if isinstance(event, HeldOut)}

    kept = json.loads(next(path for path in done.kept if path.name == KEPT).read_text())

    steps = [look["step"] for look in kept["looks"]]
    assert 0 < len(steps) <= MOST
    assert set(steps) < set(looked)
    assert receipt_of(made)["adapter"]["steps"] not in steps
    assert [round(look["gain"], 5) for look in kept["looks"]] == [looked[step] for step in steps]
    assert [look["gain"] for look in kept["looks"]] == sorted((look["gain"] for look in kept["looks"]), reverse=True)


def test_a_kept_adapter_is_judged_alone_by_the_whole_gate_and_nothing_is_learnt(ended, tmp_path):
    first, events, request = ended
    done = next(event for event in events if isinstance(event, Done))
    step = json.loads(next(path for path in done.kept if path.name == KEPT).read_text())["looks"][-1]["step"]
    scratch = moved(done, tmp_path / "scratch")

    again, told = run_quietly(replace(request, id="again", out=tmp_path / "out", scratch=scratch, take=step))

    receipt = receipt_of(again)
    assert receipt["adapter"]["steps"] == step
    assert receipt["works"] == receipt_of(first)["works"]
    assert receipt["scores"].keys() == receipt_of(first)["scores"].keys()
    assert len(receipt["gate"]["tried"]) == 1
    assert receipt["adapter"]["sha256"] != receipt_of(first)["adapter"]["sha256"]
    assert not any(isinstance(event, Progress) for event in told)
    assert next(event for event in told if isinstance(event, Done)).kept == ()


def test_nothing_is_judged_of_other_works_or_after_other_steps(ended, tmp_path):
    _, events, request = ended
    done = next(event for event in events if isinstance(event, Done))
    step = json.loads(next(path for path in done.kept if path.name == KEPT).read_text())["looks"][0]["step"]
    asked = replace(request, out=tmp_path / "out", scratch=moved(done, tmp_path / "scratch"))

    with pytest.raises(RequestInvalid, match="train again"):
        run_quietly(replace(asked, seed=request.seed + 1, take=step))
    with pytest.raises(RequestInvalid, match="choose one of"):
        run_quietly(replace(asked, take=99_999))
    with pytest.raises(RequestInvalid, match="nothing is kept"):
        run_quietly(replace(asked, scratch=tmp_path / "empty", take=step))
