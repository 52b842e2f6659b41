"""A drawn portfolio: plain shapes in one palette, each named for what it shows."""

import random
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from PIL import Image, ImageDraw

THINGS = ("red apple", "little house", "dog", "sleeping cat", "tree", "fish", "boat", "bird")
PALETTE = ("#e4572e", "#17bebb", "#ffc914", "#2e282a", "#76b041")


def drawing(number: int, width: int = 48, height: int | None = None) -> Image.Image:
    """A square unless it has a height of its own."""
    height = width if height is None else height
    pick, short = random.Random(number), min(width, height)
    image = Image.new("RGB", (width, height), "#fff8ee")
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = pick.randrange(width * 2 // 3), pick.randrange(height * 2 // 3)
        box = (left, top, left + pick.randrange(short // 6, short // 3), top + pick.randrange(short // 6, short // 3))
        kind = pick.choice((pen.ellipse, pen.rectangle))
        kind(box, fill=pick.choice(PALETTE), outline="#2e282a", width=2)
    return image


def write_portfolio(folder: Path, count: int, *, edge: int = 48, shapes: Sequence[tuple[int, int]] = ()) -> Path:
    """shapes: (width, height) of the drawings, in turn; squares of `edge` without."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, shape in zip(range(count), cycle(shapes or [(edge, edge)])):
        drawing(number, *shape).save(folder / f"{THINGS[number % len(THINGS)].replace(' ', '-')}-{number:02}.png")
    return folder
