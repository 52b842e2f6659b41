"""Pictures drawn while training, with the engine's own rows: they look as clients will see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from inference.adapters.stack import Adapter, StackedAdapters
from inference.bases import Base
from inference.denoise import Batch, Row
from inference.guidance import read_asks
from inference.messages import MAX_ASKS
from inference.readings import Readings
from training.captions import with_trigger

ROWS = 8


@dataclass(frozen=True, kw_only=True)
class Order:
    """One picture to draw: its words with the style's call (without, for a picture of the base's), and without."""

    called: str
    plain: str
    seed: int


def order_for(words: str, *, trigger: str, seed: int) -> Order:
    """A picture of the words with the style called, as `inference.messages.plan` calls it."""
    return Order(called=with_trigger(words, trigger)[0], plain=words, seed=seed)


@torch.no_grad()
def draw(
    base: Base,
    stack: StackedAdapters,
    orders: Sequence[Order],
    *,
    adapter: Adapter | None,
    guidance: float,
    go_on: Callable[[], None],
    steps: int | None = None,
) -> list[Image.Image]:
    """Draw pictures in the base's own size and sampler, and in its own number of steps unless told another.

    `go_on` is called before every step and may raise to end it.
    """
    size, adapters = base.spec.size, () if adapter is None else ((adapter, 1.0),)
    readings = Readings(base, most=MAX_ASKS * ROWS)
    rows = [
        Row(
            table=base.table(base.spec.sampler, steps=steps or base.spec.steps, width=size, height=size),
            noises=base.noises(order.seed, width=size, height=size),
            asks=read_asks(
                readings,
                called=order.called,
                plain=order.plain,
                negative="",
                adapters=adapters,
                guidance=guidance,
                style_guidance=base.spec.style_guidance,
            ),
            guidance_rescale=base.spec.guidance_rescale,
        )
        for order in orders
    ]
    pictures = []
    for start in range(0, len(rows), ROWS):
        batch = Batch(base, stack, rows[start : start + ROWS])
        batch.bind()
        while not batch.rows[0].is_finished:
            go_on()
            batch.step()
        pictures += [base.decode(row.latent_CHW[None])[0] for row in batch.rows]
    stack.clear()
    return pictures
