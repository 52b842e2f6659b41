"""Stage `autoencoder`: pictures to a few latent numbers and back."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from training.base.data import Pictures, read_data
from training.base.errors import StageMissing
from training.base.loop import UNPLANNED, Plan, new_run, part, resume, steps_in, train
from training.base.networks import generator, new_autoencoder
from training.base.paper import lay_on, soft_paper
from training.base.recipe import BaseRecipe
from training.checkpoint import load_latest_checkpoint

CROP = 64
SOFT_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Drawings (B, s, s, 4) uint8 and the papers (B, 3, s, s) under them, before they are laid on each other."""

    drawings: Tensor
    paper: Tensor


def train_autoencoder(
    recipe: BaseRecipe, work: Path, device: str, minutes: float, steps: int, say: Callable[[str], None]
) -> None:
    """Train, or go on training, the autoencoder of `work`; `steps` (0: as many as fit into `minutes`) sets the plan."""
    torch.manual_seed(recipe.seed)
    pictures = read_data(work)
    network = new_autoencoder(recipe.autoencoder, recipe.data.size).to(device, memory_format=torch.channels_last)
    run = new_run(network, weight_decay=0.0)
    planned = resume(run, work / "autoencoder")
    numbers = pictures.of("train")
    shape = recipe.autoencoder
    plan = Plan(
        steps=steps or planned or UNPLANNED,
        learning_rate=shape.learning_rate,
        warmup=shape.warmup,
        ema=shape.ema,
        matrix_factor=shape.matrix_factor,
    )
    turn = 0

    def gradient(step: int) -> Tensor:
        batch = pictures_at(recipe, pictures, numbers, step, crops=step < turn)
        laid = lay_on(batch.drawings.to(device), batch.paper.to(device))
        loss = autoencoder_loss(network, laid, generator(recipe.seed, 2, step), recipe)
        torch.autograd.backward(loss)
        return loss.detach()

    if plan.steps == UNPLANNED:
        plan = replace(plan, steps=steps_in(minutes, run, plan, gradient))
    turn = int(shape.crop_share * plan.steps)
    say(f"autoencoder: step {run.step} of {plan.steps}, crops until {turn}, on {device}")
    train(run, plan, gradient, work / "autoencoder", say)
    network.load_state_dict(run.average)
    say(f"PSNR on held-out pictures: {held_out_psnr(network, pictures, device):.2f} dB")


def autoencoder_loss(network: AutoencoderKL, batch: Tensor, noise: torch.Generator, recipe: BaseRecipe) -> Tensor:
    """L1 of pixels plus L1 of neighbour differences (edges) plus a little KL. `batch`: (B, 3, s, s) in -1..1."""
    posterior = network.encode(batch).latent_dist
    drawn = torch.randn(posterior.mean.shape, generator=noise).to(batch.device)
    decoded = network.decode(posterior.mean + posterior.std * drawn).sample
    pixels = (decoded - batch).abs().mean()
    edges = sum((torch.diff(decoded, dim=d) - torch.diff(batch, dim=d)).abs().mean() for d in (2, 3))
    divergence = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    loss: Tensor = pixels + recipe.autoencoder.gradient * edges + recipe.autoencoder.kl * divergence
    return loss


def pictures_at(recipe: BaseRecipe, pictures: Pictures, numbers: np.ndarray, step: int, crops: bool) -> Batch:
    """The batch of a step: mixed layouts, mirrored or not, on white or on soft paper."""
    size, shape = recipe.data.size, recipe.autoencoder
    side = CROP if crops else size
    picks = [
        random.Random(f"{recipe.seed}/{step}/{slot}") for slot in range(shape.crop_batch if crops else shape.batch)
    ]
    drawings = []
    for pick in picks:
        top, left = pick.randrange(size - side + 1), pick.randrange(size - side + 1)
        whole = pictures.pixels[pick.choice(numbers), pick.randrange(recipe.data.layouts)]
        drawing = whole[top : top + side, left : left + side]
        drawings.append(drawing[:, ::-1] if pick.random() < 0.5 else drawing)
    return Batch(drawings=torch.from_numpy(np.stack(drawings)), paper=soft_paper(picks, side, SOFT_SHARE))


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
