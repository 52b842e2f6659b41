"""Stage `autoencoder`: pictures to a few latent numbers and back."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from inference.precision import has_bfloat16_units
from training.base.data import Pictures, cumulative_shares, read_data
from training.base.errors import StageMissing
from training.base.loop import Session, carry_out, make_plan, new_run, part
from training.base.networks import generator, new_autoencoder
from training.base.paper import lay_on, soft_paper
from training.base.recipe import AutoencoderRecipe, BaseRecipe
from training.checkpoint import load_latest_checkpoint

CROP = 64
SOFT_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Drawings (B, s, s, 4) uint8, the papers (B, 3, s, s) to lay them on, and noise for the latents (B, C, h, w)."""

    drawings: Tensor
    paper: Tensor
    noise: Tensor


def train_autoencoder(recipe: BaseRecipe, work: Path, session: Session) -> None:
    """Train, or go on training, the autoencoder of `work`."""
    torch.manual_seed(recipe.seed)
    pictures, shape = read_data(work), recipe.autoencoder
    network = new_autoencoder(shape, recipe.data.size).to(session.device, memory_format=torch.channels_last)
    run = new_run(network, weight_decay=0.0)
    numbers = pictures.of("train")
    shares = cumulative_shares(pictures.rows, numbers, recipe.data.weights)
    turn = 0

    def loss_of(step: int, rows: slice) -> Tensor:
        return autoencoder_loss(network, batch_at(recipe, pictures, numbers, shares, step, step < turn, rows), recipe)

    plan = make_plan(run, shape, loss_of, work / "autoencoder", session)
    turn = int(shape.crop_share * plan.steps)
    session.say(f"crops of {CROP} pixels until step {turn}")
    carry_out(run, plan, loss_of, work / "autoencoder", session)
    session.say(f"PSNR on held-out pictures: {held_out_psnr(network, pictures, session.device):.2f} dB")


def autoencoder_loss(network: AutoencoderKL, batch: Batch, recipe: BaseRecipe) -> Tensor:
    """What differs between pictures and what comes back, at full and at half size, plus a little KL; a scalar.

    At half size, latents averaged over 2 x 2 cells must decode to the picture averaged over 2 x 2 pixels: that keeps
    fine detail out of the latents' high frequencies, where a denoiser would have to learn it as noise (Skorokhodov and
    others, "Improving the Diffusability of Autoencoders", 2025).
    """
    device, shape = next(network.parameters()).device, recipe.autoencoder
    pictures = lay_on(batch.drawings.to(device), batch.paper.to(device))
    with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16_units(device)):
        posterior = network.encode(pictures).latent_dist
        latents = posterior.mean + posterior.std * batch.noise.to(device)
        decoded = network.decode(latents).sample
        halved = network.decode(functional.avg_pool2d(latents, 2)).sample
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    whole = picture_loss(decoded.float() - pictures, shape)
    half = picture_loss(halved.float() - functional.avg_pool2d(pictures, 2), shape)
    loss: Tensor = whole + shape.half_size * half + shape.kl * divergence
    return loss


def picture_loss(error: Tensor, shape: AutoencoderRecipe) -> Tensor:
    """L1 of an error (B, 3, s, s), of its neighbour differences (edges) and of its opponent colours; a scalar.

    Without the colours' own term, the rarest axis, green against magenta, is given up for sharper edges: trees come
    out brown.
    """
    green = error[:, 1] - (error[:, 0] + error[:, 2]) / 2
    colours = green.abs().mean() + (error[:, 0] - error[:, 2]).abs().mean()
    return error.abs().mean() + shape.gradient * edge_loss(error) + shape.colour * colours


def edge_loss(error: Tensor) -> Tensor:
    """L1 of the neighbour differences of an error (B, 3, s, s); a scalar."""
    return torch.diff(error, dim=2).abs().mean() + torch.diff(error, dim=3).abs().mean()


def batch_at(
    recipe: BaseRecipe,
    pictures: Pictures,
    numbers: np.ndarray,
    shares: np.ndarray,
    step: int,
    crops: bool,
    rows: slice,
) -> Batch:
    """Some rows of the batch of a step: mixed layouts, mirrored or not, on white or on soft paper."""
    size, shape = recipe.data.size, recipe.autoencoder
    side, count = (CROP, shape.crop_batch) if crops else (size, shape.batch)
    picks = [random.Random(f"{recipe.seed}/{step}/{slot}") for slot in range(count)[rows]]
    drawings = []
    for pick in picks:
        top, left = pick.randrange(size - side + 1), pick.randrange(size - side + 1)
        number = numbers[min(int(np.searchsorted(shares, pick.random())), len(numbers) - 1)]
        whole = pictures.pixels[number, pick.randrange(recipe.data.layouts)]
        drawing = whole[top : top + side, left : left + side]
        drawings.append(drawing[:, ::-1] if pick.random() < 0.5 else drawing)
    cells = side // shape.factor
    noise = torch.randn((count, shape.latent_channels, cells, cells), generator=generator(recipe.seed, 2, step))
    return Batch(
        drawings=torch.from_numpy(np.stack(drawings)), paper=soft_paper(picks, side, SOFT_SHARE), noise=noise[rows]
    )


def load_autoencoder(recipe: BaseRecipe, work: Path) -> AutoencoderKL:
    """The averaged weights of the newest autoencoder checkpoint of `work`; StageMissing where there is none."""
    found = load_latest_checkpoint(work / "autoencoder")
    if found is None:
        raise StageMissing(f"No autoencoder in {work}. Run `python -m training.base autoencoder --work {work}` first.")
    network = new_autoencoder(recipe.autoencoder, recipe.data.size)
    network.load_state_dict(part(found.tensors, "average."))
    return network.eval().requires_grad_(False)


def fold_normalisation(network: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Change the weights next to the latents so that every channel has mean 0 and deviation 1.

    `mean`, `deviation`: (C,) as measured. Decoded pictures stay the same; the scaling factor
    can then be 1, and no channel shouts down another.
    """
    before, after = network.quant_conv, network.post_quant_conv
    count = len(mean)
    with torch.no_grad():
        before.weight[:count] /= deviation[:, None, None, None]
        before.bias[:count].sub_(mean).div_(deviation)
        before.bias[count:].sub_(2 * deviation.log())
        after.bias += after.weight[:, :, 0, 0] @ mean
        after.weight *= deviation[None, :, None, None]


@torch.no_grad()
def held_out_psnr(network: AutoencoderKL, pictures: Pictures, device: str, most: int = 256) -> float:
    """Peak signal-to-noise ratio in dB, mean over held-out pictures on white, decoded from the latent means."""
    scores = []
    numbers = pictures.of("held")[:most]
    for chunk in np.array_split(numbers, max(1, len(numbers) // 16)):
        batch = lay_on(torch.from_numpy(pictures.pixels[chunk, 0]).to(device))
        decoded = network.decode(network.encode(batch).latent_dist.mean).sample.clamp(-1, 1)
        error = functional.mse_loss(decoded, batch, reduction="none").mean(dim=(1, 2, 3)) / 4
        scores.append(-10 * torch.log10(error + 1e-10))
    return float(torch.cat(scores).mean())
