"""Training goes on exactly where it stopped, and its batches are functions of the step alone."""

import shutil

import numpy as np
import pytest
import torch

from inference.noising import diffusion_levels
from tests.training.base.resuming import check_resumes_exactly
from training.base.autoencoder import fold_normalisation, held_out_psnr, load_autoencoder, train_autoencoder
from training.base.crew import Crew
from training.base.data import cumulative_shares, read_data
from training.base.denoiser import TextToLatents, batch_at, denoiser_loss
from training.base.latents import read_latents
from training.base.loop import Plan, Session, new_run, resume, steps_in, train
from training.base.networks import new_scheduler
from training.base.optimizer import MuonAdamW, orthogonalised
from training.base.tokens import load_tokenizer


def silent(line: str) -> None:
    """Progress nobody reads."""


def a_run(seed: int, workers: int = 1):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(20, 24), torch.nn.SiLU(), torch.nn.Linear(24, 2))
    run = new_run(network, weight_decay=0.01)

    def loss_of(step: int, rows: slice) -> torch.Tensor:
        batch = torch.randn(8, 20, generator=torch.Generator().manual_seed(step))[rows]
        return (network(batch) - batch[:, :2]).square().mean()

    return run, Crew(network, loss_of, workers)


@pytest.mark.parametrize("stop", [1, 7, 11])
def test_a_resumed_training_ends_with_the_very_same_weights(tmp_path, stop):
    check_resumes_exactly(a_run, tmp_path, steps=12, stop=stop)


def a_denoiser_run(recipe, work, seed: int):
    latents, tokenizer = read_latents(work), load_tokenizer(work)
    levels = diffusion_levels(new_scheduler().config)
    numbers = latents.of("train")
    shares = cumulative_shares(latents.rows, numbers, recipe.data.weights)
    torch.manual_seed(seed)
    network = TextToLatents(recipe, tokenizer)

    def loss_of(step: int, rows: slice) -> torch.Tensor:
        batch = batch_at(recipe, latents, numbers, shares, tokenizer, step).part(rows)
        return denoiser_loss(network, batch, levels, 5.0, "cpu")

    return new_run(network, weight_decay=0.01), Crew(network, loss_of, 1)


def test_the_denoiser_resumes_to_the_very_same_weights(recipe, work, tmp_path):
    check_resumes_exactly(lambda seed: a_denoiser_run(recipe, work, seed), tmp_path, steps=4, stop=2)


def test_a_crew_of_processes_finds_the_same_gradient_as_one():
    alone, single = a_run(seed=1)
    shared, crew = a_run(seed=1, workers=2)

    for step in (3, 4):
        for run in (alone, shared):
            run.optimizer.zero_grad()
        losses = [single.gradient(step), crew.gradient(step)]
        torch.testing.assert_close(losses[0], losses[1])
    crew.close()

    for one, other in zip(alone.network.parameters(), shared.network.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_learning_falls_over_the_last_part_and_longer_plans_agree_before_it():
    short = Plan(steps=100, learning_rate=1.0, warmup=10, ema=0.9, matrix_factor=1)
    long = Plan(steps=1000, learning_rate=1.0, warmup=10, ema=0.9, matrix_factor=1)

    assert short.rate(0) == 0.1
    assert [short.rate(step) for step in range(70)] == [long.rate(step) for step in range(70)]
    assert 0 < short.rate(99) < short.rate(80) < 1


def test_a_finished_training_can_be_made_longer_from_where_its_descent_began(tmp_path):
    short = Plan(steps=10, learning_rate=1e-2, warmup=1, ema=0.9, matrix_factor=2)
    long = Plan(steps=20, learning_rate=1e-2, warmup=1, ema=0.9, matrix_factor=2)
    at_once, crew = a_run(seed=1)
    train(at_once, long, crew.gradient, tmp_path / "long", Session(say=silent))

    first, crew = a_run(seed=1)
    train(first, short, crew.gradient, tmp_path / "short", Session(say=silent))
    longer, crew = a_run(seed=2)
    resume(longer, tmp_path / "short-level")
    assert longer.step == 7
    train(longer, long, crew.gradient, tmp_path / "short", Session(say=silent))

    assert all(torch.equal(value, longer.average[key]) for key, value in at_once.average.items())


def test_timing_a_few_steps_leaves_the_run_new():
    run, crew = a_run(seed=1)
    before = {key: value.clone() for key, value in run.network.state_dict().items()}
    plan = Plan(steps=10, learning_rate=1e-2, warmup=1, ema=0.9, matrix_factor=1)

    steps = steps_in(0.01, run, plan, crew.gradient)

    assert steps >= 1
    assert run.step == 0
    assert all(torch.equal(value, before[key]) for key, value in run.network.state_dict().items())
    assert not run.optimizer.state


def test_matrix_steps_are_nearly_orthogonal_whatever_the_shape():
    for shape in ((2, 24, 60), (1, 60, 24)):
        stepped = orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(0)))

        values = torch.linalg.svdvals(stepped)
        assert stepped.shape == shape
        assert 0.5 < values.min() <= values.max() < 1.5


def test_every_parameter_belongs_to_one_group():
    network = torch.nn.Sequential(torch.nn.Linear(20, 24), torch.nn.LayerNorm(24), torch.nn.Linear(24, 2))

    groups = MuonAdamW(network, weight_decay=0.1).param_groups

    counted = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(counted) == sorted(id(parameter) for parameter in network.parameters())
    assert [group["matrices"] for group in groups] == [True, False, False]


def test_a_batch_is_a_function_of_its_step(recipe, work):
    latents, tokenizer = read_latents(work), load_tokenizer(work)
    numbers = latents.of("train")
    shares = cumulative_shares(latents.rows, numbers, recipe.data.weights)

    first, again, other = (batch_at(recipe, latents, numbers, shares, tokenizer, step) for step in (4, 4, 5))

    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.noise, again.noise)
    assert not torch.equal(first.noise, other.noise)
    assert sorted(first.timesteps // 250) == [0, 1, 2, 3]


def test_everyday_things_are_drawn_more_often(recipe, work):
    latents = read_latents(work)
    numbers = latents.of("train")

    shares = cumulative_shares(latents.rows, numbers, recipe.data.weights)

    kinds = [latents.rows[number]["kind"] for number in numbers]
    each = dict(zip(kinds, np.diff(shares, prepend=0), strict=True))
    assert shares[-1] == pytest.approx(1)
    assert each["abstract"] < each["concrete"]


def test_normalised_latents_decode_to_the_same_picture(recipe, work):
    torch.manual_seed(0)
    network = load_autoencoder(recipe, work)
    picture = torch.rand(2, 3, 32, 32) * 2 - 1
    raw = network.encode(picture).latent_dist.mean
    before = network.decode(raw).sample

    fold_normalisation(network, raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3)))
    folded = network.encode(picture).latent_dist.mean
    after = network.decode(folded).sample

    torch.testing.assert_close(folded.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(folded.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_the_autoencoder_learns(recipe, work, tmp_path):
    shutil.copytree(work, tmp_path / "work", ignore=shutil.ignore_patterns("npm", "autoencoder*"))
    pictures = read_data(work)
    before = held_out_psnr(load_autoencoder(recipe, work), pictures, "cpu")

    train_autoencoder(recipe, tmp_path / "work", Session(say=silent, steps=120))

    assert held_out_psnr(load_autoencoder(recipe, tmp_path / "work"), pictures, "cpu") > before + 3
