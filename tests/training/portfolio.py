"""A drawn portfolio: plain shapes in one palette, each named for what it shows."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

THINGS = ("red apple", "little house", "dog", "sleeping cat", "tree", "fish", "boat", "bird")
PALETTE = ("#e4572e", "#17bebb", "#ffc914", "#2e282a", "#76b041")


def drawing(number: int, edge: int = 48) -> Image.Image:
    pick = random.Random(number)
    image = Image.new("RGB", (edge, edge), "#fff8ee")
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = pick.randrange(edge * 2 // 3), pick.randrange(edge * 2 // 3)
        box = (left, top, left + pick.randrange(edge // 6, edge // 3), top + pick.randrange(edge // 6, edge // 3))
        kind = pick.choice((pen.ellipse, pen.rectangle))
        kind(box, fill=pick.choice(PALETTE), outline="#2e282a", width=2)
    return image


def write_portfolio(folder: Path, count: int, *, edge: int = 48) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        drawing(number, edge).save(folder / f"{THINGS[number % len(THINGS)].replace(' ', '-')}-{number:02}.png")
    return folder
