"""Portfolios to try the review on: drawing sets laid out in three ways, and photographs that Python packages ship."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.base.render import render
from training.base.sources import fetch, read_credit, read_drawings, words_of

SETS = {
    "tuned": {
        "noto": "1.2.9",
        "fluent-emoji": "1.2.7",
        "flat-color-icons": "1.2.3",
        "streamline-plump": "1.2.0",
        "streamline-freehand-color": "1.2.2",
        "streamline-flex-color": "1.2.2",
        "game-icons": "1.2.4",
        "emojione": "1.2.3",
    },
    "reported": {
        "fluent-emoji-flat": "1.2.6",
        "streamline-kameleon-color": "1.2.2",
        "streamline-ultimate-color": "1.2.2",
        "streamline-cyber-color": "1.2.2",
        "streamline-stickies-color": "1.2.2",
        "icon-park": "1.2.4",
        "fxemoji": "1.2.2",
        "marketeq": "1.2.2",
    },
}
"""Half -> set (npm `@iconify-json/<set>`) -> version. Limits were tuned on one half and are reported on the other."""
PHOTOGRAPHS = {
    "tuned": ("skimage/data/astronaut.png", "skimage/data/coffee.png", "skimage/data/motorcycle_left.png"),
    "reported": ("skimage/data/chelsea.png", "sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"),
}
GROUNDS = ("#ffffff", "#fdf3e1", "#e8f1f2", "#f7d9d0", "#dbe7c9", "#ffe066", "#cdb4db")
LAYOUTS = ("plain", "ground", "scene")
EDGES = (600, 1000)
"""Shortest and longest edge of a work, in pixels."""
DETAIL = 150
"""Edge of the details of photographs, which are small, before they are enlarged: they are all soft alike."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A work in the making. `name` is its file's name without an ending."""

    name: str
    image: Image.Image


def fetch_sets(folder: Path) -> None:
    """Install every set; those that are there are kept. SourceRefused where npm fails or a licence is not open."""
    fetch({f"@iconify-json/{name}": version for half in SETS.values() for name, version in half.items()}, folder)
    for half in SETS.values():
        for name in half:
            read_credit(folder, name)


@cache
def drawings_of(folder: Path, name: str) -> tuple[tuple[str, str], ...]:
    """(words, SVG) of a set, one for each motif."""
    first: dict[str, str] = {}
    for drawing in read_drawings(folder, name):
        first.setdefault(words_of(drawing.name), drawing.svg)
    return tuple(first.items())


def drawn(
    folder: Path, name: str, count: int, *, layout: str, seed: int, edges: tuple[int, int] = EDGES
) -> list[Picture]:
    """Works in the style of a set. `layout`: alone on white, alone on one coloured ground, or three in a scene."""
    pick = random.Random(f"{name}/{layout}/{seed}")
    ground = pick.choice(GROUNDS[1:])
    each = 3 if layout == "scene" else 1
    chosen = pick.sample(drawings_of(folder, name), count * each)
    pictures = []
    for number in range(count):
        shown = chosen[number * each : (number + 1) * each]
        edge = pick.randrange(*edges)
        svgs = [svg for _, svg in shown]
        image = _scene(svgs, edge, pick) if layout == "scene" else _alone(svgs[0], edge, layout, ground, pick)
        pictures.append(Picture(name=f"{number:03} {shown[0][0]}", image=image))
    return pictures


def require_photographs(half: str) -> None:
    """End with a sentence where the packages that ship the photographs are not installed, before hours are spent."""
    lacking = [path.split("/")[0] for path in PHOTOGRAPHS[half] if find_spec(path.split("/")[0]) is None]
    if lacking:
        raise SystemExit(
            f"{lacking[0]} is not here, which ships photographs; run pip install -c requirements.lock .[bench]"
        )


def photographed(half: str, count: int, *, seed: int) -> list[Picture]:
    """Details of sample photographs, no two of them more than half the same."""
    pick = random.Random(f"photographs/{half}/{seed}")
    opened = [Image.open(str(files(path.split("/")[0]) / path.split("/", 1)[1])) for path in PHOTOGRAPHS[half]]
    whole = [image.convert("RGB") for image in opened]
    spots = [
        (number, left, top)
        for number, image in enumerate(whole)
        for left in range(0, image.width - DETAIL, DETAIL // 2)
        for top in range(0, image.height - DETAIL, DETAIL // 2)
    ]
    pictures = []
    for place, (number, left, top) in enumerate(pick.sample(spots, min(count, len(spots)))):
        detail = whole[number].crop((left, top, left + DETAIL, top + DETAIL))
        large = detail.resize((EDGES[0], EDGES[0]), Image.Resampling.LANCZOS)
        pictures.append(Picture(name=f"{place:03} photograph", image=large))
    return pictures


def _alone(svg: str, edge: int, layout: str, ground: str, pick: random.Random) -> Image.Image:
    colour = "#ffffff" if layout == "plain" else ground
    image = Image.new("RGB", (edge, edge), colour)
    side = int(edge * pick.uniform(0.65, 0.95))
    drawing = Image.fromarray(render(svg, side))
    room = edge - side
    image.paste(
        drawing, (pick.randint(room // 3, room - room // 3), pick.randint(room // 3, room - room // 3)), drawing
    )
    return image


def _scene(svgs: Sequence[str], edge: int, pick: random.Random) -> Image.Image:
    """Three drawings on a grained gradient, in a frame that is not square."""
    size = edge, int(edge * pick.uniform(0.7, 1.0))
    light, dark = (pick.choice(GROUNDS) for _ in range(2))
    image = ImageOps.colorize(Image.linear_gradient("L").resize(size), dark, light)
    for number, svg in enumerate(svgs):
        side = int(size[1] * pick.uniform(0.4, 0.6))
        drawing = Image.fromarray(render(svg, side))
        left = int(size[0] * (0.02 + 0.3 * number) + pick.uniform(0, 0.06) * size[0])
        image.paste(drawing, (min(left, size[0] - side), pick.randrange(size[1] - side)), drawing)
    grain = np.random.default_rng(pick.randrange(2**32)).normal(0, 3, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image, float) + grain).clip(0, 255).astype(np.uint8))
