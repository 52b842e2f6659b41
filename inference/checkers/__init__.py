"""Checks that judge pictures while they are made: what a check is, and those that a place may turn on by name. Thin."""

from importlib import import_module
from typing import Protocol

from PIL import Image

from inference.errors import CheckerUnusable
from inference.verdicts import Objection, Stage

CHECKERS = {
    "nudenet": "inference.checkers.nudenet:NudeNet",
}
"""Content checks. Each is an optional extra of the same name, and none is active unless it is named."""


class Checker(Protocol):
    """Looks at pictures and objects to some. One serves all engines of a process, each in its own thread.

    It is called in an engine's thread, so while it looks nothing is drawn: it should be quick.
    """

    name: str
    """By which receipts and objections call it."""
    licence: str
    """SPDX identifier, of the code and the model that it runs."""
    stages: frozenset[Stage]
    """When it is asked."""

    def check(self, image: Image.Image, stage: Stage) -> Objection | None:
        """What it objects to in an RGB picture; None lets it pass. What it raises counts as a picture that fails."""


def open_checker(name: str) -> Checker:
    """The content check of a name, ready to look. Raises CheckerUnusable with what to do about it."""
    try:
        checker: Checker = _class_of(name)()
    except ImportError as error:
        raise CheckerUnusable(
            f"the content check {name!r} needs a package that is not installed ({error}); "
            f"pip install 'ownhand[{name}]', or name no check"
        ) from error
    return checker


def licence_of(name: str) -> str:
    """The licence of a content check, which need not be installed. Raises CheckerUnusable."""
    return _class_of(name).licence


def _class_of(name: str) -> type[Checker]:
    if name not in CHECKERS:
        raise CheckerUnusable(f"there is no content check {name!r}; there is {', '.join(sorted(CHECKERS))}, or none")
    module, _, kind = CHECKERS[name].partition(":")
    found: type[Checker] = getattr(import_module(module), kind)
    return found
