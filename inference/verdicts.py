"""What a check says of a picture. Thin: neither torch nor pixels."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["image", "preview", "picture"]
"""image: what somebody sent to start from; preview: what a picture is becoming; picture: what would be handed over."""
Kind = Literal["content", "near_copy"]
"""content: what a picture shows; near_copy: it is nearly the same as a work that its style was made from."""


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why a picture may not pass."""

    checker: str
    stage: Stage
    kind: Kind
    sentence: str
    """For the person who asked: what is wrong, with a way out; it neither begins nor ends like a sentence on a page, as
    the messages of `errors.py`."""
    ends: bool = True
    """False, for a preview alone: that preview does not leave, and the finished picture decides."""
