"""How long steps and finishing take, learnt while they run, and what that means for who waits. Thin."""

import heapq
from collections import deque
from collections.abc import Sequence

PREVIEW_SHARE = 0.15
"""Previews may take this share of the time that steps take."""
FADING = 0.98
"""What was spent on steps and previews counts this much less with every step."""


class Pace:
    """Step times fitted as `seconds = per_row * rows + fixed`, over the newest steps; and a budget for previews."""

    def __init__(self, remember: int = 64) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=remember)
        self._finishes: dict[bool, deque[float]] = {enlarged: deque(maxlen=remember) for enlarged in (False, True)}
        self._steps_s = 0.0
        self._previews_s = 0.0

    def saw(self, rows: float, seconds: float) -> None:
        """A step of `rows` rows (of the base's own size; larger pictures count by their pixels) took `seconds`."""
        self._seen.append((rows, seconds))
        self._steps_s = FADING * self._steps_s + seconds
        self._previews_s *= FADING

    def previewed(self, seconds: float) -> None:
        """A preview took `seconds`."""
        self._previews_s += seconds

    def finished(self, share: float, seconds: float, *, enlarged: bool) -> None:
        """Decoding, enlarging if asked for, and encoding of a picture took `seconds`.

        share: its pixels as drawn, in pictures of the base's own size.
        """
        self._finishes[enlarged].append(seconds / share)

    def finish_seconds(self, share: float, *, enlarged: bool) -> float:
        """Estimated seconds from the last step of a picture to its file; 0 before one was seen."""
        seen = self._finishes[enlarged]
        return share * sum(seen) / len(seen) if seen else 0.0

    @property
    def affords_preview(self) -> bool:
        """True while previews have taken less than their share."""
        return self._previews_s <= PREVIEW_SHARE * self._steps_s

    def step_seconds(self, rows: float) -> float:
        """Estimated seconds of a step of `rows` rows; 0 before any step was seen."""
        if not self._seen:
            return 0.0
        count = len(self._seen)
        mean_rows = sum(seen for seen, _ in self._seen) / count
        mean_s = sum(seconds for _, seconds in self._seen) / count
        spread = sum((seen - mean_rows) ** 2 for seen, _ in self._seen)
        if spread < 1e-9:
            # Only one batch size was seen: take the time as proportional, which overestimates larger batches.
            return mean_s * rows / mean_rows if rows > mean_rows else mean_s
        per_row = sum((seen - mean_rows) * (seconds - mean_s) for seen, seconds in self._seen) / spread
        per_row = max(per_row, 0.0)
        return max(mean_s + per_row * (rows - mean_rows), 0.0)


def steps_until_free(running: Sequence[int], waiting: Sequence[int], max_rows: int) -> int:
    """Steps that pass before one more request could start, if each free row goes to who waited longest.

    running, waiting: steps left of each. A row that frees up is taken in the step after.
    """
    free_at = [0] * max(max_rows - len(running), 0) + sorted(running)
    heapq.heapify(free_at)
    for steps in waiting:
        heapq.heappush(free_at, heapq.heappop(free_at) + steps)
    return free_at[0]
