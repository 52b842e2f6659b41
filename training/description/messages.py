"""What crosses the describer's door: a request in; `Described` out, a line for every work. Thin: no torch."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from training.errors import RequestInvalid
from training.messages import Work, read_works


@dataclass(frozen=True, kw_only=True)
class DescriptionRequest:
    """Works to find words for."""

    works: tuple[Work, ...]
    captioner: str
    """The folder of a captioning model, or the hub's id of one that lies in this machine's cache."""

    def to_json(self) -> str:
        """The request as one JSON object, for `python -m training.description`."""
        return json.dumps(asdict(self), default=str, indent=1)


def read_description_request(text: str) -> DescriptionRequest:
    """What `DescriptionRequest.to_json` wrote. Raises RequestInvalid, naming the first thing that is wrong."""
    try:
        content: dict[str, Any] = json.loads(text)
        request = DescriptionRequest(works=read_works(content.pop("works")), **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestInvalid(f"the description request cannot be read: {error!r}") from error
    if not request.captioner:
        raise RequestInvalid("no captioning model is named; name the folder of one, or leave works to their names")
    return request
