"""The steps: of one training, or of many in one batch over one base.

Shapes: B rows of a batch, C x H x W latent.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from inference.bases import Base
from training.buckets import of_one_shape
from training.encode import Encoded
from training.errors import TooLarge, TrainingBroke
from training.loss import add_noise, loss_weights, target_of
from training.plan import Look, prior_look, style_look
from training.recipe import Recipe
from training.state import Training
from training.ways import computed, threaded

FINAL_RATE = 0.1
"""The learning rate ends at this share of its highest value."""


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One step was taken."""

    step: int
    """Steps done."""
    loss: float
    seconds: float
    """That the batch of this step took."""
    share: float
    """Of the batch's rows that were this training's own; 1 where it was alone."""
    rows_at_once: int
    """Rows of the whole batch that fitted into memory together."""

    @property
    def own_s(self) -> float:
        """Its share of the time: by rows, for every row costs the same whoever it is of."""
        return self.seconds * self.share


def take_steps(training: Training) -> Iterator[StepDone]:
    """Take the steps that are left, one at a time, pausing after each."""
    for [(_, done)] in take_steps_together([training]):
        if isinstance(done, TrainingBroke):
            raise done
        yield done


def take_steps_together(
    trainings: Sequence[Training], *, most_rows: int = 0
) -> Iterator[list[tuple[Training, StepDone | TrainingBroke]]]:
    """Take a step of every training that is not over, in one batch; pauses after each, until none is left.

    The trainings share one base and one way of computing. Each has its own adapter, optimiser, order and end; in the
    batch their rows stand side by side, each seen through its own adapter, so no gradient crosses from one to another.
    A training whose numbers broke is left out from then on, and the others go on. A batch that holds works of several
    shapes, or does not fit into memory, is taken in parts, which add up to the same step. most_rows: of all trainings,
    at once; 0: as many as each one's way allows. Raises TooLarge if not even one row fits.
    """
    broken: dict[int, TrainingBroke] = {}
    if not trainings:
        return
    rows_at_once = _rows_that_fit(trainings, most_rows)
    while active := [one for one in trainings if not one.is_over and id(one) not in broken]:
        began = time.perf_counter()
        with threaded(active[0].way):
            losses, rows_at_once = _learn(active, rows_at_once)
            for training, loss in zip(active, losses, strict=True):
                if not math.isfinite(loss):
                    broken[id(training)] = _broke(training, f"the loss became {loss}")
                elif not math.isfinite(steepness := _apply(training)):
                    broken[id(training)] = _broke(training, f"the loss became endlessly steep ({steepness})")
                else:
                    training.step += 1
        seconds, rows = time.perf_counter() - began, _rows(active)
        yield [
            (
                training,
                broken.get(id(training))
                or StepDone(
                    step=training.step,
                    loss=loss,
                    seconds=seconds,
                    share=training.recipe.batch / rows,
                    rows_at_once=rows_at_once,
                ),
            )
            for training, loss in zip(active, losses, strict=True)
        ]


def _rows(trainings: Sequence[Training]) -> int:
    return sum(training.recipe.batch for training in trainings)


def _rows_that_fit(trainings: Sequence[Training], most_rows: int) -> int:
    limits = [most_rows, *(training.way.rows_at_once for training in trainings)]
    return min([_rows(trainings), *(limit for limit in limits if limit)])


def _broke(training: Training, what: str) -> TrainingBroke:
    return TrainingBroke(
        f"{what} in step {training.step + 1}; lower learning_rate in the recipe {training.recipe.name!r} and train"
        " again"
    )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row of a batch."""

    training: Training
    look: Look
    is_prior: bool
    """Whether it is to stay as the base has it, or to learn the style."""
    share: float
    """Of its weighted error in the training's loss: a mean over style rows and one over prior rows."""


def _rows_of(training: Training) -> list[_Row]:
    recipe, data, split = training.recipe, training.data, training.split
    prior_rows = recipe.num_prior_rows
    style_rows = recipe.batch - prior_rows
    shared: dict[str, Any] = {
        "seed": training.seed,
        "step": training.step,
        "timesteps": len(training.base.levels),
    }
    looks = [style_look(data, split, recipe, slot=slot, rows=style_rows, **shared) for slot in range(style_rows)]
    priors = [prior_look(data, split, slot=slot, **shared) for slot in range(prior_rows)]
    return [_Row(training=training, look=look, is_prior=False, share=1 / style_rows) for look in looks] + [
        _Row(training=training, look=look, is_prior=True, share=recipe.prior_weight / prior_rows) for look in priors
    ]


def _learn(trainings: Sequence[Training], rows_at_once: int) -> tuple[list[float], int]:
    """Leave each training's gradient in its parameters; returns the losses, and how many rows fitted at once."""
    while True:
        try:
            return _gradients(trainings, rows_at_once), rows_at_once
        except torch.OutOfMemoryError as error:
            if rows_at_once == 1:
                base = trainings[0].base
                raise TooLarge(
                    f"not even one row of a training over base {base.spec.id!r} fits into the memory of {base.device}; "
                    "choose a device with more memory, or a smaller base"
                ) from error
        rows_at_once = max(rows_at_once // 2, 1)


def _gradients(trainings: Sequence[Training], rows_at_once: int) -> list[float]:
    for training in trainings:
        training.optimizer.zero_grad(set_to_none=True)
    losses = {id(training): 0.0 for training in trainings}
    rows = [row for training in trainings for row in _rows_of(training)]
    for part in _parts(rows, rows_at_once):
        weighted_B = _weighted_errors(part)
        weighted_B.sum().backward()  # type: ignore[no-untyped-call]
        for row, value in zip(part, weighted_B.tolist(), strict=True):
            losses[id(row.training)] += value
    return list(losses.values())


def _parts(rows: Sequence[_Row], rows_at_once: int) -> list[list[_Row]]:
    """The rows in parts that can be a batch: works of one shape, and no more of them than fit into memory."""
    return [
        alike[start : start + rows_at_once]
        for alike in of_one_shape(rows, lambda row: row.training.data.shape_of(row.look.work))
        for start in range(0, len(alike), rows_at_once)
    ]


def _apply(training: Training) -> float:
    """Move the adapter along its gradient, whose length this returns; where that is no number the adapter stays."""
    for group in training.optimizer.param_groups:
        group["lr"] = training.recipe.learning_rate * _rate(training.step, training.recipe)
    length = float(torch.nn.utils.clip_grad_norm_(list(training.parameters.values()), training.recipe.max_grad_norm))
    if math.isfinite(length):
        training.optimizer.step()
    return length


def _weighted_errors(rows: Sequence[_Row]) -> Tensor:
    """What each row (B,) adds to its training's loss: the squared distance to its target or, for prior rows, to what
    the base predicts. The rows' works have one shape; a row weighs the same in any."""
    base, stack, way = rows[0].training.base, rows[0].training.stack, rows[0].training.way
    parts = [noised_rows(base, row.training.data, [row.look]) for row in rows]
    noised, target, levels_B = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    timesteps_B = timesteps_of(base, levels_B)
    if prior := [place for place, row in enumerate(rows) if row.is_prior]:
        texts = [rows[place].training.data.texts[rows[place].look.prompt] for place in prior]
        stack.clear()
        with torch.no_grad(), computed(base, way):
            target[prior] = base.predict(noised[prior], timesteps_B[prior], base.join_texts(texts)).to(target)
    stack.bind([((row.training.adapter, 1.0),) for row in rows])
    with computed(base, way):
        predicted = base.predict(noised, timesteps_B, base.join_texts(_read(rows)))
    errors_B = (predicted - target).square().mean(dim=(1, 2, 3))
    weights = [
        row.share * loss_weights(level, base.levels, row.training.recipe.min_snr_gamma)
        for row, level in zip(rows, levels_B[:, None], strict=True)
    ]
    return torch.cat(weights) * errors_B


def _read(rows: Sequence[_Row]) -> list[object]:
    """What the denoiser reads of each row's prompt, through its training's own part for the text encoders."""
    texts: list[object] = []
    for _, of_one in groupby(rows, key=lambda row: id(row.training)):
        own = list(of_one)
        training, prompts = own[0].training, [row.look.prompt for row in own]
        if training.adapter.text_layers:
            texts += training.base.encode_prompts(prompts, [(training.adapter, 1.0)])
        else:
            texts += [training.data.texts[prompt] for prompt in prompts]
    return texts


def noised_rows(base: Base, data: Encoded, looks: Sequence[Look]) -> tuple[Tensor, Tensor, Tensor]:
    """Noised latents, targets (both B, C, H, W) and noise levels (B,) of looks at works of one shape."""
    clean = torch.stack([data.latents_VCHW[look.work][look.version] for look in looks])
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
