"""Noise, targets and weights agree with the scheduler that samples."""

from dataclasses import replace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from inference.noising import NoiseLevels, diffusion_levels, flow_levels
from training.base.networks import new_scheduler
from training.loss import add_noise, loss_weights, signal_to_noise, target_of


@pytest.fixture
def levels() -> NoiseLevels:
    return diffusion_levels(new_scheduler().config)


def latents(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    clean, noise = torch.randn(2, rows, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    return clean, noise


def test_noise_and_velocity_are_those_of_the_scheduler(levels):
    clean, noise = latents(3)
    timesteps = torch.tensor([0, 500, 999])

    noised = add_noise(clean, noise, timesteps, levels)
    target = target_of(clean, noise, timesteps, levels)

    torch.testing.assert_close(noised, new_scheduler().add_noise(clean, noise, timesteps))
    torch.testing.assert_close(target, new_scheduler().get_velocity(clean, noise, timesteps))


def test_the_last_timestep_is_pure_noise_and_asks_for_the_picture(levels):
    clean, noise = latents(1)
    last = torch.tensor([999])

    assert levels.signal_T[-1] == 0
    torch.testing.assert_close(add_noise(clean, noise, last, levels), noise)
    torch.testing.assert_close(target_of(clean, noise, last, levels), -clean)


def test_weights_stay_at_one_for_much_noise_and_fall_for_little(levels):
    timesteps = torch.tensor([999, 800, 100, 0])

    weights = loss_weights(timesteps, levels, gamma=5.0)

    assert weights[:2].tolist() == [1.0, 1.0]
    assert weights[3] < weights[2] < 1
    snr = signal_to_noise(timesteps, levels)[3]
    assert weights[3].item() == pytest.approx(6 / (snr.item() + 1), rel=1e-5)


def test_a_base_that_predicts_noise_is_asked_for_it_and_weighed_by_what_it_means_for_the_picture(levels):
    predicts_noise = replace(levels, prediction="epsilon")
    clean, noise = latents(4)
    timesteps = torch.tensor([999, 800, 100, 0])

    weights = loss_weights(timesteps, predicts_noise, gamma=5.0)

    assert target_of(clean, noise, timesteps, predicts_noise) is noise
    snr = signal_to_noise(timesteps, levels)
    torch.testing.assert_close(weights, (5 / snr).clamp(max=1))
    assert weights[0] == 1


def test_flow_is_noised_as_its_scheduler_does_and_asked_for_the_way_to_the_noise():
    levels = flow_levels(mu=1.15)
    clean, noise = latents(3)
    numbers = torch.tensor([3, 500, 990])
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=levels.noise_T.flip(0).tolist())

    noised = add_noise(clean, noise, numbers, levels)

    theirs = scheduler.scale_noise(clean, levels.timesteps_T[numbers], noise)
    torch.testing.assert_close(noised, theirs)
    velocity = target_of(clean, noise, numbers, levels)
    torch.testing.assert_close(noised - levels.noise_T[numbers].reshape(-1, 1, 1, 1) * velocity, clean)
    assert loss_weights(numbers, levels, gamma=5.0).tolist() == [1, 1, 1]


def test_flow_looks_most_often_at_middle_levels_and_at_more_noise_for_larger_pictures():
    plain, shifted = flow_levels(mu=0.0).noise_T, flow_levels(mu=1.15).noise_T

    # Of a standard normal in the logit 68 % lie within one deviation.
    inside = ((plain > torch.tensor(-1.0).sigmoid()) & (plain < torch.tensor(1.0).sigmoid())).float().mean()
    assert inside.item() == pytest.approx(0.683, abs=0.005)
    assert plain.median().item() == pytest.approx(0.5, abs=0.01)
    assert shifted.median().item() == pytest.approx(torch.tensor(1.15).sigmoid().item(), abs=0.01)
    assert (shifted.diff() > 0).all()
    assert shifted.min() > 0
    assert shifted.max() < 1
