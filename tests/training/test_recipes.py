"""Recipes and requests are checked when they are read, and refused with the entry and the way out."""

import json
from pathlib import Path

import pytest

from inference.catalog import BaseSpec
from training.errors import RecipeInvalid, RequestInvalid
from training.messages import (
    MAX_WORKS,
    Done,
    Finding,
    Progress,
    Sample,
    StateChanged,
    TrainingRequest,
    Work,
    event_line,
    read_event,
    read_line,
    read_request,
)
from training.recipe import RANGES, Recipe, load_recipe, recipe_for

GOOD = 'base = "tiny"\nrank = 2\nlearning_rate = 1e-3\nsteps = 10\nbatch = 4\n'


def request(**changes) -> TrainingRequest:
    works = (Work(id="wrk_1", path=Path("a.png"), captions=("an apple",)),)
    given = {"id": "trn_1", "base": "tiny", "works": works, "out": Path("out"), "scratch": Path("scratch"), **changes}
    return TrainingRequest(**given)


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        (GOOD + "colour = 1", "misspells"),
        ('base = "tiny"', "lacks"),
        ("rank = ", "not valid TOML"),
        (GOOD.replace("rank = 2", "rank = 512"), "rank 512 is out of range in odd-style.toml; choose 1 to 128"),
        (GOOD.replace("1e-3", "nan"), "learning_rate nan"),
        (GOOD + "[gate]\nluck = 1", "misspells"),
    ],
)
def test_a_broken_recipe_is_named(tmp_path, listing, reason):
    (tmp_path / "odd-style.toml").write_text(listing)

    with pytest.raises(RecipeInvalid, match=reason):
        load_recipe("odd-style", folder=tmp_path)


@pytest.mark.parametrize("name", ["nothing-style", "../secret", ""])
def test_an_unknown_recipe_is_answered_with_the_known_ones(tmp_path, name):
    (tmp_path / "ink-style.toml").write_text(GOOD)

    with pytest.raises(RecipeInvalid, match="ink-style"):
        load_recipe(name, folder=tmp_path)


def test_every_range_is_of_a_real_entry():
    assert set(RANGES) < set(Recipe.__dataclass_fields__)


def test_a_request_survives_the_way_to_another_process():
    assert read_request(request().to_json()) == request()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"works": [{"id": "a"}]}, "path"),
        ({"surprise": 1}, "surprise"),
        ({"works": [{"id": "a", "path": "x"}] * 2}, "same id"),
        ({"works": [{"id": f"{number}", "path": "x"} for number in range(MAX_WORKS + 1)]}, "at most 500"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_a_broken_request_is_refused_in_a_sentence(change, reason):
    content = {**json.loads(request().to_json()), **change}

    with pytest.raises(RequestInvalid, match=reason):
        read_request(json.dumps(content))


@pytest.mark.parametrize(
    "event",
    [
        StateChanged(state="refused", message="too few"),
        Finding(work=None, kind="too_few", severity="error", why="Few.", fix="Add."),
        Sample(step=3, path=Path("a.png")),
        Done(adapter=Path("a"), receipt=Path("b"), report=Path("c"), scores={"drift": 0.1}, examples=(Path("d.png"),)),
        Done(adapter=Path("a"), receipt=Path("b"), report=Path("c"), flat=Path("d.flat")),
    ],
)
def test_an_event_survives_the_way_through_a_line(event):
    line = event_line(event)

    assert read_event(line) == event
    assert "\n" not in line
    assert "event" in json.loads(line)


def test_a_line_names_whose_event_it_is():
    event = Progress(step=1, steps=2, loss=0.5, eta_s=3.0)

    assert read_line(event_line(event, training="trn_1")) == ("trn_1", event)
    assert read_line(event_line(event)) == ("", event)


def test_a_line_that_is_no_event_is_refused():
    with pytest.raises(ValueError, match="not an event"):
        read_event('{"event": "party"}')


def test_a_base_without_a_recipe_of_its_own_takes_its_familys(tmp_path):
    (tmp_path / "ink-style.toml").write_text(GOOD)
    (tmp_path / "sdxl-style.toml").write_text(GOOD)

    assert recipe_for(base("ink", "sdxl"), folder=tmp_path).name == "ink-style"
    assert recipe_for(base("chalk", "sdxl"), folder=tmp_path).name == "sdxl-style"
    with pytest.raises(RecipeInvalid, match="no recipe 'chalk-style'; there are: ink-style, sdxl-style"):
        recipe_for(base("chalk", "flux2"), folder=tmp_path)


def base(name: str, family: str) -> BaseSpec:
    settings = {"steps": 1, "guidance": 1.0, "sampler": "ddim", "lora_targets": (), "licence": "MIT"}
    return BaseSpec(id=name, name=name, family=family, path=Path(name), size=32, max_size=32, **settings)
