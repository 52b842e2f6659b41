"""What happens to a picture before it is enlarged: it comes out of an autoencoder, softer and blotched.

Shapes: B pictures (B, 3, s, s) in -1..1, K colours of a palette.
"""

import random
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from inference.precision import has_bfloat16_units
from training.base.recipe import EnlargerRecipe

MOST_BLUR = 0.9
BLUR_RADIUS = 3
MOST_GRAIN = 0.03
COLOURS = 12
LIKENESS = 0.15
"""Distance of colours, in the units of a picture, at which they count as two."""
FLAT = 0.1
FLAT_RADIUS = 3


def worn(pictures: Tensor, autoencoder: AutoencoderKL, shape: EnlargerRecipe, picks: list[random.Random]) -> Tensor:
    """Pictures as an enlarger gets them, by one random source each: most go through the autoencoder.

    Noise on the latents stands for what a denoiser leaves undone. Some are blurred, some get grain; levels are those
    of eight bits.
    """
    trips = [number for number, pick in enumerate(picks) if pick.random() >= shape.plain_share]
    result = pictures.clone()
    if trips:
        result[trips] = round_trip(
            pictures[trips],
            autoencoder,
            # Squared: a little noise is more common than much.
            deviations=[shape.noise * picks[number].random() ** 2 for number in trips],
            seeds=[picks[number].getrandbits(62) for number in trips],
        )
    result = blurred(result, [pick.uniform(0.2, MOST_BLUR) if pick.random() < 0.5 else 0.0 for pick in picks])
    for number, pick in enumerate(picks):
        if pick.random() < 0.3:
            grain = torch.randn(result.shape[1:], generator=torch.Generator().manual_seed(pick.getrandbits(62)))
            result[number] += pick.uniform(0, MOST_GRAIN) * grain.to(result.device)
    return (result.clamp(-1, 1) * 127.5).round() / 127.5


@torch.no_grad()
def round_trip(pictures: Tensor, autoencoder: AutoencoderKL, deviations: list[float], seeds: list[int]) -> Tensor:
    """Pictures encoded and decoded, with noise of a deviation (the latents' own is 1) between. Same shape."""
    device = pictures.device
    with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16_units(device)):
        latents = autoencoder.encode(pictures).latent_dist.mean.float()
        for latent, deviation, seed in zip(latents, deviations, seeds, strict=True):
            noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).to(device)
            latent += deviation / autoencoder.config.scaling_factor * noise
        decoded: Tensor = autoencoder.decode(latents).sample.float()
    return decoded.clamp(-1, 1)


def blurred(pictures: Tensor, deviations: list[float]) -> Tensor:
    """Each picture under its own Gaussian, in pixels; 0 leaves it."""
    count, channels, height, width = pictures.shape
    along = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=pictures.device, dtype=pictures.dtype)
    spread = torch.tensor(deviations, device=pictures.device).clamp_min(1e-3)[:, None]
    kernels = (-(along**2) / (2 * spread**2)).exp()
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    planes = functional.pad(pictures.reshape(1, count * channels, height, width), (BLUR_RADIUS,) * 4, mode="replicate")
    planes = functional.conv2d(planes, kernels[:, None, None, :], groups=count * channels)
    planes = functional.conv2d(planes, kernels[:, None, :, None], groups=count * channels)
    return planes.reshape(pictures.shape)


@dataclass(frozen=True, kw_only=True)
class Shift:
    """What wear did to the colours of one drawing: `colours` (K, 3) moved by `by` (K, 3)."""

    colours: Tensor
    by: Tensor

    def of(self, large: Tensor) -> Tensor:
        """The drawing, or a crop of it, at any size (3, H, W), in the colours it has after the wear."""
        pixels = large.flatten(1)
        return (pixels + self.by.T @ shares(self.colours, pixels)).reshape(large.shape).clamp(-1, 1)


def shift_of(small: Tensor, seen: Tensor) -> Shift:
    """How the colours of one drawing (3, s, s) moved between `small` and `seen`, the same after its wear.

    An autoencoder may change a colour. An enlarger that learnt to change it back would also change colours that
    somebody chose, so it is taught with drawings in the colours that it sees. Measured on the flat parts alone: lines
    too thin to be flat keep theirs.
    """
    side = 2 * FLAT_RADIUS + 1
    highest = functional.max_pool2d(small, side, stride=1, padding=FLAT_RADIUS)
    lowest = -functional.max_pool2d(-small, side, stride=1, padding=FLAT_RADIUS)
    is_flat = ((highest - lowest).amax(dim=0) < FLAT).flatten()
    pixels, moved = small.flatten(1), (seen - small).flatten(1)
    colours = palette(pixels)
    each = shares(colours, pixels[:, is_flat])
    return Shift(colours=colours, by=each @ moved[:, is_flat].T / (each.sum(dim=1, keepdim=True) + 1))


def palette(pixels: Tensor) -> Tensor:
    """(K, 3): colours of pixels (3, N) that are far from each other, the first of them the first pixel's."""
    chosen = [pixels[:, 0]]
    distance = torch.full_like(pixels[0], torch.inf)
    for _ in range(COLOURS - 1):
        distance = torch.minimum(distance, (pixels - chosen[-1][:, None]).square().sum(dim=0))
        chosen.append(pixels[:, distance.argmax()])
    return torch.stack(chosen)


def shares(colours: Tensor, pixels: Tensor) -> Tensor:
    """(K, N): how much of each colour (K, 3) a pixel of (3, N) is, by a Gaussian of the distance; columns sum to 1."""
    # What the pixel's own square would add is the same for every colour.
    nearness = colours @ pixels - colours.square().sum(dim=1, keepdim=True) / 2
    return torch.softmax(nearness / LIKENESS**2, dim=0)
