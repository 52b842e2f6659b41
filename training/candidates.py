"""What may be released of a training: the adapter as it was trained and, should that remember too much, milder ones."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from inference.adapters.stack import Adapter, LayerChange
from training.state import Training
from training.wording import say

STRENGTH = 0.7
"""Share of its strength that a weaker adapter keeps."""
CAPACITY = 4
"""A smaller adapter has this part of the rank."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One adapter that may be released."""

    adapter: Adapter
    step: int
    """Steps after which it was taken."""
    rank: int
    name: str
    """What it is, to be put into a sentence: 'the adapter after 120 steps'."""


def as_trained(training: Training) -> Candidate:
    """The adapter at the look that the held-out curve chooses."""
    return at_look(training, training.taken_step)


def milder(training: Training) -> Iterator[Candidate]:
    """Adapters that remember less than the one as trained, and show less style: earlier ones from late to early, then
    a weaker one, then one of less capacity."""
    earlier = [look.step for look in training.heldout if look.step < training.taken_step]
    for step in reversed(earlier):
        yield at_look(training, step)
    trained = as_trained(training)
    yield replace(
        trained,
        adapter=_changed(trained.adapter, lambda change: weaker(change, STRENGTH)),
        name=say("weaker", step=trained.step, share=f"{STRENGTH:.0%}"),
    )
    rank = max(trained.rank // CAPACITY, 1)
    yield replace(
        trained,
        adapter=_changed(trained.adapter, lambda change: smaller(change, rank)),
        rank=rank,
        name=say("smaller", step=trained.step, rank=rank, before=trained.rank),
    )


def weaker(change: LayerChange, share: float) -> LayerChange:
    """The same change at a share of its strength."""
    return replace(change, up=change.up * share)


def smaller(change: LayerChange, rank: int) -> LayerChange:
    """The change of this rank that is nearest to it: the largest singular values and their directions.

    What was learnt from single works mostly sits in the small ones.
    """
    if rank >= len(change.down):
        return change
    up_OR, down_RI = change.up, change.down.flatten(1)
    # Of the product of two thin matrices, without ever building it.
    left_OR, left_RR = torch.linalg.qr(up_OR)
    right_IR, right_RR = torch.linalg.qr(down_RI.T)
    turn_RR, values_R, back_RR = torch.linalg.svd(left_RR @ right_RR.T)
    up = left_OR @ turn_RR[:, :rank] * values_R[:rank]
    down = back_RR[:rank] @ right_IR.T
    return LayerChange(down=down.reshape(rank, *change.down.shape[1:]), up=up)


def at_look(training: Training, step: int) -> Candidate:
    """The adapter at one of the looks at the held-out works."""
    return Candidate(
        adapter=training.adapter_at(step),
        step=step,
        rank=training.recipe.rank,
        name=say("after", step=step),
    )


def _changed(adapter: Adapter, change: Callable[[LayerChange], LayerChange]) -> Adapter:
    def every(layers: Mapping[str, LayerChange]) -> dict[str, LayerChange]:
        return {name: change(layer) for name, layer in layers.items()}

    return replace(adapter, layers=every(adapter.layers), text_layers=every(adapter.text_layers))
