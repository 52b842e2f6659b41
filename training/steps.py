"""The steps: of one training, or of many in one batch over one base.

Shapes: B rows of a batch, C x H x W latent.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inference.bases import Base
from training.encode import Encoded
from training.errors import TrainingBroke
from training.loss import add_noise, loss_weights, target_of
from training.plan import Look, prior_look, style_look
from training.recipe import Recipe
from training.state import Training

FINAL_RATE = 0.1
"""The learning rate ends at this share of its highest value."""


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One step was taken."""

    step: int
    """Steps done."""
    loss: float
    seconds: float


def take_steps(training: Training) -> Iterator[StepDone]:
    """Take the steps that are left, one at a time, pausing after each."""
    for [(_, done)] in take_steps_together([training]):
        if isinstance(done, TrainingBroke):
            raise done
        yield done


def take_steps_together(trainings: Sequence[Training]) -> Iterator[list[tuple[Training, StepDone | TrainingBroke]]]:
    """Take a step of every training that is not over, in one batch; pauses after each, until none is left.

    The trainings share one base. Each has its own adapter, optimiser, order and end; in the batch their rows stand side
    by side, each seen through its own adapter, so no gradient crosses from one to another. A training whose numbers
    broke is left out from then on, and the others go on.
    """
    broken: set[int] = set()
    while active := [one for one in trainings if not one.is_over and id(one) not in broken]:
        began = time.perf_counter()
        losses = _step(active)
        seconds = time.perf_counter() - began
        ended: list[tuple[Training, StepDone | TrainingBroke]] = []
        for training, loss in zip(active, losses, strict=True):
            if math.isfinite(loss):
                training.step += 1
                ended.append((training, StepDone(step=training.step, loss=loss, seconds=seconds)))
            else:
                broken.add(id(training))
                ended.append((training, _broke(training, loss)))
        yield ended


def _broke(training: Training, loss: float) -> TrainingBroke:
    return TrainingBroke(
        f"the loss became {loss} in step {training.step + 1}; lower learning_rate in the recipe "
        f"{training.recipe.name!r} and train again"
    )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What one training asks in one step: rows in its style, then rows that are to stay as the base has them."""

    training: Training
    looks: tuple[Look, ...]
    style_rows: int


def _rows_of(training: Training) -> _Rows:
    recipe, data, split = training.recipe, training.data, training.split
    prior_rows = round(recipe.batch * recipe.prior_share)
    style_rows = recipe.batch - prior_rows
    shared: dict[str, Any] = {
        "seed": training.seed,
        "step": training.step,
        "timesteps": len(training.base.levels),
    }
    looks = [style_look(data, split, recipe, slot=slot, rows=style_rows, **shared) for slot in range(style_rows)]
    looks += [prior_look(data, split, slot=slot, **shared) for slot in range(prior_rows)]
    return _Rows(training=training, looks=tuple(looks), style_rows=style_rows)


def _step(trainings: Sequence[Training]) -> list[float]:
    """One step of each; returns the losses. A training whose loss is not finite is left as it was."""
    losses = _losses([_rows_of(training) for training in trainings])
    for training in trainings:
        training.optimizer.zero_grad(set_to_none=True)
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    values = [loss.item() for loss in losses]
    for training, value in zip(trainings, values, strict=True):
        if not math.isfinite(value):
            continue
        for group in training.optimizer.param_groups:
            group["lr"] = training.recipe.learning_rate * _rate(training.step, training.recipe)
        torch.nn.utils.clip_grad_norm_(list(training.parameters.values()), training.recipe.max_grad_norm)
        training.optimizer.step()
    return values


def _losses(batch: Sequence[_Rows]) -> list[Tensor]:
    """Of every training the mean over its style rows of the weighted error, and over its prior rows of the distance to
    what the base predicts."""
    base, stack = batch[0].training.base, batch[0].training.stack
    parts = [noised_rows(base, rows.training.data, rows.looks) for rows in batch]
    noised, target, levels_B = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    timesteps = timesteps_of(base, levels_B)
    prior = _prior_rows(batch)
    texts = [rows.training.data.texts[look.prompt] for rows in batch for look in rows.looks]
    stack.clear()
    with torch.no_grad():
        unchanged = (
            base.predict(noised[prior], timesteps[prior], base.join_texts([texts[row] for row in prior]))
            if prior
            else noised[:0]
        )
    texts = [text for rows in batch for text in _read(rows)]
    stack.bind([((rows.training.adapter, 1.0),) for rows in batch for _ in rows.looks])
    predicted = base.predict(noised, timesteps, base.join_texts(texts))
    wanted = target.index_copy(0, torch.tensor(prior, device=target.device, dtype=torch.long), unchanged)
    errors_B = (predicted - wanted).square().mean(dim=(1, 2, 3))
    losses, start = [], 0
    for rows in batch:
        recipe, own = rows.training.recipe, slice(start, start + len(rows.looks))
        weighted = loss_weights(levels_B[own], base.levels, recipe.min_snr_gamma) * errors_B[own]
        loss = weighted[: rows.style_rows].mean()
        if len(rows.looks) > rows.style_rows:
            loss = loss + recipe.prior_weight * weighted[rows.style_rows :].mean()
        losses.append(loss)
        start += len(rows.looks)
    return losses


def _prior_rows(batch: Sequence[_Rows]) -> list[int]:
    """Places in the batch of the rows that are to stay as the base has them."""
    places: list[int] = []
    start = 0
    for rows in batch:
        places += range(start + rows.style_rows, start + len(rows.looks))
        start += len(rows.looks)
    return places


def _read(rows: _Rows) -> list[object]:
    """What the denoiser reads of each row's prompt, through the training's own part for the text encoders."""
    training = rows.training
    if not training.adapter.text_layers:
        return [training.data.texts[look.prompt] for look in rows.looks]
    return training.base.encode_prompts([look.prompt for look in rows.looks], [(training.adapter, 1.0)])


def noised_rows(base: Base, data: Encoded, looks: Sequence[Look]) -> tuple[Tensor, Tensor, Tensor]:
    """Noised latents, targets (both B, C, H, W) and noise levels (B,) of some looks."""
    clean = torch.stack([data.latents_NVCHW[look.work, look.version] for look in looks])
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(look.noise_seed)) for look in looks]
    ).to(clean)
    levels_B = torch.tensor([look.timestep for look in looks], device=clean.device)
    noised = add_noise(clean, noise, levels_B, base.levels)
    return noised, target_of(clean, noise, levels_B, base.levels), levels_B


def timesteps_of(base: Base, levels_B: Tensor) -> Tensor:
    """What the denoiser is told of each row's noise level, (B,)."""
    return base.levels.timesteps_T.to(levels_B.device)[levels_B]


def _rate(step: int, recipe: Recipe) -> float:
    """Share of the learning rate in `step`: up a line, then down a cosine to FINAL_RATE."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
