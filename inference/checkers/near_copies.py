"""The check against near-copies of the works that a style was made from. Thin: no torch.

Shapes: W works, L looks (every form of every work).
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from inference.errors import CheckerUnusable
from inference.likeness import Look, is_nearly_same, likeness, look_at, unpack_looks
from inference.messages import AdapterRef
from inference.verdicts import Objection, Stage

NAME = "near_copies"
LIKENESS, MARGIN = 0.75, 0.5
"""A picture is a near-copy if it is so much like a work (`likeness`), and by so much less like every other one. Half of
what a style drew that was learnt by heart is past both. Nothing is of what four sound ones drew, at the words of their
works too; their nearest came to 0.72 and 0.44 (ARCHITECTURE.md, 2026-11-28)."""
FEW = 5
"""With fewer works there is hardly a portfolio that one of them could stand out from."""
SENTENCE = (
    "the picture came out nearly the same as a work that its style was made from; change the words, the seed or, if it"
    " starts from a picture, the strength"
)


class NearCopies:
    """Objects to whatever repeats one of the works: as a file saved again does, or unmistakably that very work.

    The release gate tells copies by what the base alone draws, which is not at hand here; so this asks for more. What
    somebody sends to start from may be a work: the finished picture decides, for a preview of a picture that leaves its
    source may still be near it. Previews are held back all the same.
    """

    name = NAME
    licence = "MIT"
    stages: frozenset[Stage] = frozenset({"preview", "picture"})

    def __init__(self, works: Sequence[Sequence[Look]]) -> None:
        """works: their looks, each in every form in which it was learnt, the plain one first."""
        self._looks = [look for forms in works for look in forms]
        self._plain = [forms[0] for forms in works]
        self._ends = np.cumsum([len(forms) for forms in works])[:-1]

    def check(self, image: Image.Image, stage: Stage) -> Objection | None:
        look = look_at(image)
        if not self._is_one_again(look) and not any(is_nearly_same(look, work) for work in self._looks):
            return None
        return Objection(checker=NAME, stage=stage, kind="near_copy", sentence=SENTENCE, ends=stage != "preview")

    def _is_one_again(self, look: Look) -> bool:
        if len(self._plain) < FEW:
            return False
        alike_L = likeness([look], self._looks, portfolio=self._plain)[0]
        *_, second, first = sorted(part.max() for part in np.split(alike_L, self._ends))
        return bool(first >= LIKENESS and first - second >= MARGIN)


def near_copies_of(adapters: Sequence[AdapterRef]) -> tuple[NearCopies, ...]:
    """The check against the works of every adapter that brings their looks. Raises CheckerUnusable."""
    return tuple(_open(ref.works) for ref in adapters if ref.works is not None)


def _open(looks: bytes) -> NearCopies:
    try:
        return NearCopies(unpack_looks(looks))
    except ValueError as error:
        raise CheckerUnusable(
            "what the works look like that the style was made from cannot be read, and without it nobody can tell "
            "near-copies; nothing is drawn until whoever runs this place has mended that"
        ) from error
