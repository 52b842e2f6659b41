"""Who orders what when: at random moments, some styles far more often than others, busier by day than by night."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked for.

    `skew`: the n-th most popular style is asked for in proportion to 1 / n ** skew; 1 is what studies of serving many
    adapters take (S-LoRA, arXiv 2311.03285, section 7), 0 is every style alike. `peak`: the busiest hour of a day over
    its mean, whose curve is a cosine's.
    """

    styles: int
    pictures_per_day: float
    steps: int
    skew: float = 1.0
    peak: float = 2.0
    pictures_per_order: int = 2


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One picture that is asked for, `at` seconds from the beginning."""

    at: float
    style: int
    steps: int


def ask(traffic: Traffic, *, first_s: float, last_s: float, seed: int) -> Iterator[Asked]:
    """The pictures of a stretch of a day, in seconds after its quietest moment; noon's twin, the busiest, is at 43,200.
    They come in orders of `pictures_per_order` of one style."""
    dice = random.Random(seed)
    popular = list(accumulate(1 / (place + 1) ** traffic.skew for place in range(traffic.styles)))
    styles = range(traffic.styles)
    mean = traffic.pictures_per_day / DAY_S / traffic.pictures_per_order
    most, now = mean * traffic.peak, first_s
    while (now := now + dice.expovariate(most)) < last_s:
        # Of moments at the busiest rate, those stay that this time of day has.
        if dice.random() * most > mean * (1 - (traffic.peak - 1) * math.cos(2 * math.pi * now / DAY_S)):
            continue
        (style,) = dice.choices(styles, cum_weights=popular)
        for _ in range(traffic.pictures_per_order):
            yield Asked(at=now - first_s, style=style, steps=traffic.steps)
