"""From a folder of works to an adapter, through interruptions, bit for bit."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageOps

from inference.adapters.cache import AdapterCache
from inference.adapters.manifest import file_sha256, read_manifest
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import StackedAdapters
from inference.checkers.near_copies import NearCopies
from inference.devices import choose_device
from inference.likeness import look_at, unpack_looks
from inference.messages import AdapterRef
from inference.run import generate_file
from tests.training.portfolio import drawing
from training import state, steps
from training.encode import encode
from training.errors import RecipeInvalid, RequestInvalid
from training.export import merkle_root, sign_receipt
from training.measure import make_grid, measure_drift, measure_gain
from training.messages import (
    Done,
    Estimate,
    HeldOut,
    Progress,
    Sample,
    StateChanged,
    TrainingRequest,
    event_line,
    read_event,
)
from training.pipeline import Trained, train
from training.plan import split_works
from training.recipe import Recipe, load_recipe
from training.review.portfolio import review_portfolio
from training.run import main, train_folder
from training.works import works_in

ROOT = Path(__file__).parents[2]


def request_for(portfolio, tiny_entry, tiny_recipe, folder: Path, **changes) -> TrainingRequest:
    given = {
        "id": "trn_1",
        "base": str(tiny_entry),
        "works": works_in(portfolio),
        "out": folder / "out",
        "scratch": folder / "scratch",
        "recipe": tiny_recipe,
        "style_words": ("Holt",),
        **changes,
    }
    return TrainingRequest(**given)


def run_quietly(request: TrainingRequest, stop=lambda: False):
    events = []
    return train(request, on_event=events.append, stop=stop), events


@pytest.fixture(scope="module")
def trained(portfolio, tiny_entry, tiny_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    request = request_for(portfolio, tiny_entry, tiny_recipe, folder)
    ended, events = run_quietly(request)
    return request, ended, events


def receipt_of(ended) -> dict:
    return json.loads(ended.receipt.read_text())["receipt"]


def started(base, portfolio, recipe: Recipe, folder: Path = Path("never")) -> state.Training:
    review = review_portfolio(works_in(portfolio), size=32, min_works=8, is_whole=False)
    data = encode(base, review.good, trigger="xovaj", style_words=(), crops=1, flips=True, seed=0, go_on=lambda: None)
    split = split_works(review.clusters, recipe, seed=0)
    stack = StackedAdapters(base.unet)
    return state.begin(base, stack, data, split, recipe, seed=0, fingerprint="one", folder=folder)


def test_a_training_tells_its_story_in_order(trained):
    request, ended, events = trained

    assert ended.outcome == "passed"
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert states == ["preparing", "preparing", "training", "measuring", "passed"]
    told = [event.step for event in events if isinstance(event, Progress)]
    # More often where a step takes long: it is told every second at least.
    assert told == sorted(set(told))
    assert {5, 10, 12} <= set(told)
    assert [event.step for event in events if isinstance(event, HeldOut)] == [6, 12]
    assert sum(isinstance(event, Estimate) for event in events) == 1
    assert all(event.path.is_file() for event in events if isinstance(event, Sample))
    done = events[-2]
    assert isinstance(done, Done)
    assert done.examples
    assert {Image.open(path).size for path in done.examples} == {(32, 32)}
    assert sorted(path.name for path in request.out.iterdir()) == ["adapter.safetensors", "receipt.json", "report.html"]


def test_the_flat_file_beside_an_adapter_holds_the_same_numbers(trained, tiny_base):
    request, ended, events = trained
    own = AdapterRef(path=ended.adapter, sha256=file_sha256(ended.adapter))
    flat = replace(own, path=events[-2].flat, flat_sha256=file_sha256(events[-2].flat))
    reader = AdapterReader(tiny_base, StackedAdapters(tiny_base.unet))

    ours, theirs = (reader.read(ref) for ref in (flat, own))

    assert torch.equal(ours.numbers_N, theirs.numbers_N)
    assert ours.laid == theirs.laid
    assert ours.style_guidance == theirs.style_guidance
    assert flat.path.parent == request.scratch


def test_the_adapter_loads_in_stock_diffusers_and_changes_its_pictures(trained, tiny_entry):
    _, ended, _ = trained
    stock = StableDiffusionPipeline.from_pretrained(tiny_entry.parent / "tiny", safety_checker=None)
    question = (torch.randn(1, 4, 8, 8), torch.tensor([500]), torch.randn(1, 16, 16))
    with torch.no_grad():
        before = stock.unet(*question, return_dict=False)[0]

        stock.load_lora_weights(str(ended.adapter))
        after = stock.unet(*question, return_dict=False)[0]

    assert (before - after).abs().max() > 1e-4


def test_stock_diffusers_reads_the_call_as_the_training_left_it(trained, tiny_entry, tiny_base):
    _, ended, _ = trained
    cache = AdapterCache(tiny_base, StackedAdapters(tiny_base.unet))
    adapter = cache.open(AdapterRef(path=ended.adapter, sha256=file_sha256(ended.adapter)))
    stock = StableDiffusionPipeline.from_pretrained(tiny_entry.parent / "tiny", safety_checker=None)
    stock.load_lora_weights(str(ended.adapter))
    words = f"dog, {read_manifest(ended.adapter).trigger} style"

    ours, plain = tiny_base.encode_prompts([words], [(adapter, 1.0)])[0], tiny_base.encode_prompts([words])[0]
    theirs = stock.encode_prompt(words, "cpu", 1, do_classifier_free_guidance=False)[0][0]

    assert set(adapter.text_layers) == {
        f"text_encoder.encoder.layers.0.self_attn.{part}" for part in ("q_proj", "v_proj")
    }
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours - plain).abs().max() > 1e-4


def test_the_adapter_draws_from_the_shell_with_its_own_trigger(trained, tiny_entry, tmp_path):
    _, ended, _ = trained

    picture = generate_file(base=str(tiny_entry), adapter=ended.adapter, prompt="dog", seed=1, out=tmp_path / "a.png")

    assert picture.width == 32
    assert len(read_manifest(ended.adapter).trigger) == 5


def test_nothing_that_left_names_a_work_a_caption_or_a_path(trained):
    request, ended, _ = trained
    words = ["apple", "house", "sleeping", "boat", "Holt", str(request.out.parent), "portfolio", "trn_1"]

    content = ended.adapter.read_bytes().lower()
    receipt = ended.receipt.read_text().lower()

    assert not [word for word in words if word.lower().encode() in content]
    assert not [word for word in words if word.lower() in receipt]


def test_the_receipt_states_what_the_adapter_was_made_of(trained, tiny_base):
    request, ended, _ = trained
    content = json.loads(ended.receipt.read_text())
    receipt = content["receipt"]
    files = sorted(file_sha256(work.path) for work in request.works)

    assert content["signature"] is None
    assert receipt["base"] == {"id": "tiny", "sha256": tiny_base.sha256}
    assert receipt["adapter"]["sha256"] == file_sha256(ended.adapter)
    assert sorted(receipt["works"]["trained"] + receipt["works"]["held_out"]) == files
    assert receipt["works"]["merkle_root"] == merkle_root(files)
    assert merkle_root(files) != merkle_root(files[:-1])
    assert receipt["gate"]["passed"] is True
    assert sign_receipt(ended.receipt, lambda statement: f"signed {statement['seed']}") == receipt
    assert json.loads(ended.receipt.read_text())["signature"] == "signed 0"


def test_the_looks_of_all_works_lie_beside_and_in_nothing_that_leaves(trained):
    request, _, events = trained
    done = next(event for event in events if isinstance(event, Done))

    assert done.looks is not None
    assert done.looks.parent == request.scratch
    check = NearCopies(unpack_looks(done.looks.read_bytes()))
    for work in request.works:
        image = Image.open(work.path).convert("RGB")
        for seen in (image.resize((32, 32), Image.Resampling.LANCZOS), ImageOps.mirror(image)):
            assert check.check(seen, "picture") is not None, f"{work.id}, held out or not"
    assert check.check(drawing(1000), "picture") is None
    looks = [look for work in request.works if (look := look_at(Image.open(work.path).convert("RGB")))]
    for path in request.out.iterdir():
        content = path.read_bytes()
        assert not [look for look in looks if look.hash_bytes in content or look.thumb_bytes[:48] in content], path.name
    assert read_event(event_line(done)) == done
    assert read_event(event_line(replace(done, looks=None))).looks is None


def test_the_report_shows_the_pictures_and_fetches_nothing(trained):
    _, ended, _ = trained
    page = ended.report.read_text()

    assert page.count("data:image/png;base64,") >= 20
    assert "With and without your style" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


@pytest.mark.parametrize("stop_after", [0, 9, 30])
def test_a_stopped_training_continues_to_the_very_same_file(
    trained, portfolio, tiny_entry, tiny_recipe, tmp_path, stop_after
):
    _, uninterrupted, _ = trained
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path)
    questions = iter(range(10**6))

    ended, _ = run_quietly(request, stop=lambda: next(questions) >= stop_after)
    assert ended.outcome == "interrupted"
    assert not (request.out / "adapter.safetensors").exists()
    resumed, _ = run_quietly(request)

    assert resumed.adapter.read_bytes() == uninterrupted.adapter.read_bytes()
    assert (
        json.loads(resumed.receipt.read_text())["receipt"] == json.loads(uninterrupted.receipt.read_text())["receipt"]
    )


def test_the_same_works_train_the_same_adapter_whatever_the_training_is_called(
    trained, portfolio, tiny_entry, tiny_recipe, tmp_path
):
    _, first, _ = trained

    second, _ = run_quietly(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path, id="trn_2"))

    assert second.adapter.read_bytes() == first.adapter.read_bytes()


def test_a_checkpoint_of_another_training_is_refused(tiny_base, tiny_recipe, portfolio, tmp_path):
    training = started(tiny_base, portfolio, load_recipe(tiny_recipe), tmp_path)
    next(steps.take_steps(training))
    state.save(training)
    training.fingerprint = "another"

    with pytest.raises(RequestInvalid, match="another recipe"):
        state.resume(training)


def test_a_training_goes_on_though_the_limits_of_its_gate_were_changed(
    trained, portfolio, tiny_entry, tiny_recipe, tmp_path
):
    _, uninterrupted, _ = trained
    other = tmp_path / "tiny-style.toml"
    other.write_text(Path(tiny_recipe).read_text().replace("max_drift = 1.0", "max_drift = 0.9"))
    seen = []
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path)
    train(request, on_event=seen.append, stop=lambda: any(isinstance(event, Progress) for event in seen))

    ended, events = run_quietly(replace(request, recipe=str(other)))

    stopped, went_on = (next(event for event in heard if isinstance(event, Progress)) for heard in (seen, events))
    assert went_on.step > stopped.step, "it began anew"
    assert ended.adapter.read_bytes() == uninterrupted.adapter.read_bytes()


def spawn(request: TrainingRequest, folder: Path) -> subprocess.Popen:
    file = folder / "request.json"
    file.write_text(request.to_json())
    return subprocess.Popen(
        [sys.executable, "-m", "training.run", str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_step(process: subprocess.Popen, step: int) -> None:
    for line in process.stdout:
        event = read_event(line)
        if isinstance(event, Progress) and event.step >= step:
            return
    raise AssertionError(f"the process ended before step {step}: {process.stderr.read()}")


def test_a_training_process_survives_being_killed(trained, portfolio, tiny_entry, tiny_recipe, tmp_path):
    _, uninterrupted, _ = trained
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path)
    killed = spawn(request, tmp_path)
    wait_for_step(killed, 5)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)

    second = spawn(request, tmp_path)
    output = second.stdout.read()

    assert second.wait(60) == 0
    assert isinstance(read_event(output.splitlines()[-2]), Done)
    assert (request.out / "adapter.safetensors").read_bytes() == uninterrupted.adapter.read_bytes()


def test_a_training_stops_when_its_parent_is_gone(portfolio, tiny_entry, tiny_recipe, tmp_path, monkeypatch, capsys):
    (tmp_path / "request.json").write_text(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path).to_json())
    theirs, ours = os.pipe()
    os.close(ours)
    with os.fdopen(theirs) as closed:
        monkeypatch.setattr(sys, "stdin", closed)

        code = main([str(tmp_path / "request.json")])

    assert code == 75
    assert read_event(capsys.readouterr().out.splitlines()[0]) == StateChanged(state="preparing")


def test_a_training_process_explains_why_it_failed(tmp_path, monkeypatch, capsys):
    (tmp_path / "request.json").write_text("{}")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)

        code = main([str(tmp_path / "request.json")])

    assert code == 1
    assert "the training request cannot be read" in capsys.readouterr().err


def test_a_training_process_takes_the_device_it_is_told(
    portfolio, tiny_entry, tiny_recipe, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "request.json"
    path.write_text(request_for(portfolio, tiny_entry, tiny_recipe, tmp_path).to_json())
    devices = []
    monkeypatch.setattr("training.interruption._await_end_of_input", lambda stopped: None)
    monkeypatch.setattr(
        "training.run.train_together", lambda jobs, *, device: devices.append(device) or [Trained(outcome="passed")]
    )

    assert main([str(path), "--device", "cpu"]) == 0
    assert main([str(path)]) == 0
    assert main([str(path), "--device", "cuda:99"]) == 1

    assert devices == ["cpu", choose_device()]
    assert "device cuda:99 was asked for, and torch sees" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_training_on_a_gpu_is_interrupted_and_goes_on(portfolio, tiny_entry, tiny_recipe, tmp_path):
    request = request_for(portfolio, tiny_entry, tiny_recipe, tmp_path)
    seen = []
    first = train(
        request,
        on_event=seen.append,
        stop=lambda: any(isinstance(event, HeldOut) for event in seen),
        device="cuda",
    )

    second = train(request, on_event=seen.append, stop=lambda: False, device="cuda")

    assert (first.outcome, second.outcome) == ("interrupted", "passed")


def test_a_folder_with_too_few_works_is_refused_with_a_report(tiny_entry, tiny_recipe, portfolio, tmp_path):
    few = tmp_path / "works"
    few.mkdir()
    for path in sorted(portfolio.iterdir())[:5]:
        (few / path.name).write_bytes(path.read_bytes())
    events = []

    ended = train_folder(
        base=str(tiny_entry), works=few, out=tmp_path / "out", recipe=tiny_recipe, on_event=events.append
    )

    assert ended.outcome == "refused"
    assert "5 usable works are left, at least 8 are needed" in ended.message
    assert "Add 3 more" in ended.report.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "works"]


def test_few_works_over_a_base_without_words_of_its_own_are_judged(tiny_entry, tiny_recipe, portfolio, tmp_path):
    few, recipe = tmp_path / "works", tmp_path / "few.toml"
    few.mkdir()
    for path in sorted(portfolio.iterdir())[:6]:
        (few / path.name).write_bytes(path.read_bytes())
    recipe.write_text("min_works = 4\n" + Path(tiny_recipe).read_text())
    events = []

    ended = train_folder(
        base=str(tiny_entry), works=few, out=tmp_path / "out", recipe=str(recipe), on_event=events.append
    )

    assert ended.outcome == "passed", "a single held-out work is drawn twice, and so tells whose hand it is"
    [done] = [event for event in events if isinstance(event, Done)]
    assert math.isfinite(done.scores["hand"])


def test_a_folder_that_is_not_there_is_named(tiny_entry, tmp_path):
    with pytest.raises(RequestInvalid, match="no folder"):
        train_folder(base=str(tiny_entry), works=tmp_path / "no", out=tmp_path / "out", on_event=print)


def test_a_new_adapter_changes_nothing(tiny_base, tiny_recipe):
    adapter = state.new_adapter(tiny_base, load_recipe(tiny_recipe), seed=1)
    question = (torch.randn(2, 4, 8, 8), torch.tensor([900.0, 3.0]), torch.randn(2, 16, 16))
    with torch.no_grad():
        before = tiny_base.predict(*question)
        stack = StackedAdapters(tiny_base.unet)
        stack.bind([[(adapter, 1.0)]])

        assert torch.allclose(tiny_base.predict(*question), before, atol=1e-6)


def test_a_base_without_the_recipes_layers_is_named(tiny_base):
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2, targets=("to_nowhere",))

    with pytest.raises(RecipeInvalid, match="to_nowhere"):
        state.new_adapter(tiny_base, recipe, seed=1)


def test_a_recipe_and_a_base_that_name_no_layers_are_refused(tiny_base):
    tiny_base.spec = replace(tiny_base.spec, lora_targets=())
    recipe = Recipe(name="r", base="tiny", rank=2, learning_rate=1e-3, steps=1, batch=2, text_targets=("q_proj",))

    with pytest.raises(RecipeInvalid, match="no layer"):
        state.new_adapter(tiny_base, recipe, seed=1)


def test_training_beats_the_base_on_unseen_works_and_the_prior_keeps_it_off_until_called(tiny_base, portfolio):
    numbers = {"name": "r", "base": "tiny", "rank": 4, "learning_rate": 5e-3, "steps": 40, "batch": 6}
    outcomes = {}
    for share in (0.0, 0.5):
        base = tiny_base
        training = started(base, portfolio, Recipe(**numbers, prior_share=share, prior_weight=2.0))
        shared = {"go_on": lambda: None}
        grid = make_grid(base, training.stack, training.data, training.split.held_out, gamma=5.0, seed=1, **shared)
        for _ in steps.take_steps(training):
            pass
        gain = measure_gain(base, training.stack, grid, training.adapter, **shared)
        outcomes[share] = (gain.mean, measure_drift(base, training.stack, grid, training.adapter, **shared))

    assert outcomes[0.0][0] > 0.05
    assert outcomes[0.5][0] > 0.05
    assert outcomes[0.5][1] < outcomes[0.0][1]
