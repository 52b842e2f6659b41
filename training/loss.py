"""What a denoiser is asked for, and how much each noise level counts. Pure functions of tensors.

`levels` are those of the base (`inference.noising`), so that training and sampling read the same numbers; `levels_B`
are (B,) whole numbers below len(levels), one a row. Latents and noise are (B, ...) of one shape.
"""

import torch
from torch import Tensor

from inference.noising import NoiseLevels


def add_noise(clean: Tensor, noise: Tensor, levels_B: Tensor, levels: NoiseLevels) -> Tensor:
    """Noised latents, of the shape of `clean`: each row's shares of latent and noise."""
    signal, noisiness = _shares(clean, levels_B, levels)
    return signal * clean + noisiness * noise


def target_of(clean: Tensor, noise: Tensor, levels_B: Tensor, levels: NoiseLevels) -> Tensor:
    """What the base's kind of prediction should have been, of the shape of `clean`.

    The noise; v = signal * noise - noisiness * clean (Salimans and Ho, arXiv 2202.00512); or the velocity of a straight
    way from picture to noise, noise - clean (Liu and others, arXiv 2209.03003).
    """
    if levels.prediction == "epsilon":
        return noise
    if levels.prediction == "flow":
        return noise - clean
    signal, noisiness = _shares(clean, levels_B, levels)
    return signal * noise - noisiness * clean


def signal_to_noise(levels_B: Tensor, levels: NoiseLevels) -> Tensor:
    """SNR of each level, (B,): the squared shares of latent and noise, one by the other."""
    signal_T, noise_T = levels.signal_T.to(levels_B.device), levels.noise_T.to(levels_B.device)
    return (signal_T[levels_B] / noise_T[levels_B]).square()


def loss_weights(levels_B: Tensor, levels: NoiseLevels, gamma: float) -> Tensor:
    """What a squared error weighs at each level, (B,), for the base's kind of prediction.

    A squared error of v weighs the squared error of the clean picture by SNR + 1, one of the noise by SNR. Min-SNR
    (Hang and others, arXiv 2303.09556) caps that factor; capping SNR + 1 at gamma + 1 keeps weight 1 at zero terminal
    SNR, where the usual min(SNR, gamma) / (SNR + 1) would leave the first sampling step untrained. Flow matching weighs
    levels by how often they are looked at instead (Esser and others, arXiv 2403.03206, section 3.1).
    """
    if levels.prediction == "flow":
        return torch.ones(len(levels_B), device=levels_B.device)
    snr = signal_to_noise(levels_B, levels)
    if levels.prediction == "epsilon":
        return (gamma / snr).clamp(max=1)
    return torch.clamp(snr, max=gamma).add(1) / (snr + 1)


def _shares(like: Tensor, levels_B: Tensor, levels: NoiseLevels) -> tuple[Tensor, Tensor]:
    signal, noisiness = (
        shares_T.to(like)[levels_B].reshape(-1, *[1] * (like.ndim - 1))
        for shares_T in (levels.signal_T, levels.noise_T)
    )
    return signal, noisiness
