"""The time that a training's own work may take, over all of its runs: measured against, never exceeded.

While others work in the same process its clock stands still, and of a step that many take together it counts its share:
its limit is its own, whoever keeps it company.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from training.errors import OverBudget
from training.wording import say


class Budget:
    """Counts the seconds within `counting`, and those it is told of. `max_minutes` 0: no limit."""

    def __init__(self, max_minutes: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_minutes = max_minutes
        self._clock = clock
        self._told_s = 0.0
        self._began: float | None = None

    @property
    def spent_s(self) -> float:
        return self._told_s + (0.0 if self._began is None else self._clock() - self._began)

    @property
    def left_s(self) -> float:
        return self._max_minutes * 60 - self.spent_s if self._max_minutes else math.inf

    @contextmanager
    def counting(self) -> Iterator[None]:
        """What is done in the block is this training's work alone."""
        self._began = self._clock()
        try:
            yield
        finally:
            self._told_s, self._began = self.spent_s, None

    def count(self, seconds: float) -> None:
        """Count its share of what many did together, or what earlier runs of it took."""
        self._told_s += seconds

    def require_room_for(self, seconds: float) -> None:
        """Raise OverBudget if so many more do not fit in: said early, before the time is spent."""
        if seconds > self.left_s:
            total = (self.spent_s + seconds) / 60
            raise OverBudget(say("too_long", total=f"{total:.1f}", limit=f"{self._max_minutes:g}"))

    def require_any(self) -> None:
        """Raise OverBudget if nothing is left."""
        if self.left_s < 0:
            raise OverBudget(say("used_up", limit=f"{self._max_minutes:g}"))
