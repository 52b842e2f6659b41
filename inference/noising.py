"""The noise levels that a base was trained at, and what it was trained to answer there.

Two kinds are known. Diffusion: `sqrt(a) * latent + sqrt(1 - a) * noise`, by the table of a diffusers scheduler. Flow
matching: `(1 - s) * latent + s * noise`, s from 0 to 1. Both are written down as tables, so that whoever trains or
measures needs no scheduler and does not ask which kind it is.

Shapes: T levels, B rows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "flow"]
"""What the denoiser answers: the noise, `signal * noise - noisiness * latent`, or `noise - latent`."""
FLOW_TIMESTEPS = 1000
"""A flow-matching denoiser is told 1000 times the share of noise, as diffusers' schedulers count."""


@dataclass(frozen=True, kw_only=True)
class NoiseLevels:
    """T noise levels from little noise to much, of which a training takes each as often as any other.

    Where a family learns some levels more often than others, the table simply holds more of those.
    """

    prediction: Prediction
    timesteps_T: Tensor
    """What the denoiser is told at each level."""
    signal_T: Tensor
    """Share of the latent in a noised latent."""
    noise_T: Tensor
    """Share of the noise."""

    def __len__(self) -> int:
        return len(self.timesteps_T)


def diffusion_levels(config: Mapping[str, Any]) -> NoiseLevels:
    """The levels of a diffusion base, from the content of its `scheduler_config.json`.

    The last one holds no signal where the base was trained down to pure noise. Raises ValueError if the base predicts
    anything but its noise or v.
    """
    from diffusers import DDIMScheduler

    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ValueError(
            f"it predicts {prediction!r}, and only bases that predict epsilon or v_prediction are known; choose another"
        )
    shares_T: Tensor = DDIMScheduler.from_config(config, clip_sample=False).alphas_cumprod.float()
    return NoiseLevels(
        prediction=prediction,
        timesteps_T=torch.arange(len(shares_T)).float(),
        signal_T=shares_T.sqrt(),
        noise_T=(1 - shares_T).sqrt(),
    )


def flow_levels(mu: float, *, count: int = FLOW_TIMESTEPS) -> NoiseLevels:
    """`count` levels of a flow-matching base: the quantiles of a logit-normal density, shifted by `mu`.

    Middle levels are the hardest, so they are learnt most often (Esser and others, arXiv 2403.03206, section 3.1);
    larger pictures need more noise to be hidden as well, so the density moves with them (section 5.3.2).
    """
    quantiles_T = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    sigmas_T = shift_sigmas(torch.special.ndtri(quantiles_T).sigmoid(), mu).float()
    return NoiseLevels(
        prediction="flow", timesteps_T=FLOW_TIMESTEPS * sigmas_T, signal_T=1 - sigmas_T, noise_T=sigmas_T
    )


def shift_sigmas(sigmas_T: Tensor, mu: float) -> Tensor:
    """Shares of noise between 0 and 1, exclusive, moved towards noise by `mu` (in the logit); 0 leaves them."""
    shift = math.exp(mu)
    return shift * sigmas_T / (1 + (shift - 1) * sigmas_T)


def diffusion_estimate(levels: NoiseLevels, latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
    """The finished latents that a diffusion base's answers point to. `latents_BCHW` is what the denoiser was fed."""
    indices_B = timesteps_B.round().long()
    signal_B111, noise_B111 = (
        shares_T.to(latents_BCHW.device)[indices_B].reshape(-1, 1, 1, 1)
        for shares_T in (levels.signal_T, levels.noise_T)
    )
    if levels.prediction == "v_prediction":
        return signal_B111 * latents_BCHW - noise_B111 * outputs_BCHW
    return (latents_BCHW - noise_B111 * outputs_BCHW) / signal_B111.clamp_min(1e-4)


def flow_estimate(latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
    """The same for a flow-matching base."""
    return latents_BCHW - (timesteps_B / FLOW_TIMESTEPS).reshape(-1, 1, 1, 1) * outputs_BCHW
