"""Charts as plain coordinates; templates draw them as inline SVG, with a table beside each."""

from collections.abc import Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 26
_GUTTER, _ABOVE = 100, 14
"""Room for the labels of levels, right of the columns, and for half of the highest one."""
_FILLED = 0.8
"""Of a column's place; the rest is between it and the next."""
_LEVELS_MOST = 4


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A line across the chart at `at` (pixels) with its value."""

    at: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Pixels: `dots` in the order of the points, `rows` and `columns` the lines of the grid."""

    width: int
    height: int
    left: int
    bottom: int
    dots: tuple[tuple[float, float], ...]
    rows: tuple[Mark, ...]
    columns: tuple[Mark, ...]

    @property
    def path(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.dots)


def chart_of(points: Sequence[tuple[float, float]], *, width: int, height: int) -> Chart:
    """A chart of at least two points with rising x. The vertical axis always shows 0."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(0.0, *ys), max(0.0, *ys)
    high = high if high > low else low + 1.0
    bottom = height - _BOTTOM

    def across(x: float) -> float:
        return _LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * (width - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return bottom - (y - low) / (high - low) * (bottom - _TOP)

    return Chart(
        width=width,
        height=height,
        left=_LEFT,
        bottom=bottom,
        dots=tuple((across(x), up(y)) for x, y in points),
        rows=tuple(Mark(at=up(value), value=value) for value in sorted({low, 0.0, (low + high) / 2, high})),
        columns=tuple(Mark(at=across(x), value=x) for x in (xs[0], xs[-1])),
    )


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """A line across the chart at `at` with its value."""

    at: float
    value: int


@dataclass(frozen=True, kw_only=True)
class Columns:
    """One column for each value, in their order; those below 0 hang from `zero`."""

    width: int
    height: int
    right: int
    bottom: int
    zero: float
    bars: tuple[Bar, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A bar of what is, and a box from the least to the most that may come of it, with a line at what is likely."""

    width: int
    zero: float
    now: Bar
    box: Bar
    likely: float


def columns_of(values: Sequence[int], *, width: int, height: int) -> Columns:
    """Columns for at least one value."""
    low, high = min(0, *values), max(0, *values)
    high = high if high > low else low + 1
    bottom = height - _BOTTOM
    step = (width - _GUTTER) / len(values)

    def up(value: int) -> float:
        return bottom - (value - low) / (high - low) * (bottom - _ABOVE)

    return Columns(
        width=width,
        height=height,
        right=width - _GUTTER,
        bottom=bottom,
        zero=up(0),
        bars=tuple(
            Bar(x=at * step, y=up(max(value, 0)), width=step * _FILLED, height=abs(up(value) - up(0)))
            for at, value in enumerate(values)
        ),
        levels=tuple(Level(at=up(value), value=value) for value in levels_between(low, high)),
    )


def levels_between(low: int, high: int) -> list[int]:
    """Two to five round numbers from `low` to `high` without 0: 1, 2 or 5 and zeros, and their multiples."""
    step = next(
        digit * 10**zeros for zeros in range(30) for digit in (1, 2, 5) if digit * 10**zeros * _LEVELS_MOST > high - low
    )
    return [value for value in range(-(-low // step) * step, high + 1, step) if value]


def rows_of(values: Sequence[int], *, width: int) -> list[tuple[float, float]]:
    """Where a bar for each value begins, and how long it is, beside each other on one scale with its 0."""
    low, high = min(0, *values), max(0, *values)
    scale = width / max(high - low, 1)
    return [((min(value, 0) - low) * scale, abs(value) * scale) for value in values]


def outlook_of(now: int, *, low: int, likely: int, high: int, width: int, height: int) -> Outlook:
    """From `now` to what may come of it."""
    least, most = min(0, now, low), max(1, now, high)

    def across(value: int) -> float:
        return (value - least) / (most - least) * width

    thick = height / 2
    return Outlook(
        width=width,
        zero=across(0),
        now=Bar(x=across(min(now, 0)), y=thick / 2, width=abs(across(now) - across(0)), height=thick),
        box=Bar(x=across(low), y=0, width=max(across(high) - across(low), 1), height=height),
        likely=across(likely),
    )
