"""Checks look at what comes in, shows on the way and would be handed over; what they object to never leaves."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from inference.checkers import CHECKERS
from inference.engine import Engine
from inference.errors import CheckerUnusable, CheckFailed
from inference.likeness import is_nearly_same, look_at, pack_looks
from inference.messages import AdapterRef, Picture, Refused, Step, Stopped
from inference.pictures import open_picture
from inference.receipt import read_receipt
from inference.run import main
from tests.inference.checkers import SENTENCE, ToldChecker, objecting, objection
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.test_engine import asked, half_mask, make, never, pixels, png


@pytest.fixture(scope="module")
def opened(tiny_spec) -> Iterator[tuple[Engine, ToldChecker]]:
    told = ToldChecker()
    with Engine(tiny_spec, max_rows=4, checkers=(told,)) as running:
        yield running, told


@pytest.fixture
def told(opened) -> ToldChecker:
    """The engine's check: it lets everything pass unless a test tells it otherwise."""
    _, checker = opened
    checker.rule, checker.seen = objecting(), []
    return checker


@pytest.fixture
def engine(opened, told) -> Engine:
    """It can afford the first preview, whatever it has drawn before."""
    running, _ = opened
    running._pace._previews_s = 0.0
    return running


@pytest.fixture(scope="module")
def adapter(tiny_spec, tmp_path_factory) -> AdapterRef:
    from inference.bases.sd import StableDiffusion

    made = random_adapter(StableDiffusion(tiny_spec).unet, ("to_q", "to_v"), seed=1, rank=2)
    return write_adapter(tmp_path_factory.mktemp("adapter") / "style.safetensors", made)


def image_of(picture: Picture) -> Image.Image:
    return open_picture(picture.png).image


def knowing(adapter: AdapterRef, *works: Image.Image) -> AdapterRef:
    """The adapter with the looks of its works."""
    return replace(adapter, works=pack_looks([[look_at(work)] for work in works]))


def test_a_check_sees_the_source_the_previews_and_the_picture_as_it_is_delivered(engine, told):
    request = asked(image=png("red", 50), mask=half_mask(), strength=1.0)
    steps: list[Step] = []

    picture = engine.submit(request, stop=never, on_step=steps.append).result(60)

    assert isinstance(picture, Picture)
    assert [stage for stage, _ in told.seen] == ["image", "preview", "picture"]
    assert sum(step.preview is not None for step in steps) == 1
    assert told.seen[0][1].size == (50, 50), "the source, whole"
    assert np.array_equal(np.asarray(told.seen[-1][1]), pixels(picture)), "with its source outside the mask"


def test_a_check_sees_an_enlarged_picture_large(enlarging_spec):
    told = ToldChecker()

    with Engine(enlarging_spec, max_rows=1, checkers=(told,)) as engine:
        picture = make(engine, asked(enlarge=True, steps=1))

    assert [(stage, image.size) for stage, image in told.seen] == [("picture", (128, 128))]
    assert picture.width == 128


@pytest.mark.parametrize(("stage", "step"), [("image", 0), ("preview", 4), ("picture", 6)])
def test_an_objection_ends_its_request_alone_in_a_typed_end(engine, told, adapter, stage, step):
    # Four steps have no preview.
    beside = asked("beside", adapters=(adapter,), steps=4, seed=3)
    undisturbed = pixels(make(engine, beside))

    def against_the_other(image, at):
        is_beside = image.size == (32, 32) and np.abs(np.asarray(image, dtype=int) - undisturbed).max() <= 1
        return objection(at) if at == stage and not is_beside else None

    told.rule = against_the_other
    steps: list[Step] = []
    ends: list[object] = []

    refused = engine.submit(asked("no", image=png("red"), strength=1.0), stop=never, on_step=steps.append)
    refused.add_done_callback(lambda future: ends.append(future.result()))
    neighbour = engine.submit(beside, stop=never)

    assert refused.result(60) == Refused(request_id="no", objection=objection(stage), step=step)
    assert np.abs(pixels(neighbour.result(60)) - undisturbed).max() <= 1
    assert len(ends) == 1
    assert (len(steps), sum(one.preview is not None for one in steps)) == {
        "image": (0, 0),
        "preview": (3, 0),
        "picture": (6, 1),
    }[stage]
    assert not engine._running


def test_a_preview_may_be_held_back_and_the_picture_made_all_the_same(engine, told):
    told.rule = objecting("preview", ends=False)
    steps: list[Step] = []

    picture = engine.submit(asked(), stop=never, on_step=steps.append).result(60)

    assert isinstance(picture, Picture)
    assert [stage for stage, _ in told.seen] == ["preview", "picture"]
    assert [(step.index, step.preview) for step in steps] == [(number, None) for number in range(1, 7)]


@pytest.mark.parametrize("stage", ["image", "picture"])
def test_nothing_but_a_preview_can_be_held_back_alone(engine, told, stage):
    told.rule = objecting(stage, ends=False)

    assert isinstance(engine.submit(asked(image=png("red")), stop=never).result(60), Refused)


@pytest.mark.parametrize("stage", ["image", "preview", "picture"])
def test_a_check_that_breaks_lets_nothing_pass(engine, told, stage):
    def broken(image, at):
        if at == stage:
            raise RuntimeError("the model fell over")

    told.rule = broken

    failed = engine.submit(asked(image=png("red"), strength=1.0), stop=never, on_step=lambda step: None)

    with pytest.raises(CheckFailed, match=r"the check 'told' broke.* try again") as raised:
        failed.result(60)
    assert "fell over" in str(raised.value.__cause__)
    told.rule = objecting()
    assert isinstance(make(engine, asked()), Picture)


@pytest.mark.parametrize("stage", ["image", "preview", "picture"])
@pytest.mark.parametrize("is_bad", [True, False])
def test_a_stop_during_a_check_goes_before_what_the_check_finds(engine, told, stage, is_bad):
    stopped = []
    steps: list[Step] = []

    def slow(image, at):
        if at == stage:
            stopped.append(at)
            return objection(at) if is_bad else None
        return None

    told.rule = slow

    end = engine.submit(
        asked(image=png("red"), strength=1.0), stop=lambda: "withdrawn" if stopped else None, on_step=steps.append
    ).result(60)

    assert isinstance(end, Stopped)
    assert end.reason == "withdrawn"
    assert len(steps) == {"image": 0, "preview": 3, "picture": 6}[stage]
    assert not [step for step in steps if step.preview and stage == "preview"]


def test_a_receipt_names_the_checks_that_let_a_picture_pass(engine, told, adapter, tmp_path):
    plain = make(engine, asked())
    known = make(engine, asked(adapters=(knowing(adapter, Image.new("RGB", (32, 32))),)))

    assert read_receipt(json.loads(json.dumps(plain.receipt))).checks == ("told",)
    assert read_receipt(known.receipt).checks == ("told", "near_copies")
    old = {name: value for name, value in plain.receipt.items() if name != "checks"}
    assert read_receipt(old).checks == ()


@pytest.mark.parametrize("form", [lambda image: image, lambda image: image.resize((200, 200)).convert("P")])
def test_a_picture_that_is_nearly_a_work_is_refused(engine, adapter, form):
    work = form(image_of(make(engine, asked(adapters=(adapter,), seed=5)))).convert("RGB")
    other = ImageOps.invert(work)

    copied, drawn = (
        engine.submit(asked(adapters=(ref,), seed=5), stop=never)
        for ref in (knowing(adapter, other, work), replace(adapter, works=None))
    )

    end = copied.result(60)
    assert isinstance(end, Refused)
    assert (end.objection.kind, end.objection.stage, end.step) == ("near_copy", "picture", 6)
    assert "nearly the same as a work" in end.objection.sentence
    assert isinstance(drawn.result(60), Picture), "without their looks nobody knows"


def test_a_preview_that_is_nearly_a_work_is_held_back_and_the_picture_decides(engine, told, adapter):
    # The finished picture has its source outside the mask, unlike its previews.
    request = asked(adapters=(adapter,), image=png("red"), mask=half_mask(), strength=1.0)
    made = engine.submit(request, stop=never, on_step=lambda step: None).result(60)
    preview = next(image for stage, image in told.seen if stage == "preview")
    assert not is_nearly_same(look_at(preview), look_at(image_of(made)))
    engine._pace._previews_s = 0.0
    steps: list[Step] = []

    known = replace(request, adapters=(knowing(adapter, preview),))
    picture = engine.submit(known, stop=never, on_step=steps.append).result(60)

    assert isinstance(picture, Picture)
    assert [stage for stage, _ in told.seen].count("preview") == 2, "another one was drawn"
    assert not [step for step in steps if step.preview]


def test_a_variation_of_a_work_is_refused_only_if_it_stays_one(engine, adapter):
    source = png("red", 32)
    work = image_of(make(engine, asked(image=source, strength=0.0)))
    style = knowing(adapter, work)
    kept = asked(adapters=(style,), image=source, strength=0.0)
    left = asked(adapters=(style,), image=source, strength=1.0)

    ends = [engine.submit(request, stop=never).result(60) for request in (kept, left)]

    assert isinstance(ends[0], Refused)
    assert isinstance(ends[1], Picture)


def test_works_whose_looks_cannot_be_read_are_not_drawn_after(engine, adapter):
    broken = replace(adapter, works=b"no looks")

    with pytest.raises(CheckerUnusable, match="cannot be read"):
        engine.submit(asked(adapters=(broken,)), stop=never).result(60)


def test_the_shell_says_what_was_objected_to_and_ends_with_a_status_of_its_own(
    tiny_entry, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(CHECKERS, "no_red", "tests.inference.checkers:NoRed")
    out, source = tmp_path / "a.png", tmp_path / "red.png"
    source.write_bytes(png("red"))
    asks = ["--base", str(tiny_entry), "--prompt", "cat", "--image", str(source), "--strength", "1", "--out", str(out)]

    code = main([*asks, "--check", "no_red"])

    assert code == 3
    assert SENTENCE in capsys.readouterr().err
    assert not out.exists()
    assert main(asks) == 0
