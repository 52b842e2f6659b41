"""Stage `denoiser`: captions to latents. The text encoder learns along with the UNet."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from inference.noising import NoiseLevels, diffusion_levels
from inference.precision import has_bfloat16_units
from training.base.captions import caption
from training.base.data import cumulative_shares
from training.base.latents import GROUND_CAPTION, Latents, is_varied, read_latents
from training.base.loop import Session, carry_out, make_plan, new_run
from training.base.networks import (
    TIMESTEPS,
    generator,
    new_denoiser,
    new_scheduler,
    new_text_encoder,
)
from training.base.recipe import BaseRecipe
from training.base.tokens import load_tokenizer
from training.loss import add_noise, loss_weights, target_of

VIEW_SHARES = (0.62, 0.28, 0.1)
HELD_OUT_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's batch: latents (B, C, s, s), token ids (B, length), timesteps (B,), noise like the latents."""

    clean: Tensor
    tokens: Tensor
    timesteps: Tensor
    noise: Tensor

    def part(self, rows: slice) -> "Batch":
        """Some rows of the batch."""
        return Batch(
            clean=self.clean[rows], tokens=self.tokens[rows], timesteps=self.timesteps[rows], noise=self.noise[rows]
        )


class TextToLatents(nn.Module):
    """The UNet and its text encoder as one network with one optimiser.

    Computes in bfloat16 where the machine has units for it (a GPU, a CPU with AMX); weights stay float32.
    """

    def __init__(self, recipe: BaseRecipe, tokenizer: CLIPTokenizer, device: str = "cpu") -> None:
        super().__init__()
        self.device = torch.device(device)
        self.mixed = has_bfloat16_units(self.device)
        self.unet = new_denoiser(recipe)
        self.text: CLIPTextModel = new_text_encoder(recipe.text, tokenizer.bos_token_id, tokenizer.eos_token_id)
        if self.device.type == "cpu":
            # In bfloat16 on a CPU, the fused attention of torch 2.13 takes half of the whole time.
            self.unet.set_attn_processor(AttnProcessor())
            self.text.set_attn_implementation("eager")
        else:
            self.unet.to(memory_format=torch.channels_last)
        self.to(self.device)

    def forward(self, noised: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """Predicted velocity, shaped like `noised`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            states = self.text(tokens)[0]
            predicted: Tensor = self.unet(noised, timesteps, states).sample
        return predicted.float()


def train_denoiser(recipe: BaseRecipe, work: Path, session: Session) -> None:
    """Train, or go on training, the denoiser of `work`."""
    torch.manual_seed(recipe.seed)
    latents, tokenizer = read_latents(work), load_tokenizer(work)
    network = TextToLatents(recipe, tokenizer, session.device)
    run = new_run(network, weight_decay=0.01)
    levels = diffusion_levels(new_scheduler().config)
    numbers = latents.of("train")
    shares = cumulative_shares(latents.rows, numbers, recipe.data.weights)

    def loss_of(step: int, rows: slice) -> Tensor:
        batch = batch_at(recipe, latents, numbers, shares, tokenizer, step).part(rows)
        return denoiser_loss(network, batch, levels, recipe.denoiser.gamma, session.device)

    plan = make_plan(run, recipe.denoiser, loss_of, work / "denoiser", session)
    carry_out(run, plan, loss_of, work / "denoiser", session)
    session.say(f"loss on held-out pictures {held_out_loss(recipe, network, latents, tokenizer, session.device):.4f}")


def denoiser_loss(network: TextToLatents, batch: Batch, levels: NoiseLevels, gamma: float, device: str) -> Tensor:
    """Weighted squared error of the velocity, a scalar."""
    clean, noise, timesteps = batch.clean.to(device), batch.noise.to(device), batch.timesteps.to(device)
    predicted = network(add_noise(clean, noise, timesteps, levels), timesteps, batch.tokens.to(device))
    errors = (predicted - target_of(clean, noise, timesteps, levels)).square().mean(dim=(1, 2, 3))
    loss: Tensor = (errors * loss_weights(timesteps, levels, gamma)).mean()
    return loss


def batch_at(
    recipe: BaseRecipe,
    latents: Latents,
    numbers: np.ndarray,
    shares: np.ndarray,
    tokenizer: CLIPTokenizer,
    step: int,
) -> Batch:
    """The batch of a step: a pure function of the recipe's seed and the step number.

    Pictures and timesteps are drawn evenly spread (one from each B-th part), which makes the gradient less noisy.
    """
    size = recipe.denoiser.batch
    order = np.random.default_rng([recipe.seed, step])
    drawn = np.searchsorted(shares, (np.arange(size) + order.random(size)) / size).clip(max=len(numbers) - 1)
    levels = order.permutation((np.arange(size) + order.random(size)) / size)
    views = order.choice(len(VIEW_SHARES), size=size, p=VIEW_SHARES)
    rows = numbers[drawn]
    views = np.where([is_varied(latents.rows[row]) for row in rows], views, 0)
    pick = random.Random(f"{recipe.seed}/captions/{step}")
    captions = [_caption(recipe, latents, row, view, pick) for row, view in zip(rows, views, strict=True)]
    clean = latents.values[torch.from_numpy(rows), torch.from_numpy(views)].float()
    return Batch(
        clean=clean,
        tokens=token_ids(tokenizer, captions),
        timesteps=torch.from_numpy((levels * TIMESTEPS).astype(np.int64)),
        noise=torch.randn(clean.shape, generator=generator(recipe.seed, 3, step)),
    )


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Ids (B, length) of captions, padded as the pipeline pads prompts."""
    ids: Tensor = tokenizer(
        captions, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return ids


@torch.no_grad()
def held_out_loss(
    recipe: BaseRecipe, network: TextToLatents, latents: Latents, tokenizer: CLIPTokenizer, device: str
) -> float:
    """Mean loss over fixed batches of pictures never trained on."""
    numbers = latents.of("held")
    shares = cumulative_shares(latents.rows, numbers, recipe.data.weights)
    levels = diffusion_levels(new_scheduler().config)
    losses = [
        denoiser_loss(
            network, batch_at(recipe, latents, numbers, shares, tokenizer, step), levels, recipe.denoiser.gamma, device
        )
        for step in range(HELD_OUT_BATCHES)
    ]
    return float(torch.stack(losses).mean())


def _caption(recipe: BaseRecipe, latents: Latents, row: int, view: int, pick: random.Random) -> str:
    if pick.random() < recipe.denoiser.text_dropout:
        return ""
    subject = latents.rows[row]
    words = caption(subject, recipe.data.styles[subject["set"]], pick)
    return f"{words}, {GROUND_CAPTION}" if view == 2 else words
