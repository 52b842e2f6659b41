"""A training in progress: adapter, optimiser and where it stands, saved so that a killed one goes on bit for bit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from training.errors import RecipeInvalid, RequestInvalid
from training.kept import LOOKS, look_name
from training.messages import Way
from training.plan import Split
from training.recipe import Recipe


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
    way: Way = field(default_factory=Way)
    step: int = 0
    is_stopped: bool = False
    """True: no further step is taken in this run, whatever is left."""
    spent_s: float = 0.0
    """Time that earlier runs of it took, up to the checkpoint that this one goes on from."""
    heldout: list[HeldOutLook] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Tensor]:
        return adapter_tensors(self.adapter)

    @property
    def is_over(self) -> bool:
        return self.is_stopped or self.step >= self.recipe.steps or self._has_stalled

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
        save_tensors(self.look_file(self.step), delivered)

    @property
    def guidance(self) -> float:
        """Of the pictures that are drawn to try the adapter."""
        return self.recipe.guidance or self.base.spec.guidance

    def adapter_at(self, step: int) -> Adapter:
        """The adapter at one of the held-out looks, with the precision in which it is delivered."""
        tensors = load_file(self.look_file(step))
        return adapter_of({name: value.to(self.base.device, torch.float32) for name, value in tensors.items()})

    def look_files(self) -> list[Path]:
        """Where the adapters of the looks so far are."""
        return [self.look_file(look.step) for look in self.heldout]

    def look_file(self, step: int) -> Path:
        """Where the adapter of the look after so many steps is."""
        return self.folder / LOOKS / look_name(step)


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
    way: Way | None = None,
) -> Training:
    """A training at its start: an adapter that changes nothing yet. Without a way it takes the plain one."""
    adapter = new_adapter(base, recipe, seed=seed)
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
        optimizer=new_optimizer(adapter, recipe),
        way=way or Way(),
    )


def new_optimizer(adapter: Adapter, recipe: Recipe) -> torch.optim.Optimizer:
    """What moves an adapter's tensors along their gradients."""
    return torch.optim.AdamW(
        list(adapter_tensors(adapter).values()),
        lr=recipe.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=recipe.weight_decay,
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


def save(training: Training) -> None:
    """Write a checkpoint that `resume` continues exactly."""
    tensors = {f"adapter.{name}": value for name, value in training.parameters.items()}
    tensors |= pack_optimizer(training.optimizer)
    heldout = [(look.step, look.gain.per_work) for look in training.heldout]
    state = {
        "step": training.step,
        "spent_s": training.spent_s,
        "heldout": heldout,
        "fingerprint": training.fingerprint,
    }
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
    training.spent_s = float(found.state.get("spent_s", 0.0))
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
