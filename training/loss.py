"""What a denoiser is asked for, and how much each noise level counts. Pure functions of tensors.

`alphas_cumprod` is the (T,) table of a diffusers scheduler (`DDIMScheduler.from_pretrained(...).alphas_cumprod`), so
that training and sampling read the same numbers. With zero terminal SNR its last entry is 0.
"""

import torch
from torch import Tensor


def add_noise(clean: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Noised latents: sqrt(a) * clean + sqrt(1 - a) * noise.

    `clean`, `noise`: (B, ...) of one shape; `timesteps`: (B,) integers below T; the answer has the shape of `clean`.
    """
    signal, noisiness = _scales(clean, timesteps, alphas_cumprod)
    return signal * clean + noisiness * noise


def velocity_target(clean: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The v-prediction target sqrt(a) * noise - sqrt(1 - a) * clean (Salimans and Ho, arXiv 2202.00512).

    Shapes as in `add_noise`.
    """
    signal, noisiness = _scales(clean, timesteps, alphas_cumprod)
    return signal * noise - noisiness * clean


def signal_to_noise(timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """SNR a / (1 - a) of each timestep, (B,)."""
    share = alphas_cumprod.to(timesteps.device)[timesteps]
    return share / (1 - share)


def min_snr_weight(timesteps: Tensor, alphas_cumprod: Tensor, gamma: float = 5.0) -> Tensor:
    """Loss weights (B,) for v-prediction: 1 up to SNR `gamma`, then (gamma + 1) / (SNR + 1).

    A squared error of v weighs the squared error of the clean picture by SNR + 1. Min-SNR (Hang and others,
    arXiv 2303.09556) caps that factor; capping SNR + 1 at gamma + 1 keeps weight 1 at zero terminal SNR, where the
    usual min(SNR, gamma) / (SNR + 1) would leave the first sampling step untrained.
    """
    snr = signal_to_noise(timesteps, alphas_cumprod)
    return torch.clamp(snr, max=gamma).add(1) / (snr + 1)


def _scales(like: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    share = alphas_cumprod.to(device=like.device, dtype=like.dtype)[timesteps]
    share = share.reshape(-1, *[1] * (like.ndim - 1))
    return share.sqrt(), (1 - share).sqrt()
