"""Checks that tests need: one that does as it is told, and one that may be named."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from inference.verdicts import Objection, Stage

SENTENCE = "this picture will not do; send another one"
ALL: frozenset[Stage] = frozenset({"image", "preview", "picture"})


class ToldChecker:
    """Does with each picture as `rule` says, and notes what it was shown."""

    name = "told"
    licence = "MIT"

    def __init__(self, *, stages: frozenset[Stage] = ALL) -> None:
        self.stages = stages
        self.rule: Callable[[Image.Image, Stage], Objection | None] = lambda image, stage: None
        self.seen: list[tuple[Stage, Image.Image]] = []

    def check(self, image: Image.Image, stage: Stage) -> Objection | None:
        self.seen.append((stage, image))
        return self.rule(image, stage)


class NoRed:
    """Objects to what is mostly red."""

    name = "no_red"
    licence = "MIT"
    stages = ALL

    def check(self, image: Image.Image, stage: Stage) -> Objection | None:
        red, green, blue = np.asarray(image, dtype=float).mean(axis=(0, 1))
        return objection(stage, checker=self.name) if red > 2 * max(green, blue) else None


def objection(stage: Stage, *, ends: bool = True, checker: str = "told") -> Objection:
    return Objection(checker=checker, stage=stage, kind="content", sentence=SENTENCE, ends=ends)


def objecting(*stages: Stage, ends: bool = True) -> Callable[[Image.Image, Stage], Objection | None]:
    """A rule against every picture of some stages."""
    return lambda image, stage: objection(stage, ends=ends) if stage in stages else None
