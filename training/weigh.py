"""How much a style should weigh in a picture: drawn at rising weights, until the pictures come near the works' hand.

A style of thin lines hardly shows at a weight at which one of full grounds has already covered the things
(`inference.guidance` says what a weight does). So the weight is measured for every adapter and travels in its file.
"""

from collections.abc import Callable
from dataclasses import replace

from inference.adapters.stack import Adapter
from training.control import Control
from training.examination import SHARES, WEIGHED
from training.recognise import compare_hands
from training.sampling import draw, order_for
from training.state import Training

ENOUGH = 0.8
"""Way from the base's hand (0) to the works' own (1) that is enough. Further on things lose more than the style gains:
of six sets that no base had seen, one needed twice the weight of another to come so far, and at one weight for all, or
at the one with the nearest textures, the first stayed pale or the second fell apart into strokes."""
OTHER_SEEDS = 1000
"""Apart from those of the trial that follows, so that the weight is not chosen by the very pictures it is judged by."""


def weigh_style(
    training: Training, adapter: Adapter, control: Control, *, seed: int, go_on: Callable[[], None]
) -> Adapter:
    """The adapter with the lowest weight at which its pictures of common words go ENOUGH of the way to the works.

    Where none does, the lowest at which they go ENOUGH of the furthest way. A base that gives styles no scale of their
    own leaves nothing to choose. Drawn with half the base's steps: that is enough to compare.
    """
    base = training.base
    if base.spec.style_guidance == 0:
        return adapter
    tried: list[tuple[Adapter, float]] = []
    for share in SHARES:
        weighed = replace(adapter, style_guidance=round(share * base.spec.style_guidance, 2))
        way = _way(training, weighed, control, seed=seed, go_on=go_on)
        if way >= ENOUGH:
            return weighed
        tried.append((weighed, way))
    furthest = max(way for _, way in tried)
    # No way at all, or a step back, is reached at once: such a style does not pass the gate at any weight.
    return next(weighed for weighed, way in tried if way >= ENOUGH * max(furthest, 0.0) or way == furthest)


def _way(training: Training, adapter: Adapter, control: Control, *, seed: int, go_on: Callable[[], None]) -> float:
    """How far pictures go in the mean; of few words several are drawn."""
    words = [order.plain for order in control.words.orders]
    steps = max(training.base.spec.steps // 2, 1)
    ways: list[float] = []
    while len(ways) < WEIGHED:
        first = seed + OTHER_SEEDS + len(ways)
        orders = [
            order_for(word, trigger=training.data.trigger, seed=first + number) for number, word in enumerate(words)
        ]
        images = draw(
            training.base,
            training.stack,
            orders,
            adapter=adapter,
            guidance=training.guidance,
            steps=steps,
            go_on=go_on,
        )
        ways += compare_hands(training.base.textures(images), control.styles).ways
    return sum(ways) / len(ways)
