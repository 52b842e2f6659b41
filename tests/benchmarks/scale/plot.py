"""Lines in a picture that lies beside the documentation: SVG, readable on light and on dark ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 60, 40, 46
COLOURS = ("#c2410c", "#2563eb", "#15803d")
LEVELS = 5
LABEL = 14
"""Least distance of two names of lines, which end near each other."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve; points by rising x."""

    name: str
    points: tuple[tuple[float, float], ...]


def draw(lines: Sequence[Line], *, title: str, across: str, up: str, top: float) -> str:
    """The picture of the lines. What is above `top` lies on its upper edge."""
    xs = sorted({x for line in lines for x, _ in line.points})

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - min(y, top) / top * (HEIGHT - TOP - BOTTOM),
        )

    parts = [_text(LEFT, TOP - 18, f"{title}: {up}", anchor="start")]
    for level in range(LEVELS + 1):
        value = top * level / LEVELS
        _, y = at(xs[0], value)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#8884"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    for x in xs:
        parts.append(_text(at(x, 0)[0], HEIGHT - BOTTOM + 18, f"{x:g}"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across))
    label_y = HEIGHT - BOTTOM + 4.0
    for line, colour in sorted(zip(lines, COLOURS, strict=False), key=lambda one: one[0].points[-1][1]):
        dots = [at(x, y) for x, y in line.points]
        label_y = min(dots[-1][1] + 4, label_y - LABEL)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(dots[-1][0] + 6, label_y, line.name, anchor="start", colour=colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{escape(title)}: {escape(up)} by {escape(across)}</title>'
        f"{''.join(parts)}</svg>\n"
    )


def _text(x: float, y: float, words: str, *, anchor: str = "middle", colour: str = "#808080") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
