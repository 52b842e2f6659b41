"""Portfolios of drawing sets that the base never saw, as their creators would upload them."""

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.benchmarks.concepts import on_white
from training.base.captions import Subject, read_lexicon, subject_of
from training.base.recipe import read_everyday
from training.base.render import render
from training.base.sources import Drawing, fetch, read_credit, read_drawings
from training.messages import Work

EVERYDAY = Path("configs/recipes/everyday.toml")
KEYWORDS = {"emojibase-data": "17.0.0"}
EDGE = 512
"""Of the works' files, in pixels."""


def read_shown(name: str, version: str, folder: Path, *, seed: int) -> list[tuple[Drawing, Subject]]:
    """The drawings of a set (npm `@iconify-json/<name>`) that show something and nobody, in an order of `seed`'s.

    Fetches into `folder` what is not there yet.
    """
    fetch({f"@iconify-json/{name}": version, **KEYWORDS}, folder)
    read_credit(folder, name)
    lexicon, everyday = read_lexicon(folder), read_everyday(EVERYDAY)
    shown = [
        (drawing, subject)
        for drawing in read_drawings(folder, name)
        if (subject := subject_of(drawing, lexicon, everyday)) is not None and subject.kind != "people"
    ]
    random.Random(f"{seed}/{name}").shuffle(shown)
    return shown


def lay_works(works: Sequence[tuple[str, str]], folder: Path) -> tuple[Work, ...]:
    """Write (words, SVG) drawings as PNG files on white; each work's caption is its words."""
    folder.mkdir(parents=True, exist_ok=True)
    laid = []
    for number, (words, svg) in enumerate(works):
        path = folder / f"{number:02}.png"
        Image.fromarray(on_white(render(svg, EDGE)[None])[0]).save(path)
        laid.append(Work(id=f"{number}", path=path, captions=(words,)))
    return tuple(laid)
