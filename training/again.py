"""Whether a near-copy comes again: what a style remembers does, with any noise; a likeness by chance does not.

One picture of dozens may be like a work because the dice fell so. Whoever delivers pictures looks at each of them
(`inference/checkers/near_copies.py`); the gate asks what a style does of itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from inference.adapters.stack import Adapter
from training.control import Control
from training.copies import Copy, Sampled, Sight, find_copies, see
from training.examination import AGAIN, DOUBTED
from training.sampling import Order, draw
from training.state import Training
from training.trial import Found, Pictures, Suspect, far_beyond, suspects_of

SEEDS_APART = 100_003
"""Between one noise of a picture and its next: farther than the seeds of a trial lie from each other."""


def look_for_copies(
    training: Training, control: Control, adapter: Adapter, pictures: Pictures, *, go_on: Callable[[], None]
) -> Found:
    """The near-copies among the pictures. Up to DOUBTED of them are drawn again, and count if one comes again.

    `go_on` is called before every step and may raise to end it.
    """
    suspects = suspects_of(control, pictures)
    copies = find_copies([one.sampled for one in suspects], control.learnt, training.recipe.gate)
    if len(copies) > DOUBTED:
        return Found(copies=tuple(copies))
    kept = [copy for copy in copies if _comes_again(training, control, adapter, suspects, copy, go_on)]
    return Found(copies=tuple(kept), once=len(copies) - len(kept))


def _comes_again(
    training: Training,
    control: Control,
    adapter: Adapter,
    suspects: Sequence[Suspect],
    copy: Copy,
    go_on: Callable[[], None],
) -> bool:
    """Whether the same words bring a near-copy with other noise: of the same work, or of any where they name none."""
    suspect = suspects[copy.sample]
    orders = [replace(suspect.order, seed=suspect.order.seed + SEEDS_APART * (1 + time)) for time in range(AGAIN)]

    def drawn(orders: Sequence[Order], adapter: Adapter | None) -> list[Sight]:
        images = draw(
            training.base,
            training.stack,
            orders,
            adapter=adapter,
            guidance=training.guidance,
            steps=suspect.steps,
            go_on=go_on,
        )
        return [see(image) for image in images]

    before = drawn([replace(order, called=order.plain) for order in orders], None)
    after = drawn(orders, far_beyond(training, adapter) if suspect.is_far else adapter)
    again = [
        Sampled(with_style=one, without=other, work=suspect.sampled.work)
        for one, other in zip(after, before, strict=True)
    ]
    return bool(find_copies(again, control.learnt, training.recipe.gate))
