"""The steps: a trainable adapter over a frozen base, saved so that a killed training continues bit for bit.

Shapes: B rows, C x H x W latent, L tokens, D text width.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from inference.adapters.stack import Adapter, LayerChange, StackedAdapters, target_layers
from inference.bases import Base
from training.checkpoint import (
    load_latest_checkpoint,
    pack_optimizer,
    save_checkpoint,
    save_tensors,
    unpack_optimizer,
)
from training.curve import Gain, HeldOutLook, chosen
from training.encode import Encoded
from training.errors import RecipeInvalid, RequestInvalid, TrainingBroke
from training.loss import add_noise, loss_weights, target_of
from training.plan import Look, Split, prior_look, style_look
from training.recipe import Recipe

FINAL_RATE = 0.1
"""The learning rate ends at this share of its highest value."""
LOOKS = ".looks"
"""Folder, beside the checkpoints, of the adapters at the looks; its name keeps it from being taken for one."""


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One step was taken."""

    step: int
    """Steps done."""
    loss: float
    seconds: float


@dataclass(kw_only=True)
class Training:
    """A training in progress: everything that a checkpoint holds, and what it stands on."""

    base: Base
    stack: StackedAdapters
    data: Encoded
    split: Split
    recipe: Recipe
    seed: int
    fingerprint: str
    """Of all that decides the result: works, recipe, base, seed. A checkpoint of anything else is refused."""
    folder: Path
    """Gets the checkpoints, and the adapter at every look at the held-out works."""
    adapter: Adapter
    optimizer: torch.optim.Optimizer
    step: int = 0
    heldout: list[HeldOutLook] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Tensor]:
        return adapter_tensors(self.adapter)

    @property
    def is_over(self) -> bool:
        return self.step >= self.recipe.steps or self._has_stalled

    @property
    def taken_step(self) -> int:
        """Steps after which the adapter is taken, as things stand."""
        return chosen(self.heldout).step if self.heldout else 0

    @property
    def _has_stalled(self) -> bool:
        """True if the last `patience` looks at held-out works were all over a standard error below the best."""
        looks_since = sum(look.step > self.taken_step for look in self.heldout)
        return 0 < self.recipe.patience <= looks_since

    def take_note(self, gain: Gain) -> None:
        """Write a held-out look down, and keep the adapter as it is now."""
        self.heldout.append(HeldOutLook(step=self.step, gain=gain))
        delivered = {name: value.detach().to(torch.float16) for name, value in self.parameters.items()}
        save_tensors(self._look_file(self.step), delivered)

    @property
    def guidance(self) -> float:
        """Of the pictures that are drawn to try the adapter."""
        return self.recipe.guidance or self.base.spec.guidance

    def adapter_at(self, step: int) -> Adapter:
        """The adapter at one of the held-out looks, with the precision in which it is delivered."""
        tensors = load_file(self._look_file(step))
        return adapter_of({name: value.to(self.base.device, torch.float32) for name, value in tensors.items()})

    def look_files(self) -> list[Path]:
        """Where the adapters of the looks so far are."""
        return [self._look_file(look.step) for look in self.heldout]

    def _look_file(self, step: int) -> Path:
        return self.folder / LOOKS / f"step-{step:06d}.safetensors"


def begin(
    base: Base,
    stack: StackedAdapters,
    data: Encoded,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    fingerprint: str,
    folder: Path,
) -> Training:
    """A training at its start: an adapter that changes nothing yet."""
    adapter = new_adapter(base, recipe, seed=seed)
    parameters = list(adapter_tensors(adapter).values())
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
    )
    return Training(
        base=base,
        stack=stack,
        data=data,
        split=split,
        recipe=recipe,
        seed=seed,
        fingerprint=fingerprint,
        folder=folder,
        adapter=adapter,
        optimizer=optimizer,
    )


def new_adapter(base: Base, recipe: Recipe, *, seed: int) -> Adapter:
    """A trainable adapter over the recipe's layers; its `up` is zero, so it changes nothing.

    Raises RecipeInvalid if the base has none of the layers.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = _new_changes(base, base.denoiser, recipe.targets or base.spec.lora_targets, recipe.rank, generator)
    if not recipe.text_targets:
        return Adapter(layers=layers)
    text_layers = _new_changes(base, base.text_stack.model, recipe.text_targets, recipe.rank, generator)
    return Adapter(layers=layers, text_layers=text_layers)


def _new_changes(
    base: Base, model: nn.Module, endings: Sequence[str], rank: int, generator: torch.Generator
) -> dict[str, LayerChange]:
    changes = {}
    for name, layer in target_layers(model, endings).items():
        out, *rest = layer.weight.shape
        bound = 1 / math.sqrt(math.prod(rest))
        down = (torch.rand(rank, *rest, generator=generator) * 2 - 1) * bound
        up = torch.zeros(out, rank)
        changes[name] = LayerChange(down=down.to(base.device).requires_grad_(), up=up.to(base.device).requires_grad_())
    if not changes:
        raise RecipeInvalid(f"base {base.spec.id!r} has no layer that ends with one of {', '.join(endings)}")
    return changes


def take_steps(training: Training) -> Iterator[StepDone]:
    """Take the steps that are left, one at a time, pausing after each."""
    while not training.is_over:
        began = time.perf_counter()
        loss = _step(training)
        training.step += 1
        yield StepDone(step=training.step, loss=loss, seconds=time.perf_counter() - began)


def save(training: Training) -> None:
    """Write a checkpoint that `resume` continues exactly."""
    tensors = {f"adapter.{name}": value for name, value in training.parameters.items()}
    tensors |= pack_optimizer(training.optimizer)
    heldout = [(look.step, look.gain.per_work) for look in training.heldout]
    state = {"step": training.step, "heldout": heldout, "fingerprint": training.fingerprint}
    save_checkpoint(training.folder, f"step-{training.step:06d}", tensors, state, beside=training.look_files())


def resume(training: Training) -> bool:
    """Continue from the newest whole checkpoint; False where there is none.

    Raises RequestInvalid if it belongs to another training.
    """
    found = load_latest_checkpoint(training.folder)
    if found is None:
        return False
    if found.state.get("fingerprint") != training.fingerprint:
        raise RequestInvalid(
            f"the checkpoint {found.name} belongs to other works, another recipe, base or seed; "
            "choose an empty scratch folder, or run the request it came from"
        )
    with torch.no_grad():
        for name, parameter in training.parameters.items():
            parameter.copy_(found.tensors[f"adapter.{name}"])
    unpack_optimizer(training.optimizer, found.tensors)
    training.step = int(found.state["step"])
    training.heldout = [
        HeldOutLook(step=step, gain=Gain(per_work=tuple(gains))) for step, gains in found.state["heldout"]
    ]
    return True


def adapter_tensors(adapter: Adapter) -> dict[str, Tensor]:
    """An adapter's tensors by `unet|<layer>|down`, `text|<layer>|up` and so on."""
    return {
        f"{model}|{name}|{part}": tensor
        for model, changes in (("unet", adapter.layers), ("text", adapter.text_layers))
        for name, change in changes.items()
        for part, tensor in (("down", change.down), ("up", change.up))
    }


def adapter_of(tensors: Mapping[str, Tensor]) -> Adapter:
    """The adapter that `adapter_tensors` took apart."""
    changes: dict[str, dict[str, LayerChange]] = {"unet": {}, "text": {}}
    for key, down in tensors.items():
        model, name, part = key.split("|")
        if part == "down":
            changes[model][name] = LayerChange(down=down, up=tensors[f"{model}|{name}|up"])
    return Adapter(layers=changes["unet"], text_layers=changes["text"])


def _step(training: Training) -> float:
    recipe, base = training.recipe, training.base
    prior_rows = round(recipe.batch * recipe.prior_share)
    style_rows = recipe.batch - prior_rows
    shared: dict[str, Any] = {"seed": training.seed, "step": training.step, "timesteps": len(base.levels)}
    looks = [
        style_look(training.data, training.split, recipe, slot=slot, rows=style_rows, **shared)
        for slot in range(style_rows)
    ]
    looks += [prior_look(training.data, training.split, slot=slot, **shared) for slot in range(prior_rows)]
    loss = _loss(training, looks, style_rows)
    if not math.isfinite(loss.item()):
        raise TrainingBroke(
            f"the loss became {loss.item()} in step {training.step + 1}; lower learning_rate in the recipe "
            f"{recipe.name!r} and train again"
        )
    for group in training.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _rate(training.step, recipe)
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(list(training.parameters.values()), recipe.max_grad_norm)
    training.optimizer.step()
    return loss.item()


def _loss(training: Training, looks: Sequence[Look], style_rows: int) -> Tensor:
    """Mean over style rows of the weighted error, and over prior rows of the distance to what the base predicts."""
    base, recipe = training.base, training.recipe
    noised, target, levels_B = noised_rows(base, training.data, looks)
    timesteps = timesteps_of(base, levels_B)
    texts = [training.data.texts[look.prompt] for look in looks]
    prior = slice(style_rows, len(looks))
    training.stack.clear()
    with torch.no_grad():
        unchanged = (
            base.predict(noised[prior], timesteps[prior], base.join_texts(texts[prior]))
            if len(looks) > style_rows
            else None
        )
    training.stack.bind([[(training.adapter, 1.0)]])
    if training.adapter.text_layers:
        texts = base.encode_prompts([look.prompt for look in looks], [(training.adapter, 1.0)])
    predicted = base.predict(noised, timesteps, base.join_texts(texts))
    weights = loss_weights(levels_B, base.levels, recipe.min_snr_gamma)
    errors = (predicted[:style_rows] - target[:style_rows]).square().mean(dim=(1, 2, 3))
    loss = (weights[:style_rows] * errors).mean()
    if unchanged is not None:
        distances = (predicted[prior] - unchanged).square().mean(dim=(1, 2, 3))
        loss = loss + recipe.prior_weight * (weights[prior] * distances).mean()
    return loss


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
