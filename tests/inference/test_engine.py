"""Pictures share a forward and nothing else: they join, leave, stop and fail alone."""

import io
import json
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.adapters.layer import AdaptedLayer
from inference.adapters.manifest import file_sha256
from inference.catalog import SAMPLERS
from inference.denoise import Batch
from inference.engine import Engine
from inference.errors import AdapterRefused, EngineClosed, EngineFull, ImageRefused, InvalidRequest, TooLate
from inference.fairness import Turn
from inference.messages import FORGOTTEN, AdapterRef, ImageRequest, Picture, Stopped, plan
from inference.pace import Load, forecast
from inference.receipt import differences, read_receipt, request_again
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.slow_path import slow

ENDINGS = ("to_q", "to_v", "to_out.0", "conv1")


@pytest.fixture(scope="module")
def engine(tiny_spec):
    with Engine(tiny_spec, max_rows=4) as running:
        yield running


@pytest.fixture(scope="module")
def adapters(tiny_spec, tmp_path_factory) -> list[AdapterRef]:
    from inference.bases.sd import StableDiffusion

    folder, base = tmp_path_factory.mktemp("adapters"), StableDiffusion(tiny_spec)
    made = [random_adapter(base.unet, ENDINGS, seed=seed, rank=2 + seed) for seed in range(3)]
    text_layers = [
        random_adapter(base.text_stack.model, ("v_proj", "fc2"), seed=seed, rank=2).layers for seed in (3, 4)
    ]
    made[0], made[2] = (replace(made[n], text_layers=found) for n, found in zip((0, 2), text_layers, strict=True))
    return [write_adapter(folder / f"{number}.safetensors", adapter) for number, adapter in enumerate(made)]


def asked(name: str = "gen_1", **changes) -> ImageRequest:
    return ImageRequest(**{"id": name, "base": "tiny", "prompt": "an apple", "seed": 1, **changes})


def never() -> None:
    return None


def make(engine: Engine, request: ImageRequest) -> Picture:
    result = engine.submit(request, stop=never).result(timeout=60)
    assert isinstance(result, Picture)
    return result


def pixels(picture: Picture | bytes) -> np.ndarray:
    content = picture.png if isinstance(picture, Picture) else picture
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=int)


def png(colour: str, size: int = 32) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(target, "PNG")
    return target.getvalue()


def half_mask(size: int = 32) -> bytes:
    mask = Image.new("L", (size, size), 0)
    mask.paste(255, (0, 0, size // 2, size))
    target = io.BytesIO()
    mask.save(target, "PNG")
    return target.getvalue()


def another(ref: AdapterRef, folder: Path) -> AdapterRef:
    """The same adapter in a file of its own, under a hash of its own."""
    path = folder / "another.safetensors"
    save_file(load_file(ref.path), path, metadata={"format": "pt", "folder": str(folder)})
    return AdapterRef(path=path, sha256=file_sha256(path))


class StopAt:
    """Says stop from its n-th question on."""

    def __init__(self, question: int) -> None:
        self.left = question

    def __call__(self) -> str | None:
        self.left -= 1
        return "withdrawn" if self.left < 0 else None


@pytest.mark.parametrize(
    ("sampler", "guidance"),
    [("ddim", 3.0), ("euler", 1.0), ("dpmpp_2m", 4.5), ("euler_a", 3.0), ("ddpm", 2.0), ("lcm", 1.0)],
)
def test_a_picture_is_what_stock_diffusers_draws(engine, tiny_spec, adapters, sampler, guidance):
    import diffusers

    kind = SAMPLERS[sampler].scheduler.removeprefix("diffusers:")
    stock = StableDiffusionPipeline.from_pretrained(tiny_spec.path, safety_checker=None)
    stock.scheduler = getattr(diffusers, kind).from_config(stock.scheduler.config)
    stock.load_lora_weights(str(adapters[0].path))
    stock.set_progress_bar_config(disable=True)

    ours = make(engine, asked(adapters=(adapters[0],), sampler=sampler, guidance=guidance, steps=5, seed=9))

    theirs = stock(
        "an apple",
        negative_prompt="",
        num_inference_steps=5,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(9),
        width=32,
        height=32,
    ).images[0]
    assert np.abs(pixels(ours) - np.asarray(theirs, dtype=int)).max() <= 1


def test_a_seed_gives_the_same_picture_whoever_shares_the_batch(engine, adapters):
    requests = [
        asked("a", adapters=(adapters[0],), steps=6),
        asked("b", adapters=(adapters[1],), steps=9, sampler="dpmpp_2m", seed=2),
        asked("c", steps=4, guidance=1.0, seed=3),
        asked("d", adapters=(adapters[2], adapters[0]), steps=7, sampler="euler", seed=4, width=64),
        asked("e", adapters=(adapters[1],), steps=5, image=png("red"), strength=0.7, seed=5),
        asked("f", adapters=(adapters[0],), steps=6, sampler="euler_a", seed=6),
    ]
    alone = [make(engine, request) for request in requests]

    together = [future.result(60) for future in [engine.submit(request, stop=never) for request in requests]]

    for single, shared in zip(alone, together, strict=True):
        assert np.abs(pixels(single) - pixels(shared)).max() <= 1
    assert len({picture.png for picture in alone}) == len(requests)


def test_a_forgotten_adapter_leaves_nothing_in_memory(engine, adapters, tmp_path):
    copied = replace(adapters[1], path=tmp_path / "copied.safetensors")
    copied.path.write_bytes(adapters[1].path.read_bytes())
    worn = make(engine, asked(adapters=(copied,)))
    copied.path.unlink()
    assert pixels(make(engine, asked(adapters=(copied,)))).tolist() == pixels(worn).tolist(), "kept open until now"

    engine.forget(copied.sha256)

    with pytest.raises(AdapterRefused, match="there is no adapter file"):
        make(engine, asked(adapters=(copied,)))
    layers = [layer for layer in engine._base.denoiser.modules() if isinstance(layer, AdaptedLayer)]
    assert layers
    assert not any(layer.parts for layer in layers)


def test_a_slow_load_does_not_hold_up_who_runs_or_waits_behind_it(engine, adapters, tmp_path):
    ref = another(adapters[1], tmp_path)
    path = slow(ref.path)
    make(engine, asked(adapters=(adapters[0],)))
    first = engine.submit(asked("slow", adapters=(replace(ref, path=path),), steps=3), stop=never)
    assert path.is_asked.wait(60)

    others = [make(engine, asked(f"{number}", adapters=(adapters[0],), seed=number)) for number in range(6)]

    assert len(others) == 6
    assert not first.done()
    path.go_on.set()
    assert isinstance(first.result(60), Picture)


def test_who_waits_for_nothing_but_an_adapter_can_be_stopped(engine, adapters, tmp_path):
    ref, told = another(adapters[1], tmp_path), threading.Event()
    path = slow(ref.path)
    waiting = engine.submit(
        asked(adapters=(replace(ref, path=path),)), stop=lambda: "withdrawn" if told.is_set() else None
    )
    assert path.is_asked.wait(60)

    told.set()

    assert waiting.result(10) == Stopped(request_id="gen_1", reason="withdrawn", step=0)
    path.go_on.set()


def test_a_forgotten_adapter_ends_the_pictures_that_name_it_and_no_other(engine, adapters):
    gate, seen = threading.Event(), threading.Event()

    def hold(_):
        seen.set()
        gate.wait(30)

    worn = engine.submit(asked("worn", adapters=(adapters[0], adapters[1])), stop=never, on_step=hold)
    assert seen.wait(60)
    waiting = engine.submit(asked("waiting", adapters=(adapters[1],)), stop=never)
    other = engine.submit(asked("other", adapters=(adapters[2],)), stop=never)

    engine.forget(adapters[1].sha256)
    anew = engine.submit(asked("anew", adapters=(adapters[1],)), stop=never)
    gate.set()

    assert (worn.result(60).reason, waiting.result(60).reason) == (FORGOTTEN, FORGOTTEN)
    assert isinstance(other.result(60), Picture)
    assert isinstance(anew.result(60), Picture)


def test_an_adapter_that_was_asked_for_ahead_is_there_when_its_picture_comes(tiny_spec, adapters, tmp_path):
    ref = another(adapters[0], tmp_path)
    with Engine(tiny_spec, max_rows=1) as engine:
        engine.prefetch(ref)
        while not engine.adapter_tiers()["host"].num_bytes:
            time.sleep(0.01)
        ref.path.unlink()

        assert isinstance(make(engine, asked(adapters=(ref,))), Picture)
        assert engine.adapter_tiers()["host"].misses == 1
    engine.prefetch(adapters[1])


def test_every_picture_is_made_where_hardly_an_adapter_fits(tiny_spec, adapters):
    with Engine(tiny_spec, max_rows=2, host_bytes=1) as engine:
        futures = [
            engine.submit(asked(f"{number}", adapters=(adapters[number % 3], adapters[0])), stop=never)
            for number in range(9)
        ]

        assert all(isinstance(future.result(60), Picture) for future in futures)


def test_every_step_is_told_with_a_preview_now_and_then(engine):
    steps = []

    picture = engine.submit(asked(steps=9), stop=never, on_step=steps.append).result(60)

    assert isinstance(picture, Picture)
    assert [(step.index, step.total) for step in steps] == [(number, 9) for number in range(1, 10)]
    previews = {step.index: step.preview for step in steps if step.preview}
    assert 1 <= len(previews) <= 2
    assert set(previews) <= {4, 8}
    assert all(Image.open(io.BytesIO(preview)).format == "JPEG" for preview in previews.values())


def test_a_stop_at_any_moment_leaves_no_picture_and_the_neighbours_unharmed(engine, adapters):
    kept = asked("kept", adapters=(adapters[0],), seed=11)
    undisturbed = pixels(make(engine, kept))
    counted = StopAt(10**9)
    engine.submit(asked("counted", steps=2), stop=counted).result(60)
    questions = 10**9 - counted.left

    for question in range(questions):
        stopping = engine.submit(asked("off", steps=2, seed=12), stop=StopAt(question))
        neighbour = engine.submit(kept, stop=never)

        stopped = stopping.result(60)

        assert isinstance(stopped, Stopped), f"question {question} of {questions} was not heeded"
        assert stopped.reason == "withdrawn"
        assert np.abs(pixels(neighbour.result(60)) - undisturbed).max() <= 1
    assert questions > 2 * len(engine._base.sub_blocks())


def test_a_stop_between_sub_blocks_gives_the_step_up(engine):
    asks_per_step = len(engine._base.sub_blocks()) + 1

    stopped = engine.submit(asked(steps=6), stop=StopAt(2 * asks_per_step + 3)).result(60)

    assert isinstance(stopped, Stopped)
    assert stopped.step <= 2


def test_a_request_that_waits_can_be_stopped_or_cancelled(tiny_spec):
    gate = threading.Event()
    with Engine(tiny_spec, max_rows=1) as engine:
        first = engine.submit(asked(steps=2), stop=never, on_step=lambda _: gate.wait(30) and None)
        stopped = engine.submit(asked("off"), stop=lambda: "withdrawn")
        cancelled = engine.submit(asked("gone"), stop=never)
        assert cancelled.cancel()
        gate.set()

        assert stopped.result(60) == Stopped(request_id="off", reason="withdrawn", step=0)
        assert isinstance(first.result(60), Picture)
        assert wait([cancelled], timeout=60).not_done == set()
    assert cancelled.cancelled()


def test_a_request_that_cannot_be_made_fails_alone(engine, adapters, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no adapter")
    bad_adapter = AdapterRef(path=tmp_path / "bad.safetensors", sha256="00")

    def broken_listener(_):
        raise RuntimeError("the listener broke")

    def broken_stop():
        raise RuntimeError("the stop function broke")

    good = engine.submit(asked(adapters=(adapters[0],)), stop=never)
    failing = {
        ImageRefused: engine.submit(asked(image=b"not a picture"), stop=never),
        AdapterRefused: engine.submit(asked(adapters=(bad_adapter,)), stop=never),
    }
    listening = engine.submit(asked(), stop=never, on_step=broken_listener)
    stopping = engine.submit(asked(), stop=broken_stop)

    for kind, future in failing.items():
        assert isinstance(future.exception(60), kind)
    assert "listener broke" in str(listening.exception(60))
    assert "stop function broke" in str(stopping.exception(60))
    assert isinstance(good.result(60), Picture)


def test_weights_that_explode_fail_only_their_own_picture(engine, adapters, tmp_path):
    huge = random_adapter(engine._base.unet, ("conv_in",), seed=1, rank=2)
    for change in huge.layers.values():
        change.up.mul_(1e38)
        change.down.mul_(1e38)
    exploding = engine.submit(asked(adapters=(write_adapter(tmp_path / "x.safetensors", huge),)), stop=never)
    neighbour = engine.submit(asked(adapters=(adapters[0],)), stop=never)

    assert "not finite" in str(exploding.exception(60))
    assert isinstance(neighbour.result(60), Picture)


def test_a_variation_keeps_less_of_its_source_the_stronger_it_is(engine):
    source = png("red")
    kept = make(engine, asked(image=source, strength=0.0))

    distances = [
        np.abs(pixels(make(engine, asked(image=source, strength=strength, steps=10))) - pixels(kept)).mean()
        for strength in (0.0, 0.3, 0.6, 0.9)
    ]

    assert distances[0] == 0
    assert distances == sorted(distances)


def test_a_redo_of_a_part_leaves_the_rest(engine):
    source = png("red")

    redone = pixels(make(engine, asked(image=source, strength=1.0, mask=half_mask())))

    assert (redone[:, 16:] == pixels(source)[:, 16:]).all()
    assert np.abs(redone[:, :16] - pixels(source)[:, :16]).mean() > 10


def test_a_long_prompt_says_what_was_not_read(engine):
    picture = make(engine, asked(prompt="an apple on a wooden table"))

    assert "wooden" in picture.notes[0] or "table" in picture.notes[0]


def test_a_long_prompt_never_costs_the_style(tiny_base):
    prompt, left_out = tiny_base.fit_prompt("an apple, on a table", "vozix style")

    assert prompt == "an, vozix style"
    assert left_out == "apple, on a table"
    assert tiny_base.fit_prompt("", "vozix style") == ("vozix style", "")
    assert tiny_base.fit_prompt("cat", "") == ("cat", "")


def test_a_full_engine_says_when_to_come_back(tiny_spec):
    gate = threading.Event()
    with Engine(tiny_spec, max_rows=1, max_waiting=2) as engine:
        futures: list[Future] = [engine.submit(asked(steps=2), stop=never, on_step=lambda _: gate.wait(30) and None)]
        while engine._waiting:
            time.sleep(0.01)
        futures += [engine.submit(asked(), stop=never) for _ in range(2)]

        with pytest.raises(EngineFull, match="2 pictures are waiting"):
            engine.submit(asked(), stop=never)
        assert engine.estimate(asked()).begins_s > 0
        gate.set()
        assert all(isinstance(future.result(60), Picture) for future in futures)
    assert engine.estimate(asked()).begins_s == 0


def test_what_an_engine_tells_of_its_speed_gives_its_own_estimate(tiny_spec):
    with Engine(tiny_spec) as engine:
        engine.submit(asked(), stop=never).result(60)
        told, own = engine.speed(), engine.estimate(asked())

    alone = forecast(
        [],
        [],
        Load(steps=6, all_steps=6, questions=2, admission_s=told.admission_s, finishing_s=told.finishing_s),
        max_rows=told.rows,
        max_questions=told.questions,
        step_seconds=told.step_seconds,
    )
    assert own.ends_s > 0
    assert alone.ends_s == pytest.approx(own.ends_s, rel=0.2)


def test_who_asks_for_one_picture_does_not_wait_behind_who_asks_for_forty(tiny_spec):
    ended: list[str] = []
    with Engine(tiny_spec, max_rows=2) as engine:
        futures: list[Future] = []
        for number in range(40):
            futures.append(engine.submit(asked(f"anna {number}", steps=2), stop=never, turn=Turn(client="anna")))
            futures[-1].add_done_callback(lambda future: ended.append(future.result().request_id))
        while not ended:
            time.sleep(0.001)
        before = len(ended)
        mine = engine.submit(asked("ben", steps=2), stop=never, turn=Turn(client="ben"))
        mine.add_done_callback(lambda future: ended.append(future.result().request_id))

        assert (
            engine.estimate(asked(), turn=Turn(client="ben")).begins_s
            < engine.estimate(asked(), turn=Turn(client="anna")).begins_s
        )
        mine.result(60)
        # Those that are made already, and the one that began while this line was reached.
        assert ended.index("ben") - before <= 2 * 2
        assert all(isinstance(future.result(60), Picture) for future in futures)


def test_what_would_be_finished_too_late_is_not_begun(tiny_spec):
    gate = threading.Event()
    with Engine(tiny_spec, max_rows=1) as engine:
        first = engine.submit(asked(steps=50), stop=never, on_step=lambda _: gate.wait(30) and None)
        seconds = engine.estimate(asked(steps=50)).ends_s

        with pytest.raises(TooLate, match=r"would take about \d+ s from now, 0\.001 s were asked for"):
            engine.submit(asked(), stop=never, within_s=0.001)
        second = engine.submit(asked(), stop=never, within_s=100 * seconds)
        gate.set()

        assert isinstance(first.result(60), Picture)
        assert isinstance(second.result(60), Picture)


def test_a_picture_in_a_style_of_a_base_that_weighs_styles_counts_three_questions(tiny_spec, adapters):
    weighing = replace(tiny_spec, style_guidance=3.0)

    assert plan(asked(), tiny_spec).num_asks == plan(asked(adapters=adapters[:1]), tiny_spec).num_asks == 2
    assert plan(asked(adapters=adapters[:1]), weighing).num_asks == 3
    assert plan(asked(adapters=adapters[:1], guidance=1.0), weighing).num_asks == 2
    assert plan(asked(guidance=1.0), weighing).num_asks == 1


def test_a_closed_engine_ends_everyone_and_takes_nobody(tiny_spec):
    engine = Engine(tiny_spec, max_rows=1)
    futures = [engine.submit(asked(steps=100), stop=never) for _ in range(3)]

    engine.close()
    engine.close()

    assert [future.result(1).reason for future in futures] == ["closing"] * 3
    with pytest.raises(EngineClosed):
        engine.submit(asked(), stop=never)


def test_an_impossible_request_is_refused_at_the_door(engine):
    with pytest.raises(InvalidRequest, match="1 to 100"):
        engine.submit(asked(steps=1000), stop=never)


def test_a_receipt_makes_the_picture_again(engine, adapters, tmp_path):
    begun = threading.Event()
    beside = engine.submit(asked("b", steps=40), stop=never, on_step=lambda _: begun.set())
    assert begun.wait(60)
    picture = make(
        engine, asked(adapters=(adapters[2],), image=png("red"), strength=0.7, sampler="euler_a", steps=7, seed=5)
    )
    beside.result(60)
    written = read_receipt(json.loads(json.dumps(picture.receipt)))

    files = {adapters[2].sha256: adapters[2].path}
    again = make(engine, request_again(written, id="again", adapters=files, image=png("red")))

    assert np.abs(pixels(again) - pixels(picture)).max() <= 1
    assert written.largest_batch >= 4, "its own two questions and its neighbour's"
    now = read_receipt(again.receipt)
    assert replace(now, largest_batch=written.largest_batch) == written
    assert differences(written, now) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": None}, "was made from the image with the SHA-256"),
        ({"mask": b"none was sent"}, "was made without mask; leave it out"),
        ({"adapters": {}}, "went through the adapter"),
    ],
)
def test_a_receipt_asks_for_the_files_it_names(engine, adapters, change, reason):
    written = read_receipt(make(engine, asked(adapters=(adapters[0],), image=png("red"), strength=0.5)).receipt)
    given = {"adapters": {adapters[0].sha256: adapters[0].path}, "image": png("red")} | change

    with pytest.raises(InvalidRequest, match=reason):
        request_again(written, id="again", **given)


def test_where_memory_ends_fewer_are_let_in(tiny_spec, monkeypatch):
    truly = Batch.step

    def step(batch: Batch) -> None:
        if batch.num_forward_rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        truly(batch)

    monkeypatch.setattr(Batch, "step", step)
    with Engine(tiny_spec, max_rows=4, max_questions=8) as engine:
        futures = [engine.submit(asked(f"{number}"), stop=never) for number in range(4)]

        assert all(isinstance(future.result(60), Picture) for future in futures)
        assert engine.max_questions <= 4
