"""What every family of bases keeps, each on a random base of its true architecture: a new one costs one line."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from PIL import Image, ImageOps
from safetensors.torch import save_file

from inference.adapters.cache import AdapterCache
from inference.adapters.files import diffusers_names, kohya_names, places_of
from inference.adapters.manifest import file_sha256, read_manifest
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import Adapter, StackedAdapters, target_layers
from inference.bases import FAMILIES, Base, open_base
from inference.catalog import FLOW_SAMPLERS, SAMPLERS, BaseSpec, base_spec, list_bases, size_step
from inference.engine import Engine
from inference.enlarger import save_enlarger
from inference.errors import BaseUnusable, InvalidRequest, WrongBase
from inference.messages import AdapterRef, ImageRequest, Picture, plan
from inference.pixels import images_of, pixels_of
from tests.inference.random_adapters import random_adapter
from tests.inference.tiny_base import ENLARGER_SHAPE, a_random_enlarger, write_tiny_base
from tests.inference.tiny_families import TEXT_LENGTH, write_tiny_flux2, write_tiny_sdxl
from tests.training.portfolio import drawing, write_portfolio
from training import state, steps
from training.encode import encode
from training.loss import add_noise, target_of
from training.measure import make_grid, measure_gain
from training.messages import TrainingRequest
from training.pipeline import train
from training.plan import split_works
from training.recipe import Recipe, recipe_for
from training.review.portfolio import review_portfolio
from training.works import works_in

CONFIGS = Path(__file__).parents[2] / "configs"
CLIP = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
RECIPE = """\
rank = 2
learning_rate = 3e-3
steps = 4
batch = 4
crops = 0
heldout_every = 4
checkpoint_every = 4
text_targets = {text_targets}
[gate]
min_heldout_gain = -1.0
max_drift = 1.0
max_copies = 100
max_member_gap = 10.0
max_recall = 1.0
min_hand = -100.0
"""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family, and where stock diffusers differs from one to the next."""

    write: Callable[[Path], Path]
    pipeline: str
    example: str
    denoiser: str = "unet"
    text_targets: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """Of a call of the stock pipeline."""
    run: dict[str, Callable[[int], Any]] = field(default_factory=dict)
    """Of `set_timesteps` of the stock scheduler, from the number of steps, instead of that number."""
    has_kohya_names: bool = True
    states: Callable[[Any], torch.Tensor] = lambda reading: reading
    """The part of a reading that the stock pipeline's `encode_prompt` gives first."""
    unguided: dict[str, Any] = field(default_factory=lambda: {"do_classifier_free_guidance": False})
    """Of that call."""


FLOW = {
    "sigmas": lambda steps: np.linspace(1, 1 / steps, steps),
    "mu": lambda steps: compute_empirical_mu(image_seq_len=16, num_steps=steps),
}
STOCK = {
    "sd": Family(
        write=partial(write_tiny_base, zero_snr=False),
        pipeline="StableDiffusionPipeline",
        example="stable-diffusion-1.5",
        text_targets=CLIP,
    ),
    "sdxl": Family(
        write=write_tiny_sdxl,
        pipeline="StableDiffusionXLPipeline",
        example="stable-diffusion-xl",
        text_targets=CLIP,
        states=lambda reading: reading.states,
    ),
    "flux2": Family(
        write=write_tiny_flux2,
        pipeline="Flux2KleinPipeline",
        example="flux2-klein-base-4b",
        denoiser="transformer",
        options={"max_sequence_length": TEXT_LENGTH},
        unguided={"max_sequence_length": TEXT_LENGTH},
        run=FLOW,
        has_kohya_names=False,
    ),
}


@pytest.fixture(scope="module", params=sorted(STOCK))
def stock(request: pytest.FixtureRequest) -> Family:
    torch.set_num_threads(1)
    return STOCK[request.param]


@pytest.fixture(scope="module")
def entry(stock: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stock.write(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def spec(entry: Path) -> BaseSpec:
    return base_spec(str(entry))


@pytest.fixture(scope="module")
def engine(spec: BaseSpec):
    with Engine(spec, max_rows=4) as running:
        yield running


@pytest.fixture(scope="module")
def adapters(spec: BaseSpec, stock: Family, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    """Two files over everything that the family lets adapters change."""
    folder, base = tmp_path_factory.mktemp("adapters"), open_base(spec)
    return [written(folder / f"{seed}.safetensors", worn(base, stock, seed=seed), base) for seed in (1, 2)]


@pytest.fixture
def base(spec: BaseSpec) -> Base:
    """Opened afresh: tests lay adapters over it."""
    return open_base(spec)


def worn(base: Base, stock: Family, *, seed: int) -> Adapter:
    adapter = random_adapter(base.denoiser, base.spec.lora_targets, seed=seed, rank=seed + 1)
    text_layers = random_adapter(base.text_stack.model, stock.text_targets, seed=seed, rank=2).layers
    return replace(adapter, text_layers=text_layers)


def written(path: Path, adapter: Adapter, base: Base, names=diffusers_names) -> AdapterRef:
    save_file(names(adapter, base.names), path, metadata={"format": "pt"})
    return AdapterRef(path=path, sha256=file_sha256(path))


def opened(stock: Family, spec: BaseSpec, adapter: AdapterRef | None = None) -> Any:
    """The stock pipeline, with an adapter loaded as its users load one."""
    pipeline = getattr(diffusers, stock.pipeline).from_pretrained(spec.path)
    pipeline.set_progress_bar_config(disable=True)
    if adapter is not None:
        pipeline.load_lora_weights(str(adapter.path))
    return pipeline


def drawn(pipeline: Any, stock: Family, **changes: Any) -> np.ndarray:
    asked = {"prompt": "an apple", "num_inference_steps": 5, "guidance_scale": 3.0, "width": 32, "height": 32}
    seeded = torch.Generator().manual_seed(9)
    return levels(pipeline(**{**asked, **stock.options, **changes}, generator=seeded).images[0])


def make(engine: Engine, **changes: Any) -> np.ndarray:
    result = engine.submit(wish(**changes), stop=lambda: None).result(60)
    assert isinstance(result, Picture)
    return levels(Image.open(io.BytesIO(result.png)))


def wish(**changes: Any) -> ImageRequest:
    given = {"id": "gen_1", "base": "tiny", "prompt": "an apple", "seed": 9, "steps": 5, "guidance": 3.0, **changes}
    return ImageRequest(**given)


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=int)


def source() -> bytes:
    target = io.BytesIO()
    drawing(3, 32).save(target, "PNG")
    return target.getvalue()


def test_every_family_keeps_this_contract_and_has_an_example():
    assert set(STOCK) == set(FAMILIES)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("size", [(32, 32), (64, 48)])
def test_a_picture_is_what_the_stock_pipeline_draws(engine, spec, stock, guidance, size):
    width, height = size

    ours = make(engine, guidance=guidance, width=width, height=height)

    theirs = drawn(opened(stock, spec), stock, guidance_scale=guidance, width=width, height=height)
    assert np.abs(ours - theirs).max() <= 1


def test_a_prompt_is_read_as_the_stock_pipeline_reads_it(base, spec, stock):
    pipeline = opened(stock, spec)

    for prompt in ("an apple", "a cat on a very long wooden table in the sun, drawn by hand"):
        theirs = pipeline.encode_prompt(prompt, device="cpu", num_images_per_prompt=1, **stock.unguided)[0][0]
        torch.testing.assert_close(stock.states(base.encode_prompts([prompt])[0]), theirs, atol=1e-5, rtol=1e-4)


def test_an_adapter_file_means_the_same_to_us_and_to_the_stock_pipeline(engine, spec, stock, adapters):
    ours = make(engine, adapters=(adapters[0],))

    theirs = drawn(opened(stock, spec, adapters[0]), stock)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours - make(engine)).max() > 5


def test_kohyas_names_mean_the_same_to_us_and_to_the_stock_pipeline(engine, spec, base, stock, tmp_path):
    adapter = worn(base, stock, seed=1)
    if not stock.has_kohya_names:
        with pytest.raises(ValueError, match="write diffusers' names"):
            kohya_names(adapter, base.names)
        return
    ref = written(tmp_path / "kohya.safetensors", adapter, base, kohya_names)

    ours = make(engine, adapters=(ref,))

    assert np.abs(ours - drawn(opened(stock, spec, ref), stock)).max() <= 1
    assert np.abs(ours - make(engine)).max() > 5


@pytest.mark.parametrize("names", [diffusers_names, kohya_names], ids=["diffusers names", "kohya names"])
def test_a_flat_file_holds_the_same_numbers_as_the_adapters_own_file(base, stock, tmp_path, names):
    if names is kohya_names and not stock.has_kohya_names:
        pytest.skip("kohya's tools have no names for this family")
    own = written(tmp_path / "own.safetensors", worn(base, stock, seed=2), base, names)
    reader = AdapterReader(base, StackedAdapters(base.denoiser))
    path = tmp_path / "own.flat"

    path.write_bytes(reader.flat_file(own.path.read_bytes(), "own.safetensors"))

    flat = replace(own, path=path, flat_sha256=file_sha256(path))
    ours, theirs = (places_of(reader.read(ref).adapter) for ref in (flat, own))
    assert list(ours) == list(theirs)
    assert len(ours) == len(places_of(worn(base, stock, seed=2)))
    for place, change in ours.items():
        assert torch.equal(change.down, theirs[place].down)
        assert torch.equal(change.up, theirs[place].up)


def test_pictures_in_several_styles_and_none_share_a_batch_and_nothing_else(engine, adapters):
    wishes: list[dict[str, Any]] = [
        {"adapters": (adapters[0],), "seed": 1},
        {"adapters": (adapters[1],), "seed": 2, "prompt": "a dog"},
        {"seed": 3, "guidance": 1.0},
        {"adapters": (replace(adapters[0], strength=0.5),), "seed": 4, "steps": 3, "negative_prompt": "a cat"},
    ]
    alone = [make(engine, **wished) for wished in wishes]

    futures = [engine.submit(wish(**wished), stop=lambda: None) for wished in wishes]

    for single, future in zip(alone, futures, strict=True):
        shared = future.result(60)
        assert isinstance(shared, Picture)
        assert np.abs(single - levels(Image.open(io.BytesIO(shared.png)))).max() <= 1


def test_a_variation_starts_where_the_stock_scheduler_puts_its_source(engine, base, spec, stock):
    clean = base.encode_images([drawing(3, 32)])
    noise = next(base.noises(9, width=32, height=32))[None]
    read = base.join_texts(base.encode_prompts(["an apple"]))
    scheduler = opened(stock, spec).scheduler
    scheduler = scheduler if stock.run else diffusers.DDIMScheduler.from_config(scheduler.config)
    run = {name: of_steps(10) for name, of_steps in stock.run.items()}
    scheduler.set_timesteps(**(run or {"num_inference_steps": 10}))
    timesteps = scheduler.timesteps[5:]
    first = timesteps[:1]
    state = scheduler.scale_noise(clean, first, noise) if run else scheduler.add_noise(clean, noise, first)

    ours = make(engine, image=source(), strength=0.5, steps=10, guidance=1.0)

    for timestep in timesteps:
        with torch.no_grad():
            answer = base.predict(state, timestep.reshape(1).float(), read)
        state = scheduler.step(answer, timestep, state, return_dict=False)[0]
    assert np.abs(ours - levels(base.decode(state)[0])).max() <= 1


def test_a_picture_that_is_finished_is_estimated_exactly(base):
    clean, noise = base.encode_images([drawing(3, 32)]), next(base.noises(1, width=32, height=32))[None]
    level = torch.tensor([len(base.levels) // 3])
    timesteps = steps.timesteps_of(base, level)
    noised, target = add_noise(clean, noise, level, base.levels), target_of(clean, noise, level, base.levels)

    estimate = base.clean_estimate(noised, timesteps, target)

    torch.testing.assert_close(estimate, clean, atol=1e-4, rtol=1e-4)


def test_a_stop_is_asked_for_once_in_every_part_of_a_step(base):
    asked: list[Any] = []
    for block in base.sub_blocks():
        block.register_forward_pre_hook(lambda own, _: asked.append(own))
    latents = next(base.noises(1, width=32, height=32))[None]

    with torch.no_grad():
        base.predict(latents, torch.tensor([500.0]), base.join_texts(base.encode_prompts(["an apple"])))

    inside = sum(weight.numel() for block in base.sub_blocks() for weight in block.parameters())
    assert sorted(map(id, asked)) == sorted(map(id, base.sub_blocks()))
    assert inside > 0.6 * sum(weight.numel() for weight in base.denoiser.parameters())


def test_a_stop_is_asked_for_in_every_part_of_a_decoding(base):
    asked: list[Any] = []
    for block in base.finishing_blocks():
        block.register_forward_pre_hook(lambda own, _: asked.append(own))

    base.decode(next(base.noises(1, width=32, height=32))[None])

    decoder = base.vae.decoder
    inside = sum(weight.numel() for block in base.finishing_blocks() for weight in block.parameters())
    assert {id(block) for block in asked} == {id(block) for block in base.finishing_blocks()}
    assert inside > 0.5 * sum(weight.numel() for weight in decoder.parameters())


def test_a_long_prompt_is_cut_for_its_call(base):
    prompt, left_out = base.fit_prompt("an apple " + "on a table " * 30, "vozix style")

    assert prompt.endswith(", vozix style")
    assert left_out.endswith("on a table")
    assert base.fit_prompt("a cat", "") == ("a cat", "")
    assert f"{prompt.removesuffix(', vozix style')} {left_out}".split() == ("an apple " + "on a table " * 30).split()


def test_pictures_are_compared_and_enlarged(spec, stock, tmp_path):
    entry = stock.write(tmp_path)
    save_enlarger(a_random_enlarger(), ENLARGER_SHAPE, tmp_path / "tiny")
    base = open_base(base_spec(str(entry)))
    images = [drawing(number, 32) for number in (1, 1, 2)]

    first, again, other = base.textures(images)

    torch.testing.assert_close(first, again)
    assert (first - other).abs().max() > 1e-3
    assert base.enlarge(images[:1])[0].size == (128, 128)


def test_sizes_follow_from_the_familys_own_files(base, spec):
    step = size_step(spec)
    whole = ImageOps.fit(drawing(1, 64), (step, step))

    back = base.decode(base.encode_images([whole]))[0]

    assert back.size == (step, step)
    assert next(base.noises(0, width=step, height=step)).shape == base.encode_images([whole]).shape[1:]


def test_a_picture_goes_through_the_autoencoder_as_it_does_in_the_stock_pipeline(base, spec, stock):
    image, vae = drawing(1, 32), opened(stock, spec).vae

    ours = base.decode(base.encode_images([image]))[0]

    with torch.no_grad():
        theirs = images_of(vae.decode(vae.encode(pixels_of([image])).latent_dist.mode()).sample)[0]
    assert np.abs(levels(ours) - levels(theirs)).max() <= 1


def test_a_sampler_of_the_other_kind_is_refused(spec):
    other = next(iter(SAMPLERS if spec.sampler in FLOW_SAMPLERS else FLOW_SAMPLERS))

    with pytest.raises(InvalidRequest, match=f"choose one of .*{spec.sampler}"):
        plan(wish(sampler=other), spec)
    with pytest.raises(BaseUnusable, match=f"sampler '{other}' is not of the kind"):
        open_base(replace(spec, sampler=other))


def test_an_adapter_of_another_family_is_refused(base, stock, tmp_path):
    stranger = "unet." if stock.denoiser == "transformer" else "transformer."
    save_file({f"{stranger}x.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    ref = AdapterRef(path=tmp_path / "a.safetensors", sha256=file_sha256(tmp_path / "a.safetensors"))

    with pytest.raises(WrongBase, match="does not have"):
        AdapterCache(base, StackedAdapters(base.denoiser)).open(ref)


def test_a_folder_that_lacks_a_part_is_named(spec, stock, tmp_path):
    entry = stock.write(tmp_path)
    next((tmp_path / "tiny" / stock.denoiser).glob("*.safetensors")).unlink()

    with pytest.raises(BaseUnusable, match="'tiny' cannot be opened"):
        open_base(base_spec(str(entry)))


@pytest.mark.parametrize("shapes", [((48, 48),), ((160, 40), (48, 48), (40, 160))], ids=["squares", "wide and tall"])
def test_a_few_steps_learn_the_works_they_see(base, stock, tmp_path, shapes):
    training = learn(base, stock, tmp_path, count=25, shapes=shapes)
    edges = {tuple(edge * base.factor for edge in shape[1:]) for shape in map(training.data.shape_of, range(8))}
    assert edges == ({(32, 32)} if len(shapes) == 1 else {(32, 32), (16, 64), (64, 16)})

    works, shared = training.split.trained_works, {"go_on": lambda: None}
    grid = make_grid(base, training.stack, training.data, works, gamma=5.0, seed=1, **shared)
    assert min(measure_gain(base, training.stack, grid, training.adapter, **shared).per_work) > 0


def test_of_a_wide_work_is_said_what_stock_pipelines_say_of_a_wide_picture(base, spec, stock, tmp_path):
    """How large it is and where its places lie, which a training must not tell otherwise."""
    pipeline = opened(stock, spec)
    ours, theirs = heard(base.denoiser), heard(getattr(pipeline, stock.denoiser))

    learn(base, stock, tmp_path, count=1, shapes=((160, 40),))
    drawn(pipeline, stock, width=64, height=16, num_inference_steps=2)

    assert ours[0]["shape"] == theirs[0]["shape"]
    for name in ("time_ids", "img_ids"):
        ids, of_stock = (said[0][name] for said in (ours, theirs))
        assert (ids is None) == (of_stock is None)
        if ids is not None:
            assert torch.equal(distinct(ids), distinct(of_stock))


def heard(denoiser: torch.nn.Module) -> list[dict[str, Any]]:
    """What a denoiser is told of the picture, call by call."""
    calls: list[dict[str, Any]] = []

    def listen(_: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        latents = inputs[0] if inputs else named.get("sample", named.get("hidden_states"))
        told = named.get("added_cond_kwargs") or {}
        calls.append({"shape": latents.shape[1:], "time_ids": told.get("time_ids"), "img_ids": named.get("img_ids")})

    denoiser.register_forward_pre_hook(listen, with_kwargs=True)
    return calls


def distinct(ids: torch.Tensor) -> torch.Tensor:
    return torch.unique(ids.reshape(-1, ids.shape[-1]).float(), dim=0)


def learn(
    base: Base, stock: Family, folder: Path, *, count: int, shapes: Sequence[tuple[int, int]] = ()
) -> state.Training:
    """A training over eight works, of some (width, height) in turn, that has taken so many steps."""
    numbers = {"rank": 4, "learning_rate": 1e-2, "batch": 6, "prior_share": 0.3}
    recipe = Recipe(name="r", steps=count, text_targets=stock.text_targets, **numbers)
    review = review_portfolio(
        works_in(write_portfolio(folder / "works", 8, shapes=shapes)), size=32, min_works=8, is_whole=False
    )
    quiet = {"seed": 0, "go_on": lambda: None}
    data = encode(base, review.good, trigger="xovaj", style_words=(), crops=0, flips=False, **quiet)
    split = split_works(review.clusters, recipe, seed=0)
    stack = StackedAdapters(base.denoiser)
    training = state.begin(base, stack, data, split, recipe, seed=0, fingerprint="one", folder=folder / "scratch")
    for _ in steps.take_steps(training):
        pass
    return training


def test_a_training_ends_in_a_file_that_stock_diffusers_reads_as_we_do(entry, spec, base, stock, tmp_path):
    recipe = tmp_path / "quick-style.toml"
    recipe.write_text(RECIPE.format(text_targets=list(stock.text_targets)))
    request = TrainingRequest(
        id="trn_1",
        base=str(entry),
        works=works_in(write_portfolio(tmp_path / "works", 12)),
        out=tmp_path / "out",
        scratch=tmp_path / "scratch",
        recipe=str(recipe),
    )

    ended = train(request, on_event=lambda event: None, stop=lambda: False)

    assert ended.outcome == "passed", ended.message
    ref = AdapterRef(path=ended.adapter, sha256=file_sha256(ended.adapter))
    assert read_manifest(ended.adapter).base_sha256 == base.sha256
    ours, plain = answers(base, ref)
    theirs = answer_of(opened(stock, spec, ref), stock, base)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert (ours - plain).abs().max() > 1e-4


def answers(base: Base, ref: AdapterRef) -> tuple[torch.Tensor, torch.Tensor]:
    """What a base answers with an adapter over its denoiser, and without."""
    stack = StackedAdapters(base.denoiser)
    adapter = AdapterCache(base, stack).open(ref)
    found = []
    for rows in ([[(adapter, 1.0)]], []):
        stack.bind(rows)
        found.append(question(base))
    return found[0], found[1]


def answer_of(pipeline: Any, stock: Family, base: Base) -> torch.Tensor:
    """What the denoiser of a stock pipeline answers to the same question."""
    ours = SimpleNamespace(**vars(base))
    setattr(ours, "unet" if stock.denoiser == "unet" else "denoiser", getattr(pipeline, stock.denoiser))
    bound = type(base).__new__(type(base))
    vars(bound).update(vars(ours))
    return question(bound)


@torch.no_grad()
def question(base: Base) -> torch.Tensor:
    read = base.join_texts(base.encode_prompts(["a dog"]))
    return base.predict(next(base.noises(5, width=32, height=32))[None], torch.tensor([400.0]), read)


@pytest.mark.gpu
def test_a_base_draws_and_learns_on_a_gpu(spec, stock, adapters, tmp_path):
    with Engine(spec, device="cuda", max_rows=4) as engine:
        first, second = make(engine, adapters=(adapters[0],)), make(engine, adapters=(adapters[0],))
        varied = make(engine, image=source(), strength=0.5)
    few = learn(open_base(spec, device="cuda"), stock, tmp_path, count=2)

    assert np.abs(first - second).max() <= 1
    assert varied.shape == first.shape
    assert few.step == 2


def test_examples_fit_their_family_and_are_not_active(base, stock):
    example = base_spec(stock.example, folder=CONFIGS / "bases" / "examples")
    recipe = recipe_for(example)

    assert recipe.name == f"{example.family}-style"
    for ending in recipe.targets or example.lora_targets:
        assert target_layers(base.denoiser, [ending]), f"{ending} is no layer of this family"
    for ending in recipe.text_targets:
        assert target_layers(base.text_stack.model, [ending]), f"{ending} is no layer of this family"
    assert example.family == base.spec.family
    assert stock.example not in {one.id for one in list_bases(folder=CONFIGS / "bases")}


def test_a_distilled_flux_is_refused(tmp_path):
    entry = write_tiny_flux2(tmp_path, distilled=True)

    with pytest.raises(BaseUnusable, match=r"take FLUX\.2-klein-base-4B"):
        open_base(base_spec(str(entry)))
