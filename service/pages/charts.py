"""A line chart as plain coordinates; the template draws it as inline SVG, with a table beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 26


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
