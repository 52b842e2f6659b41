"""An enlarged picture is the drawn one, larger; what was sent large stays as it was sent."""

import io
import json
import shutil
import threading

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from inference.bases.sd import StableDiffusion
from inference.catalog import BaseSpec, base_spec, enlargement, fingerprint
from inference.engine import Engine
from inference.enlarger import NEIGHBOURS, Enlarger, open_enlarger
from inference.errors import BaseUnusable, InvalidRequest
from inference.messages import ImageRequest, Picture, Step, Stopped, plan
from inference.precision import has_bfloat16_units
from inference.run import generate_file
from tests.inference.test_engine import StopAt
from tests.inference.tiny_base import ENLARGER_SHAPE, a_random_enlarger


@pytest.fixture(scope="module")
def engine(enlarging_spec):
    with Engine(enlarging_spec) as opened:
        yield opened


def asked(**changes) -> ImageRequest:
    return ImageRequest(**{"id": "gen_1", "base": "tiny", "prompt": "an apple", "seed": 5, "enlarge": True, **changes})


def make(engine: Engine, request: ImageRequest, stop=lambda: None) -> Picture:
    picture = engine.submit(request, stop=stop).result(60)
    assert isinstance(picture, Picture)
    return picture


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


def encoded(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def speckled(size: int) -> Image.Image:
    levels = np.random.default_rng(2).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def left_half(size: int) -> bytes:
    mask = Image.new("L", (size, size), 0)
    mask.paste(255, (0, 0, size // 2, size))
    return encoded(mask)


def test_an_untrained_enlarger_mixes_by_distance():
    small = torch.rand(1, 3, 8, 12) * 2 - 1

    large = Enlarger(**ENLARGER_SHAPE)(small)

    assert large.shape == (1, 3, 32, 48)
    bilinear = torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear")
    assert (large - bilinear).abs().max() < 0.2


def test_a_mixture_has_no_colours_that_were_not_around():
    network = a_random_enlarger()
    torch.nn.init.normal_(network.conv_out.weight, std=5)
    torch.nn.init.zeros_(network.conv_out.weight[NEIGHBOURS * 4**2 :])
    small = torch.full((1, 3, 8, 8), -0.5)
    small[..., 4:] = 0.25

    large = network(small)

    assert large.min() >= -0.5 - 1e-5
    assert large.max() <= 0.25 + 1e-5
    # Two pixels from the edge, only one colour is around.
    torch.testing.assert_close(large[..., :8], torch.full((1, 3, 32, 8), -0.5))


def test_a_picture_enlarged_in_strips_is_the_whole_one():
    network, small = a_random_enlarger(), torch.rand(2, 3, 80, 24) * 2 - 1

    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16_units(torch.device("cpu"))):
        whole = network(small).clamp(-1, 1)

    torch.testing.assert_close(network.enlarge(small), whole, atol=0.01, rtol=0)


def test_a_stop_while_a_picture_is_enlarged_is_heeded(engine):
    small, large = StopAt(10**9), StopAt(10**9)
    engine.submit(asked(enlarge=False), stop=small).result(60)
    engine.submit(asked(), stop=large).result(60)
    first, last = 10**9 - small.left, 10**9 - large.left

    results = [engine.submit(asked(), stop=StopAt(question)).result(60) for question in range(first, last)]

    assert last - first >= 4, "it is asked for in every block and strip"
    assert {type(result) for result in results} == {Stopped}


def test_others_end_while_a_picture_is_enlarged(engine):
    is_off, ended = threading.Event(), []
    hook = engine._base.enlarger.blocks[0].register_forward_pre_hook(lambda *_: is_off.set())
    stopped = engine.submit(
        asked(id="off", steps=40, enlarge=False), stop=lambda: "withdrawn" if is_off.is_set() else None
    )
    kept = engine.submit(asked(id="kept", steps=2), stop=lambda: None)
    for name, future in (("off", stopped), ("kept", kept)):
        future.add_done_callback(lambda _, name=name: ended.append(name))

    results = [future.result(60) for future in (stopped, kept)]
    hook.remove()

    assert [type(result) for result in results] == [Stopped, Picture]
    assert ended == ["off", "kept"]


def test_an_enlarged_picture_is_the_drawn_one_larger(engine, enlarging_spec):
    small, large = make(engine, asked(enlarge=False)), make(engine, asked())

    assert (small.width, small.height) == (32, 32)
    assert (large.width, large.height) == opened(large.png).shape[:2] == (128, 128)
    network = open_enlarger(enlarging_spec.path)
    drawn = torch.from_numpy(opened(small.png)).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = ((network.enlarge(drawn)[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(opened(large.png) - expected).max() <= 1


def test_sizes_are_those_of_the_finished_picture(engine, enlarging_spec):
    planned = plan(asked(width=256, height=96), enlarging_spec)
    picture = make(engine, asked(width=256, height=96, steps=1))

    assert (planned.width, planned.height, planned.enlargement) == (64, 24, 4)
    assert (picture.width, picture.height) == (256, 96)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"width": 100}, "multiple of 32; choose 96"), ({"height": 16}, "32 to 256"), ({"width": 260}, "32 to 256")],
)
def test_a_size_that_cannot_be_enlarged_to_is_refused_in_finished_pixels(enlarging_spec, changes, said):
    with pytest.raises(InvalidRequest, match=said):
        plan(asked(**changes), enlarging_spec)


def test_a_base_without_an_enlarger_says_so(tiny_spec):
    assert enlargement(tiny_spec) == 1
    with pytest.raises(InvalidRequest, match="Tiny has no enlarger"):
        plan(asked(), tiny_spec)


def test_what_was_sent_large_is_kept_outside_the_mask_exactly(engine):
    source = speckled(128)

    redone = opened(make(engine, asked(image=encoded(source), mask=left_half(128), strength=1.0)).png)

    assert (redone[:, 64:] == np.asarray(source)[:, 64:]).all()
    assert np.abs(redone[:, :64] - np.asarray(source)[:, :64]).mean() > 10


def test_a_source_too_small_to_keep_is_enlarged_with_the_rest(engine, enlarging_spec):
    source = speckled(32)
    base = StableDiffusion(enlarging_spec)

    redone = opened(make(engine, asked(image=encoded(source), mask=left_half(32), strength=1.0)).png)

    enlarged = np.asarray(base.enlarge([source])[0], dtype=int)
    # Near the seam the new part shines through.
    assert np.abs(redone[:, 96:] - enlarged[:, 96:]).max() <= 1


def test_previews_are_never_enlarged(engine):
    steps: list[Step] = []

    engine.submit(asked(steps=9), stop=lambda: None, on_step=steps.append).result(60)

    previews = [Image.open(io.BytesIO(step.preview)) for step in steps if step.preview]
    assert all(preview.size == (32, 32) for preview in previews)


def test_a_stop_is_heeded_before_and_after_enlarging(engine):
    questions = 0

    def count() -> None:
        nonlocal questions
        questions += 1

    make(engine, asked(steps=1), stop=count)
    for allowed in (questions - 2, questions - 1):
        left = allowed

        def stop() -> str | None:
            nonlocal left
            left -= 1
            return "withdrawn" if left < 0 else None

        ended = engine.submit(asked(steps=1), stop=stop).result(60)
        assert ended == Stopped(request_id="gen_1", reason="withdrawn", step=1)


def test_the_estimate_counts_the_enlarging(engine):
    # So small a picture is enlarged in a moment, which a busy machine may hide.
    for _ in range(64):
        engine._pace.finished(1.0, 1.0, enlarged=False)
        engine._pace.finished(1.0, 9.0, enlarged=True)
    plain, enlarged = (engine.estimate(asked(steps=6, enlarge=enlarge)).ends_s for enlarge in (False, True))

    assert enlarged > plain + 5


def test_the_fingerprint_covers_the_enlarger(enlarging_spec, tiny_spec, tmp_path):
    assert fingerprint(enlarging_spec) != fingerprint(tiny_spec)

    other = moved(enlarging_spec, tmp_path)
    network = a_random_enlarger().half().state_dict()
    weights = load_file(other.path / "enlarger" / "model.safetensors")

    assert fingerprint(other) == fingerprint(enlarging_spec)
    assert all(torch.equal(weights[key], value) for key, value in network.items())


def test_a_damaged_enlarger_is_named(enlarging_spec, tmp_path):
    damaged = moved(enlarging_spec, tmp_path)
    (damaged.path / "enlarger" / "config.json").write_text(json.dumps(ENLARGER_SHAPE | {"blocks": 2}))

    with pytest.raises(BaseUnusable, match="the enlarger of the base folder 'tiny'"):
        open_enlarger(damaged.path)


def test_stock_diffusers_opens_a_folder_with_an_enlarger(enlarging_spec):
    pipeline = StableDiffusionPipeline.from_pretrained(enlarging_spec.path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)

    assert pipeline("an apple", num_inference_steps=1).images[0].size == (32, 32)


def test_the_shell_enlarges_when_told(enlarging_spec, tmp_path):
    entry = enlarging_spec.path.with_suffix(".toml")

    picture = generate_file(base=str(entry), prompt="cat", seed=1, enlarge=True, out=tmp_path / "cat.png")

    assert (picture.width, picture.height) == Image.open(tmp_path / "cat.png").size == (128, 128)


def moved(spec: BaseSpec, folder) -> BaseSpec:
    shutil.copytree(spec.path, folder / "tiny")
    shutil.copy(spec.path.with_suffix(".toml"), folder / "tiny.toml")
    return base_spec(str(folder / "tiny.toml"))
