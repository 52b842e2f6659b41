"""How long steps and finishing take, learnt while they run, and what that means for who waits. Thin."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean, median

from inference.messages import Estimate

PREVIEW_SHARE = 0.15
"""Previews may take this share of the time that steps take."""
NEWEST = 8
"""Steps that say how fast the machine is now."""
FADING = 0.98
"""What was spent on steps and previews counts this much less with every step."""


class Pace:
    """Step times fitted as `seconds = per_row * rows + fixed`, over what was measured at first, times how much longer
    the newest steps took; and a budget for previews."""

    def __init__(self, remember: int = 64) -> None:
        self._measured: list[tuple[float, float]] = []
        self._seen: deque[tuple[float, float]] = deque(maxlen=NEWEST)
        self._finishes: dict[bool, deque[float]] = {enlarged: deque(maxlen=remember) for enlarged in (False, True)}
        self._admissions: deque[float] = deque(maxlen=remember)
        self._steps_s = 0.0
        self._previews_s = 0.0

    def measured(self, rows: float, seconds: float) -> None:
        """A step of `rows` rows took `seconds` before any picture was made: how steps grow with their rows."""
        self._measured.append((rows, seconds))

    def saw(self, rows: float, seconds: float) -> None:
        """A step of `rows` rows (of the base's own size; larger pictures count by their pixels) took `seconds`."""
        self._seen.append((rows, seconds))
        self._steps_s = FADING * self._steps_s + seconds
        self._previews_s *= FADING

    def previewed(self, seconds: float) -> None:
        """A preview took `seconds`."""
        self._previews_s += seconds

    def admitted(self, seconds: float) -> None:
        """Reading the words and opening the adapters of a picture took `seconds`."""
        self._admissions.append(seconds)

    @property
    def admission_seconds(self) -> float:
        """Estimated seconds that a picture takes before its first step; 0 before one was seen."""
        seen = tuple(self._admissions)
        return median(seen) if seen else 0.0

    def finished(self, share: float, seconds: float, *, enlarged: bool) -> None:
        """Decoding, enlarging if asked for, and encoding of a picture took `seconds`.

        share: its pixels as drawn, in pictures of the base's own size.
        """
        self._finishes[enlarged].append(seconds / share)

    def finish_seconds(self, share: float, *, enlarged: bool) -> float:
        """Estimated seconds from the last step of a picture to its file; 0 before one was seen."""
        seen = tuple(self._finishes[enlarged])
        return share * median(seen) if seen else 0.0

    @property
    def affords_preview(self) -> bool:
        """True while previews have taken less than their share."""
        return self._previews_s <= PREVIEW_SHARE * self._steps_s

    def step_seconds(self, rows: float) -> float:
        """Estimated seconds of a step of `rows` rows; 0 before any step was seen.

        Styles, and whatever else the machine does, make steps of any size longer at once.
        """
        if not self._measured:
            return 0.0
        # Copied first: the engine's thread goes on adding while others ask.
        newest = tuple(self._seen)
        said = sum(self._fitted(seen) for seen, _ in newest)
        took = sum(seconds for _, seconds in newest)
        return self._fitted(rows) * (took / said if said else 1.0)

    def _fitted(self, rows: float) -> float:
        count = len(self._measured)
        mean_rows = sum(seen for seen, _ in self._measured) / count
        mean_s = sum(seconds for _, seconds in self._measured) / count
        spread = sum((seen - mean_rows) ** 2 for seen, _ in self._measured)
        if spread < 1e-9:
            # Only one batch size was measured: take the time as proportional, which overestimates larger batches.
            return mean_s * rows / mean_rows if rows > mean_rows else mean_s
        per_row = sum((seen - mean_rows) * (seconds - mean_s) for seen, seconds in self._measured) / spread
        per_row = max(per_row, 0.0)
        return max(mean_s + per_row * (rows - mean_rows), 0.0)

    def step_and_previews_seconds(self, rows: float) -> float:
        """The same, with what previews take beside it."""
        previews = self._previews_s / self._steps_s if self._steps_s else 0.0
        return (1 + previews) * self.step_seconds(rows)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast an engine draws at present, as it tells who reckons in another process (`forecast`)."""

    rows: int
    """Pictures at once, at most."""
    questions: float
    """Of one step, at most, each about a picture of the base's own size."""
    half_s: float
    """A step of half as many, with what previews take beside it; `full_s` one of `questions`."""
    full_s: float
    admission_s: float
    """Before a picture's first step."""
    finishing_s: float
    """After its last, for a picture of the base's own size, enlarged where the base has an enlarger."""

    def step_seconds(self, questions: float) -> float:
        """Estimated seconds of a step of so many questions."""
        each_s = (self.full_s - self.half_s) / (self.questions / 2)
        return max(self.full_s + each_s * (questions - self.questions), 0.0)


def mean_speed(speeds: Sequence[Speed], *, weights: Sequence[float] | None = None) -> Speed:
    """What engines tell, on average."""
    means = {
        field.name: fmean((getattr(speed, field.name) for speed in speeds), weights=weights) for field in fields(Speed)
    }
    return Speed(rows=round(means.pop("rows")), **means)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one picture still costs."""

    steps: int
    """That are left, at least 1."""
    all_steps: int
    questions: float
    """That each step asks about it, times its pixels in pictures of the base's own size."""
    admission_s: float
    """Before its first step: its words are read, its adapters opened. 0 once it runs."""
    finishing_s: float
    """After its last step; nobody else takes one meanwhile."""


def forecast(
    running: Sequence[Load],
    waiting: Sequence[Load],
    mine: Load,
    *,
    max_rows: int,
    max_questions: float,
    step_seconds: Callable[[float], float],
) -> Estimate:
    """When `mine` begins and ends if it goes in behind all that waits.

    Behind it, whoever leaves is followed by another alike: an engine at work stays as full as it is, and one that
    rests draws it alone. step_seconds: of a step of so many questions. Runs through what the engine will do, from
    one picture's end to the next.
    """

    def has_room(load: Load) -> bool:
        asked = load.questions + sum(other.questions for _, other in active)
        return not active or (len(active) < max_rows and asked <= max_questions)

    active = [(load.steps, load) for load in running]
    line, gone = deque([*waiting, mine]), deque[Load]()
    now = begins = 0.0
    while True:
        while (next_ones := line or gone) and has_room(next_ones[0]):
            load = next_ones.popleft()
            begins = now if load is mine else begins
            now += load.admission_s
            active.append((load.steps, load))
        taken = min(left for left, _ in active)
        now += taken * step_seconds(sum(load.questions for _, load in active))
        ended = [load for left, load in active if left == taken]
        active = [(left - taken, load) for left, load in active if left > taken]
        for load in ended:
            now += load.finishing_s
            if load is mine:
                return Estimate(begins_s=begins, ends_s=now)
            gone.append(replace(load, steps=load.all_steps, admission_s=mine.admission_s))
