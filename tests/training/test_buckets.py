"""Wide and tall works are learnt in their own shape, and a step over several shapes is one step."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from inference.adapters.stack import StackedAdapters
from inference.bases.sd import StableDiffusion
from inference.catalog import base_spec
from tests.training.portfolio import write_portfolio
from tests.training.test_training import request_for, run_quietly, started
from training import state, steps
from training.buckets import LEAST_AREA, bucket_for, wide_buckets
from training.encode import encode, versions
from training.errors import RequestInvalid
from training.measure import make_grid, measure_gain
from training.messages import StateChanged
from training.pipeline import train
from training.recipe import Recipe
from training.review.portfolio import review_portfolio
from training.works import works_in

BASES = {
    "openicons": {"size": 128, "step": 32, "max_size": 128},
    "sd": {"size": 512, "step": 64, "max_size": 768},
    "sdxl": {"size": 1024, "step": 32, "max_size": 1536},
    "flux2": {"size": 1024, "step": 16, "max_size": 1536},
    "tiny": {"size": 32, "step": 8, "max_size": 64},
}
MIXED = ((128, 32), (48, 48), (48, 80), (90, 54), (48, 48))
"""(width, height) of works that the tiny base learns as 64 x 16, 32 x 32, 24 x 40 and 40 x 24."""
RECIPE = Recipe(name="r", base="tiny", rank=2, learning_rate=3e-3, steps=4, batch=6, text_targets=("q_proj", "v_proj"))
edges = st.integers(min_value=1, max_value=20_000)


# --- which bucket


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_every_bucket_is_a_picture_that_the_base_draws_and_costs_what_a_square_costs(base):
    square, *wide = wide_buckets(**base)

    assert square == (base["size"], base["size"])
    for width, height in wide:
        assert width % base["step"] == height % base["step"] == 0
        assert base["size"] < width <= base["max_size"]
        assert height >= base["step"]
        assert LEAST_AREA <= width * height / base["size"] ** 2 <= 1
    assert len(wide) <= 16


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@given(width=edges, height=edges)
def test_no_other_bucket_keeps_more_of_a_work(base, width, height):
    every = {turned for bucket in wide_buckets(**base) for turned in (bucket, bucket[::-1])}

    bucket = bucket_for(width, height, **base)

    assert bucket in every
    assert kept((width, height), bucket) >= max(kept((width, height), other) for other in every) - 1e-9
    assert bucket_for(height, width, **base) == bucket[::-1]


def kept(work: tuple[int, int], bucket: tuple[int, int]) -> float:
    """Share of a work that is left when it is cut to a bucket's shape."""
    own, other = work[0] / work[1], bucket[0] / bucket[1]
    return min(own / other, other / own)


@pytest.mark.parametrize(
    ("work", "bucket"),
    [
        ((4000, 4000), (1024, 1024)),
        ((1050, 1000), (1024, 1024)),
        ((1920, 1080), (1344, 768)),
        ((2480, 3508), (832, 1216)),
        ((3000, 1000), (1536, 672)),
        ((40, 9000), (672, 1536)),
    ],
)
def test_usual_works_keep_their_shape(work, bucket):
    assert bucket_for(*work, **BASES["sdxl"]) == bucket


@given(width=edges, height=edges)
def test_a_base_that_draws_squares_alone_learns_squares_alone(width, height):
    assert bucket_for(width, height, **BASES["openicons"]) == (128, 128)


# --- what is encoded


def banner(width: int = 256, height: int = 64) -> Image.Image:
    """Red at its left end, blue at its right one, of many colours between."""
    image = Image.effect_noise((width, height), 90).convert("RGB")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width // 16, height), fill="red")
    pen.rectangle((width - width // 16, 0, width, height), fill="blue")
    return image


def test_a_wide_work_is_encoded_with_both_of_its_ends(tiny_base, tmp_path, monkeypatch):
    write_portfolio(tmp_path, 8)
    banner().save(tmp_path / "banner.png")
    banner().transpose(Image.Transpose.ROTATE_270).save(tmp_path / "poster.png")
    shown = []
    encode_images = tiny_base.encode_images
    monkeypatch.setattr(tiny_base, "encode_images", lambda images: shown.extend(images) or encode_images(images))

    encoded(tiny_base, tmp_path, crops=0, flips=False)

    [wide] = [image for image in shown if image.width > image.height]
    [tall] = [image for image in shown if image.width < image.height]
    assert (wide.size, tall.size) == ((64, 16), (16, 64))
    for first, last in (
        (wide.getpixel((1, 8)), wide.getpixel((62, 8))),
        (tall.getpixel((8, 1)), tall.getpixel((8, 62))),
    ):
        assert first == pytest.approx((255, 0, 0), abs=4)
        assert last == pytest.approx((0, 0, 255), abs=4)


def encoded(base: StableDiffusion, works: Path, *, crops: int = 1, flips: bool = True):
    review = review_portfolio(works_in(works), size=32, min_works=8, is_whole=False)
    quiet = {"seed": 0, "go_on": lambda: None}
    return encode(base, review.good, trigger="xovaj", style_words=(), crops=crops, flips=flips, **quiet)


@pytest.mark.parametrize(("width", "height", "bucket"), [(800, 200, (256, 64)), (200, 800, (64, 256))])
def test_moved_versions_have_the_shape_of_the_whole_one(width, height, bucket):
    plain = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(plain).rectangle((width // 4, height // 4, width // 2, height // 2), fill="black")

    for image in (plain, banner(width, height)):
        made = versions(image, bucket=bucket, crops=3, flips=True, seed="1")

        assert {one.size for one in made} == {bucket}
        assert len({one.tobytes() for one in made}) == 8
        assert all(one.getpixel((0, 0)) == (255, 255, 255) for one in made) == (image is plain)


def test_a_moved_version_shows_nothing_out_of_proportion():
    """A disc stays as wide as it is high, on a plain ground and cut out of a motley one."""
    for ground in (Image.new("L", (400, 100), 255), Image.effect_noise((400, 100), 30).point(lambda v: 128 + v // 3)):
        ImageDraw.Draw(ground).ellipse((170, 20, 230, 80), fill=0)
        for image in versions(ground.convert("RGB"), bucket=(256, 64), crops=4, flips=False, seed="2"):
            left, top, right, bottom = image.convert("L").point(lambda v: 255 * (v < 40)).getbbox()
            assert abs((right - left) - (bottom - top)) <= 2


def test_works_stand_in_their_order_whatever_their_shapes(tiny_base, tmp_path):
    works = write_portfolio(tmp_path, 10, shapes=MIXED)
    data = encoded(tiny_base, works)

    for work, path in enumerate(sorted(works.iterdir())):
        width, height = bucket_for(*Image.open(path).size, **BASES["tiny"])
        own = versions(Image.open(path), bucket=(width, height), crops=1, flips=True, seed=f"0 {work}")
        assert data.latents_VCHW[work].shape == (4, 4, height // 4, width // 4)
        torch.testing.assert_close(data.latents_VCHW[work], tiny_base.encode_images(own), atol=1e-5, rtol=1e-4)


# --- what is learnt


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    return write_portfolio(tmp_path_factory.mktemp("mixed") / "works", 15, shapes=MIXED)


@pytest.fixture
def training(tiny_base, mixed, tmp_path) -> state.Training:
    """An adapter that already changes something, so that every part of it has a gradient."""
    return moved(started(tiny_base, mixed, RECIPE, tmp_path))


def moved(training: state.Training) -> state.Training:
    for name, tensor in training.parameters.items():
        tensor.data.add_(0.01 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(name))))
    return training


def gradients(training: state.Training) -> dict[str, torch.Tensor]:
    return {name: tensor.grad.clone() for name, tensor in training.parameters.items()}


def test_a_step_over_several_shapes_is_the_sum_of_its_rows(training):
    rows = steps._rows_of(training)
    assert len(steps._parts(rows, len(rows))) >= 3, "the rows have several shapes"
    [loss] = steps._gradients([training], len(rows))
    in_parts = gradients(training)

    training.optimizer.zero_grad(set_to_none=True)
    errors = [steps._weighted_errors([row]) for row in rows]
    torch.cat(errors).sum().backward()

    assert loss == pytest.approx(sum(error.item() for error in errors), rel=1e-5)
    for name, gradient in gradients(training).items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(in_parts[name], gradient, atol=1e-7, rtol=1e-3, msg=name)


def test_parts_hold_one_shape_each_and_every_row_once(training):
    rows = steps._rows_of(training)

    for rows_at_once in (1, 2, len(rows)):
        parts = steps._parts(rows, rows_at_once)

        assert all(len({training.data.shape_of(row.look.work) for row in part}) == 1 for part in parts)
        assert max(len(part) for part in parts) <= rows_at_once
        assert sorted(rows.index(row) for part in parts for row in part) == list(range(len(rows)))


def test_rows_of_one_shape_are_taken_as_they_come(tiny_base, portfolio, tmp_path):
    rows = steps._rows_of(started(tiny_base, portfolio, RECIPE, tmp_path))

    assert steps._parts(rows, 4) == [rows[:4], rows[4:]]


def test_creators_with_works_of_several_shapes_learn_together_what_they_learn_alone(tiny_base, mixed, tmp_path):
    stack = StackedAdapters(tiny_base.denoiser)

    def begun(seed: int) -> state.Training:
        first = started(tiny_base, mixed, RECIPE)
        recipe = replace(RECIPE, batch=4 + 2 * seed)
        data = first.data if seed else encoded(tiny_base, mixed, crops=0)
        return state.begin(
            tiny_base, stack, data, first.split, recipe, seed=seed, fingerprint="", folder=tmp_path / f"{seed}"
        )

    together = [begun(0), begun(1)]
    for _ in steps.take_steps_together(together):
        pass

    for seed, one in enumerate(together):
        alone = begun(seed)
        for _ in steps.take_steps(alone):
            pass
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(one.parameters[name], tensor, atol=2e-5, rtol=1e-3, msg=name)


def test_held_out_works_are_asked_about_in_their_own_shape(tiny_base, mixed):
    training = started(tiny_base, mixed, replace(RECIPE, steps=30, learning_rate=5e-3))
    works, quiet = training.split.trained_works, {"go_on": lambda: None}
    asked = {"gamma": 5.0, "seed": 1, **quiet}

    grid = make_grid(tiny_base, training.stack, training.data, works, **asked)

    for questions in grid.questions:
        owners = {works[owner] for owner in questions.owner_R.tolist()}
        assert {training.data.shape_of(work) for work in owners} == {questions.noised_RCHW.shape[1:]}
    assert len(grid.questions) == len(set(MIXED))

    for _ in steps.take_steps(training):
        pass
    gains = measure_gain(tiny_base, training.stack, grid, training.adapter, **quiet).per_work
    for number, work in enumerate(works):
        one = make_grid(tiny_base, training.stack, training.data, [work], **asked)
        [own] = measure_gain(tiny_base, training.stack, one, training.adapter, **quiet).per_work
        assert gains[number] == pytest.approx(own, abs=1e-4)
    assert min(gains) > 0


# --- whole trainings


def test_wide_and_tall_works_train_to_the_end_and_through_interruptions(mixed, tiny_entry, tiny_recipe, tmp_path):
    whole, _ = run_quietly(request_for(mixed, tiny_entry, tiny_recipe, tmp_path / "whole"))
    again = request_for(mixed, tiny_entry, tiny_recipe, tmp_path / "again")

    for stop_after in (12, 16, 30):
        questions = iter(range(stop_after))
        stopped, _ = run_quietly(again, stop=lambda questions=questions: next(questions, None) is None)
        assert stopped.outcome == "interrupted"
    ended, _ = run_quietly(again)

    assert (whole.outcome, ended.outcome) == ("passed", "passed")
    assert ended.adapter.read_bytes() == whole.adapter.read_bytes()


@pytest.fixture
def only_squares(tiny_entry, tmp_path) -> Path:
    """The entry of the same base, which is said to draw nothing but squares."""
    text = tiny_entry.read_text().replace('path = "tiny"', f'path = "{tiny_entry.parent / "tiny"}"')
    entry = tmp_path / "tiny.toml"
    entry.write_text(text.replace("max_size = 64", "max_size = 32"))
    assert base_spec(str(entry)).max_size == base_spec(str(entry)).size
    return entry


def test_squares_are_learnt_as_over_a_base_that_draws_nothing_else(portfolio, tiny_entry, only_squares):
    learnt = []
    for entry in (tiny_entry, only_squares):
        training = started(StableDiffusion(base_spec(str(entry))), portfolio, RECIPE)
        learnt.append(training)
        for _ in steps.take_steps(training):
            pass

    one, other = learnt
    assert all(map(torch.equal, one.data.latents_VCHW, other.data.latents_VCHW))
    assert all(torch.equal(tensor, other.parameters[name]) for name, tensor in one.parameters.items())


def test_a_training_does_not_go_on_with_other_shapes(mixed, tiny_entry, only_squares, tiny_recipe, tmp_path):
    """What a base may draw stands in its entry, and that may be changed between two runs."""
    seen = []
    request = request_for(mixed, tiny_entry, tiny_recipe, tmp_path)
    first = train(request, on_event=seen.append, stop=lambda: StateChanged(state="training") in seen)
    assert first.outcome == "interrupted"

    with pytest.raises(RequestInvalid, match="belongs to other works, another recipe, base or seed"):
        run_quietly(replace(request, base=str(only_squares)))
