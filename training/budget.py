"""The time that a training may take, over all of its runs: measured against, never exceeded."""

import math
import time
from collections.abc import Callable

from training.errors import OverBudget


class Budget:
    """Counts the seconds of a training from its making on. `max_minutes` 0: no limit."""

    def __init__(self, max_minutes: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_minutes = max_minutes
        self._clock = clock
        self._began = clock()
        self._before_s = 0.0

    @property
    def spent_s(self) -> float:
        return self._before_s + self._clock() - self._began

    @property
    def left_s(self) -> float:
        return self._max_minutes * 60 - self.spent_s if self._max_minutes else math.inf

    def count(self, before_s: float) -> None:
        """Earlier runs of the same training count as well."""
        self._before_s = before_s

    def require_room_for(self, seconds: float) -> None:
        """Raise OverBudget if so many more do not fit in: said early, before the time is spent."""
        if seconds > self.left_s:
            total = (self.spent_s + seconds) / 60
            raise OverBudget(
                f"this training would take about {total:.1f} minutes on this machine, and its limit is "
                f"{self._max_minutes:g}; allow more, or choose a recipe with fewer steps"
            )

    def require_any(self) -> None:
        """Raise OverBudget if nothing is left."""
        if self.left_s < 0:
            raise OverBudget(
                f"this training has reached its limit of {self._max_minutes:g} min, and nothing was released; what was "
                "learnt is kept, allow more and it goes on from there"
            )
