"""Noise, targets and weights agree with the scheduler that samples."""

import pytest
import torch

from training.base.networks import new_scheduler
from training.loss import add_noise, min_snr_weight, signal_to_noise, velocity_target


@pytest.fixture
def alphas() -> torch.Tensor:
    return new_scheduler().alphas_cumprod


def test_noise_and_velocity_are_those_of_the_scheduler(alphas):
    clean, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    timesteps = torch.tensor([0, 500, 999])

    noised = add_noise(clean, noise, timesteps, alphas)
    target = velocity_target(clean, noise, timesteps, alphas)

    torch.testing.assert_close(noised, new_scheduler().add_noise(clean, noise, timesteps))
    torch.testing.assert_close(target, new_scheduler().get_velocity(clean, noise, timesteps))


def test_the_last_timestep_is_pure_noise_and_asks_for_the_picture(alphas):
    clean, noise = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    last = torch.tensor([999])

    assert alphas[-1] == 0
    torch.testing.assert_close(add_noise(clean, noise, last, alphas), noise)
    torch.testing.assert_close(velocity_target(clean, noise, last, alphas), -clean)


def test_weights_stay_at_one_for_much_noise_and_fall_for_little(alphas):
    timesteps = torch.tensor([999, 800, 100, 0])

    weights = min_snr_weight(timesteps, alphas, gamma=5.0)

    assert weights[:2].tolist() == [1.0, 1.0]
    assert weights[3] < weights[2] < 1
    snr = signal_to_noise(timesteps, alphas)[3]
    assert weights[3].item() == pytest.approx(6 / (snr.item() + 1), rel=1e-5)
