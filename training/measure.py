"""How good an adapter is by what it predicts: what it learnt, what it only memorised, what it leaves alone.

Shapes: G works of a grid, R rows about those of one shape, C x H x W latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inference.adapters.stack import Adapter, RowAdapters, StackedAdapters
from inference.bases import Base
from training.buckets import of_one_shape
from training.captions import with_trigger
from training.curve import Gain
from training.encode import Encoded, encode_texts
from training.examination import LEVELS, SIGNS
from training.gate import Predicted
from training.loss import add_noise, loss_weights, target_of
from training.steps import timesteps_of

ROWS = 16
BOOTSTRAPS = 2000


@dataclass(frozen=True, kw_only=True)
class Questions:
    """About works of one shape: each at every level, with a noise and its opposite; and the base's answers."""

    owner_R: Tensor
    """Which of the grid's works a row belongs to, by position."""
    noised_RCHW: Tensor
    target_RCHW: Tensor
    timesteps_R: Tensor
    weights_R: Tensor
    called: list[str]
    """Prompts that call the style."""
    plain: list[str]
    """The same prompts without the trigger."""
    base_RCHW: Tensor
    """What the base predicts from the plain prompts."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Fixed questions about some works, each in its own shape.

    The same questions are put to the base and to every adapter, so their answers differ by the adapter alone.
    """

    works: tuple[int, ...]
    questions: tuple[Questions, ...]
    """Of every shape that the works have."""


def make_grid(
    base: Base,
    stack: StackedAdapters,
    data: Encoded,
    works: Sequence[int],
    *,
    gamma: float,
    seed: int,
    go_on: Callable[[], None],
) -> Grid:
    """The questions about `works`, and the base's answers."""
    alike = of_one_shape(enumerate(works), lambda owned: data.shape_of(owned[1]))
    questions = tuple(_ask(base, stack, data, owned, gamma=gamma, seed=seed, go_on=go_on) for owned in alike)
    return Grid(works=tuple(works), questions=questions)


def _ask(
    base: Base,
    stack: StackedAdapters,
    data: Encoded,
    owned: Sequence[tuple[int, int]],
    *,
    gamma: float,
    seed: int,
    go_on: Callable[[], None],
) -> Questions:
    """owned: works of one shape, each behind its position in the grid."""
    clean, noise, levels, owners, called, plain = [], [], [], [], [], []
    last = len(base.levels) - 1
    for owner, work in owned:
        latent = data.latents_VCHW[work][0]
        caption = data.captions[work][0]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + work)
        for level in LEVELS:
            drawn = torch.randn(latent.shape, generator=generator).to(latent)
            for sign in SIGNS:
                clean.append(latent)
                noise.append(sign * drawn)
                levels.append(round(level * last))
                owners.append(owner)
                called.append(with_trigger(caption, data.trigger)[0])
                plain.append(caption)
    clean_RCHW, noise_RCHW = torch.stack(clean), torch.stack(noise)
    levels_R = torch.tensor(levels, device=base.device)
    timesteps_R = timesteps_of(base, levels_R)
    noised_RCHW = add_noise(clean_RCHW, noise_RCHW, levels_R, base.levels)
    return Questions(
        owner_R=torch.tensor(owners),
        noised_RCHW=noised_RCHW,
        target_RCHW=target_of(clean_RCHW, noise_RCHW, levels_R, base.levels),
        timesteps_R=timesteps_R,
        weights_R=loss_weights(levels_R, base.levels, gamma),
        called=called,
        plain=plain,
        base_RCHW=_answers(base, stack, noised_RCHW, timesteps_R, plain, (), go_on),
    )


def measure_gain(
    base: Base, stack: StackedAdapters, grid: Grid, adapter: Adapter, *, go_on: Callable[[], None]
) -> Gain:
    """The adapter's gain over the base on the grid's works, when the style is called."""
    own, before = torch.zeros(len(grid.works)), torch.zeros(len(grid.works))
    for asked in grid.questions:
        answers = _answers(base, stack, asked.noised_RCHW, asked.timesteps_R, asked.called, ((adapter, 1.0),), go_on)
        _add_losses(own, asked, answers, asked.target_RCHW)
        _add_losses(before, asked, asked.base_RCHW, asked.target_RCHW)
    return Gain(per_work=tuple((1 - own / before).tolist()))


def measure_drift(
    base: Base, stack: StackedAdapters, grid: Grid, adapter: Adapter, *, go_on: Callable[[], None]
) -> float:
    """How far the adapter moves the base's predictions when the style is not called, as a share of the base's loss."""
    moved, before = torch.zeros(len(grid.works)), torch.zeros(len(grid.works))
    for asked in grid.questions:
        answers = _answers(base, stack, asked.noised_RCHW, asked.timesteps_R, asked.plain, ((adapter, 1.0),), go_on)
        _add_losses(moved, asked, answers, asked.base_RCHW)
        _add_losses(before, asked, asked.base_RCHW, asked.target_RCHW)
    return float(moved.sum() / before.sum())


def measure_predicted(
    base: Base,
    stack: StackedAdapters,
    held_out: Grid,
    members: Grid,
    adapter: Adapter,
    *,
    seed: int,
    go_on: Callable[[], None],
) -> tuple[Predicted, Gain]:
    """All that predictions tell of an adapter, and its gain on each of the members: the highest were learnt best."""
    outside = measure_gain(base, stack, held_out, adapter, go_on=go_on)
    inside = measure_gain(base, stack, members, adapter, go_on=go_on)
    gap, low, high = gap_interval(inside.per_work, outside.per_work, seed=seed)
    predicted = Predicted(
        heldout_gain=outside.mean,
        heldout_error=outside.error,
        member_gain=inside.mean,
        member_gap=gap,
        member_gap_low=low,
        member_gap_high=high,
        drift=measure_drift(base, stack, held_out, adapter, go_on=go_on),
    )
    return predicted, inside


def gap_interval(members: Sequence[float], held_out: Sequence[float], *, seed: int) -> tuple[float, float, float]:
    """How much more trained works have of something than held-out ones, in the mean, with a 90 % bootstrap interval."""
    draw = np.random.default_rng(seed)
    inside, outside = np.array(members), np.array(held_out)
    gaps = [
        draw.choice(inside, len(inside)).mean() - draw.choice(outside, len(outside)).mean() for _ in range(BOOTSTRAPS)
    ]
    low, high = np.quantile(gaps, [0.05, 0.95])
    return float(inside.mean() - outside.mean()), float(low), float(high)


@torch.no_grad()
def _answers(
    base: Base,
    stack: StackedAdapters,
    noised_RCHW: Tensor,
    timesteps_R: Tensor,
    prompts: Sequence[str],
    adapters: RowAdapters,
    go_on: Callable[[], None],
) -> Tensor:
    """What the base answers through `adapters`, which are taken off again; the prompts are read through them too."""
    parts = []
    texts = encode_texts(base, list(dict.fromkeys(prompts)), adapters)
    stack.bind([adapters])
    for start in range(0, len(noised_RCHW), ROWS):
        go_on()
        rows = slice(start, start + ROWS)
        asked = base.join_texts([texts[prompt] for prompt in prompts[rows]])
        parts.append(base.predict(noised_RCHW[rows], timesteps_R[rows], asked))
    stack.clear()
    return torch.cat(parts)


def _add_losses(losses_G: Tensor, asked: Questions, answers_RCHW: Tensor, target_RCHW: Tensor) -> None:
    """Add what answers are off to the losses of the works that they are about."""
    errors_R = asked.weights_R * (answers_RCHW - target_RCHW).square().mean(dim=(1, 2, 3))
    losses_G.index_add_(0, asked.owner_R, errors_R.float().cpu())
