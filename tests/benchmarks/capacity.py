"""What a style is learnt with: low-rank changes of every layer, fewer of them, fewer where it is noisy, rotations.

Every kind learns from the same works in the same order and is measured as the gate does. T-LoRA (arXiv 2507.05964)
gives an adapter fewer ranks at high noise, B-LoRA (arXiv 2403.14572) changes some blocks only, OFT (arXiv 2306.07280)
turns what goes into a layer instead of adding to what comes out.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import OFTConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from inference.adapters.stack import Adapter, LayerChange, RowAdapters, StackedAdapters
from tests.benchmarks.drawn_works import read_shown
from tests.benchmarks.examined import examine_training
from tests.benchmarks.figures import Figure
from tests.benchmarks.styles import HELD_OUT, PORTFOLIO
from training.again import look_for_copies
from training.base.sources import words_of
from training.gate import Scores, judge
from training.recipe import load_recipe
from training.state import Training, new_optimizer
from training.trial import compare

SETS = {name: HELD_OUT[name] for name in ("streamline-ultimate-color", "streamline-stickies-color")}
"""One of lines, one of grounds."""
LINEAR = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
"""Layers that peft's OFT can turn: over convolutions of 3 x 3 it changes the answers before it has learnt anything."""
ROTATION_RATE = 0.3
"""Of the recipe's learning rate: 1 and 3 times it gained less on unseen works, on the first of the sets."""
LEAST_RANK = 0.5
"""Share of its rank that T-LoRA keeps at the highest noise, as in its paper."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to learn a style: how the recipe is changed, and what is made of a training before its first step."""

    name: str
    recipe: dict[str, Any]
    change: Callable[[Training], None] | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for sets and trainings")
    parser.add_argument("--base", default="openicons")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS), help="default: all")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="default: all")


def measure(
    *, seed: int, say: Callable[[str], None], work: Path, base: str, sets: list[str], kinds: list[str]
) -> list[Figure]:
    """Every kind on every set; the figures are means over the sets."""
    torch.set_num_threads(1)
    figures: list[Figure] = []
    portfolios = {
        name: [(words_of(drawing.name), drawing.svg) for drawing, _ in read_shown(name, SETS[name], work, seed=seed)]
        for name in sets
    }
    for kind in kinds:
        found = []
        for name, drawings in portfolios.items():
            folder = work / "capacity" / f"{name}, {kind}"
            found.append(_learn(KINDS[kind], drawings[:PORTFOLIO], base, folder, seed=seed))
            say(f"{name}, {kind}: " + ", ".join(f"{figure.name} {figure.value:.3g}" for figure in found[-1]))
        figures += [
            replace(alike[0], name=f"{kind}: {alike[0].name}", value=sum(one.value for one in alike) / len(alike))
            for alike in zip(*found, strict=True)
        ]
    return figures


def _learn(kind: Kind, works: Sequence[tuple[str, str]], base: str, folder: Path, *, seed: int) -> list[Figure]:
    plain = load_recipe(f"{base}-style")
    # The last state of each is measured: what an early look would choose is the same question for all of them.
    recipe = replace(plain, heldout_every=plain.steps, checkpoint_every=plain.steps, patience=0, **kind.recipe)
    seconds: list[float] = []

    def begin(training: Training) -> None:
        if kind.change is not None:
            kind.change(training)
        seconds.append(time.process_time())
        training.optimizer.register_step_post_hook(lambda *_: seconds.append(time.process_time()))

    examined = examine_training(works, recipe, base, folder, seed=seed, change=begin)
    training, exam = examined.training, examined.exam
    found = look_for_copies(training, exam.control, examined.adapter, examined.pictures, go_on=exam.go_on)
    trial = compare(training, exam.control, examined.pictures, exam.names, found)
    scores = Scores(predicted=exam.predicted, drawn=trial.drawn)
    predicted, drawn = scores.predicted, scores.drawn
    learnt = [tensor for group in training.optimizer.param_groups for tensor in group["params"]]
    return [
        Figure(name="closer to unseen works than the base", value=predicted.heldout_gain, unit="share"),
        Figure(name="closer to trained ones than to unseen", value=predicted.member_gap, unit="share"),
        Figure(name="drift without the call", value=predicted.drift, unit="share"),
        Figure(name="way to the works' hand", value=drawn.hand, unit="of 1"),
        Figure(name="weight of the style", value=examined.adapter.style_guidance, unit="times"),
        Figure(name="works recalled by the style", value=drawn.recalled - drawn.recalled_without, unit="works"),
        Figure(name="near-copies", value=drawn.copies, unit="pictures"),
        Figure(name="passed", value=float(judge(scores, recipe.gate).passed), unit="share"),
        Figure(name="a step", value=(seconds[-1] - seconds[0]) / (len(seconds) - 1), unit="CPU-s"),
        Figure(name="adapter", value=sum(tensor.numel() for tensor in learnt) * 2 / 1e6, unit="MB"),
    ]


class ByNoise(StackedAdapters):
    """Adapters whose last ranks are left out where it is noisy: the noisier, the more of them (T-LoRA)."""

    def __init__(self, model: nn.Module, *, num_timesteps: int) -> None:
        super().__init__(model)
        self._asked: Sequence[RowAdapters] = ()
        self._num_timesteps = num_timesteps
        model.register_forward_pre_hook(self._cut)

    def bind(self, rows: Sequence[RowAdapters]) -> None:
        """See StackedAdapters; what is added is only known once the noise levels are."""
        self.clear()
        self._asked = rows

    def clear(self) -> None:
        super().clear()
        self._asked = ()

    def _cut(self, _: nn.Module, asked: tuple[Tensor, ...]) -> None:
        rows = self._asked
        if not rows:
            return
        timesteps_B = asked[1].tolist()
        # Rows that are all alike are bound for a batch of any size.
        rows = rows if len(rows) == len(timesteps_B) else list(rows[:1]) * len(timesteps_B)
        cut: dict[tuple[int, float], Adapter] = {}
        for row, timestep in zip(rows, timesteps_B, strict=True):
            for adapter, _strength in row:
                # Of one object for each share, so that rows that are alike are seen to be.
                cut.setdefault((id(adapter), timestep), _with_ranks(adapter, self._share(timestep)))
        super().bind(
            [
                tuple((cut[id(adapter), timestep], strength) for adapter, strength in row)
                for row, timestep in zip(rows, timesteps_B, strict=True)
            ]
        )
        self._asked = rows

    def _share(self, timestep: float) -> float:
        return LEAST_RANK + (1 - LEAST_RANK) * (1 - timestep / self._num_timesteps)


class InPlace(StackedAdapters):
    """For a model that has its changes inside: rows with an adapter are seen through them, others without."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._asked: list[bool] = []
        self._plain = model.forward
        self._tuned = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        model.forward = self._forward  # type: ignore[method-assign]

    def bind(self, rows: Sequence[RowAdapters]) -> None:
        self._asked = [bool(row) for row in rows]

    def clear(self) -> None:
        self._asked = []

    def _forward(self, *tensors: Tensor, return_dict: bool) -> tuple[Tensor, ...]:
        if len(set(self._asked)) < 2:
            return self._through(tensors, is_on=any(self._asked))
        chosen_B = torch.tensor(self._asked)
        parts = {is_on: self._through([t[chosen_B == is_on] for t in tensors], is_on=is_on) for is_on in (True, False)}
        answer = parts[True][0].new_empty(len(chosen_B), *parts[True][0].shape[1:])
        for is_on, (part,) in parts.items():
            answer[chosen_B == is_on] = part
        return (answer,)

    def _through(self, tensors: Iterable[Tensor], *, is_on: bool) -> tuple[Tensor, ...]:
        for layer in self._tuned:
            layer.enable_adapters(is_on)
        return self._plain(*tensors, return_dict=False)  # type: ignore[no-any-return]


class TwoRates(torch.optim.AdamW):
    """The training sets one rate for all; rotations take `factor` times that, and are clipped by themselves."""

    def __init__(self, training: Training, rotations: Sequence[nn.Parameter], *, factor: float) -> None:
        groups = [{"params": list(training.parameters.values())}, {"params": list(rotations)}]
        self._rotations, self._factor, self._norm = list(rotations), factor, training.recipe.max_grad_norm
        super().__init__(groups, lr=training.recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)

    def step(self, closure: Any = None) -> None:
        self.param_groups[1]["lr"] *= self._factor
        torch.nn.utils.clip_grad_norm_(self._rotations, self._norm)
        super().step(closure)


def _with_ranks(adapter: Adapter, share: float) -> Adapter:
    return replace(adapter, layers={name: _cut_change(change, share) for name, change in adapter.layers.items()})


def _cut_change(change: LayerChange, share: float) -> LayerChange:
    rank = max(int(len(change.down) * share), 1)
    return LayerChange(down=change.down[:rank], up=change.up[:, :rank])


def _by_noise(training: Training) -> None:
    training.stack = ByNoise(training.base.denoiser, num_timesteps=len(training.base.levels))


def _only(beginnings: tuple[str, ...], training: Training) -> None:
    layers = {name: change for name, change in training.adapter.layers.items() if name.startswith(beginnings)}
    training.adapter = replace(training.adapter, layers=layers)
    training.optimizer = new_optimizer(training.adapter, training.recipe)


def _rotate(size: int, factor: float, training: Training) -> None:
    denoiser = training.base.denoiser
    inject_adapter_in_model(OFTConfig(oft_block_size=size, r=0, target_modules=list(training.adapter.layers)), denoiser)
    training.adapter = replace(training.adapter, layers={})
    training.stack = InPlace(denoiser)
    rotations = [parameter for name, parameter in denoiser.named_parameters() if "oft_" in name]
    training.optimizer = TwoRates(training, rotations, factor=factor)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="LoRA of the recipe", recipe={}),
        Kind(name="LoRA of rank 4", recipe={"rank": 4}),
        Kind(name="T-LoRA", recipe={}, change=_by_noise),
        Kind(name="B-LoRA, second half", recipe={}, change=partial(_only, ("up_blocks",))),
        Kind(name="B-LoRA, last block", recipe={}, change=partial(_only, ("up_blocks.1",))),
        Kind(name="LoRA, linear layers", recipe={"targets": LINEAR}),
        Kind(
            name="OFT of blocks of 16, linear layers",
            recipe={"targets": LINEAR},
            change=partial(_rotate, 16, ROTATION_RATE),
        ),
    )
}
