"""The portfolio of a self test: a dozen plain shapes that a program draws, so that nobody's works are used."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from training.messages import Work

CAPTION = "a star"
"""A shape that is not among the works."""
_PAPER, _LINE, _FILL = (250, 246, 238), (30, 30, 36), (226, 112, 86)
_SHAPES: Mapping[str, Sequence[tuple[float, float]]] = {
    name: [(math.cos(2 * math.pi * k / n + turn), math.sin(2 * math.pi * k / n + turn)) for k in range(n)]
    for name, n, turn in (
        ("a triangle", 3, -math.pi / 2),
        ("a square", 4, math.pi / 4),
        ("a kite", 4, 0.0),
        ("a pentagon", 5, -math.pi / 2),
        ("a hexagon", 6, 0.0),
        ("an octagon", 8, math.pi / 8),
        ("a disc", 48, 0.0),
    )
} | {
    "a cross": [
        *((-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)),
        *((0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)),
    ],
    "an arrow": [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)],
    "a house": [(-0.8, 1), (-0.8, -0.1), (0, -1), (0.8, -0.1), (0.8, 1)],
    "a flag": [(-0.9, -1), (0.9, -0.55), (-0.7, -0.05), (-0.7, 1), (-0.9, 1)],
    "a boat": [(-1, 0.3), (0, 0.3), (0, -1), (0.7, 0.2), (1, 0.3), (0.6, 0.9), (-0.6, 0.9)],
}


def draw_works(folder: Path, *, edge: int) -> list[Work]:
    """The shapes as PNG files of `edge` pixels, each with its caption."""
    folder.mkdir(parents=True, exist_ok=True)
    works = []
    for number, (caption, points) in enumerate(_SHAPES.items()):
        path = folder / f"{number:02}.png"
        _draw(points, edge).save(path)
        works.append(Work(id=path.stem, path=path, captions=(caption,)))
    return works


def _draw(points: Sequence[tuple[float, float]], edge: int) -> Image.Image:
    picture = Image.new("RGB", (edge, edge), _PAPER)
    corners = [(edge * (0.5 + 0.34 * x), edge * (0.5 + 0.34 * y)) for x, y in points]
    ImageDraw.Draw(picture).polygon(corners, fill=_FILL, outline=_LINE, width=max(edge // 24, 1))
    return picture
