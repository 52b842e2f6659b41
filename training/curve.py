"""The held-out curve: which state of an adapter is taken, and when more steps stop helping. No torch.

A style goes on growing after its gain on unseen works has levelled off: the gain soon measures what the base cannot
predict anyway. So the latest state is taken whose gain is within one standard error of the best (the one-standard-error
rule of Breiman and others, Classification and Regression Trees, 1984, section 3.4.3, with "later" for "simpler").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.errors import TrainingBroke


@dataclass(frozen=True, kw_only=True)
class Gain:
    """By how much an adapter beats the base on some works, as a share of the base's loss. Raises TrainingBroke where
    that is no number."""

    per_work: tuple[float, ...]

    def __post_init__(self) -> None:
        for number, gain in enumerate(self.per_work, start=1):
            require_number(f"the gain on work {number} of {len(self.per_work)}", gain)

    @property
    def mean(self) -> float:
        return float(np.mean(self.per_work))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return standard_error(self.per_work)


@dataclass(frozen=True, kw_only=True)
class HeldOutLook:
    """The gain on the held-out works after a number of steps."""

    step: int
    gain: Gain


def chosen(looks: Sequence[HeldOutLook]) -> HeldOutLook:
    """The latest look within one standard error of the best; more looks never bring an earlier one back."""
    best = max(looks, key=lambda look: look.gain.mean)
    return next(look for look in reversed(looks) if look.gain.mean >= best.gain.mean - best.gain.error)


def require_number(what: str, value: float) -> None:
    """Raise TrainingBroke where something that was measured of an adapter came out as none."""
    if not math.isfinite(value):
        raise TrainingBroke(
            f"{what} came out as {value}; train again, and with a lower learning_rate where it happens again"
        )


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 for a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
