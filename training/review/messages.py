"""What crosses the reviewer's door: a request in; findings out, as the trainer says them. Thin: no torch."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from training.errors import RequestInvalid
from training.messages import Work, read_works

JUDGEMENTS = frozenset(
    {"blur", "jpeg_damage", "text", "watermark", "signature", "near_duplicate", "out_of_style", "second_style", "small"}
)
"""Kinds of finding that are a matter of taste: the creator may answer "keep, because ..." and that settles it."""


@dataclass(frozen=True, kw_only=True)
class ReviewRequest:
    """A portfolio to look at."""

    works: tuple[Work, ...]
    size: int
    """Edge of the base's pictures, in pixels."""
    min_works: int

    def to_json(self) -> str:
        """The request as one JSON object, for `python -m training.review`."""
        return json.dumps(asdict(self), default=str, indent=1)


def read_review_request(text: str) -> ReviewRequest:
    """What `ReviewRequest.to_json` wrote. Raises RequestInvalid, naming the first thing that is wrong."""
    try:
        content: dict[str, Any] = json.loads(text)
        return ReviewRequest(works=read_works(content.pop("works")), **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestInvalid(f"the review request cannot be read: {error!r}") from error
