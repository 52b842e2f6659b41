"""Shapes that many answers share: money, ranges of days (`?from=&to=`), and lists by pages (`?limit=&cursor=`)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from fastapi.responses import Response

from licensing.analytics.forecasts import Forecast
from licensing.analytics.spans import Span, span
from licensing.errors import Refusal
from licensing.money import Money
from licensing.terms import Permissions
from licensing.wording import in_words
from service.errors import Problem, refused

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="At most this many items")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]
First = Annotated[date | None, Query(alias="from", description="The first day, in UTC")]
Last = Annotated[date | None, Query(alias="to", description="The last day; at most 400 days with the first")]
ASKED_ONCE = (
    "A text of your own that is new for each thing you ask for, such as a UUID. Asked again under the same one, because"
    " the answer was lost, nothing is done or charged twice."
)
"""What the header `Idempotency-Key` is for."""


def bytes_of(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a call that answers with a file. It has `response_class=Response` as well, else OpenAPI promises
    JSON beside it."""
    # A media type says all there is to say: a schema would be held against what is parsed of JSON and of events.
    return {200: {"description": "The bytes", "content": {one: {} for one in media_types}}}


def upload_of(field: str, *alone: str) -> dict[str, Any]:
    """`openapi_extra=` of a call that takes one file: in a form's field or, as one of the media types, by itself."""
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": {"type": "object", "properties": {field: _BYTES}, "required": [field]}},
        **{media_type: {"schema": _BYTES} for media_type in alone},
    }
    return {"requestBody": {"required": True, "content": content}}


_BYTES = {"type": "string", "format": "binary"}
_FORMS = {"application/json": "json", "text/csv": "csv", "application/pdf": "pdf", "application/xml": "xml"}


def form_asked_for(request: Request, forms: Sequence[str]) -> str:
    """In which of `forms` an answer is wanted: by `?format=`, else by `Accept`, else the first. Raises Problem for a
    format that there is not."""
    asked = request.query_params.get("format")
    if asked is not None and asked not in forms:
        raise Problem(
            "invalid_request", f"There is no format {asked[:20]!r} of this; choose one of {', '.join(forms)}."
        )
    accepted = [_FORMS.get(part.partition(";")[0].strip(), "") for part in request.headers.get("accept", "").split(",")]
    return asked or next((form for form in accepted if form in forms), forms[0])


def file_response(content: bytes, media_type: str, name: str) -> Response:
    """A file to be kept under that name."""
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def money(value: Money) -> dict[str, Any]:
    """Whole minor units and the currency."""
    return {"amount": value.amount, "currency": value.currency}


def days_asked_for(first: date | None, last: date | None, today: date) -> Span:
    """The days of `?from=&to=`. Without the last, until today; without the first, its month and the two before it.
    Raises Problem."""
    until = last or today
    year, month = divmod(until.year * 12 + until.month - 3, 12)
    found = span(first or date(max(year, 1), month + 1, 1), until)
    if isinstance(found, Refusal):
        raise refused(found)
    return found


def forecast_document(found: Forecast | None) -> dict[str, Any] | None:
    """How the running month may end; null with less than two weeks to go by."""
    if found is None:
        return None
    sums = {name: money(getattr(found, name)) for name in ("booked", "known", "expected", "low", "high")}
    return {"month": found.month, "weeks": found.weeks, **sums}


def permissions_document(permissions: Permissions) -> dict[str, Any]:
    """The fields of a licence beside its tier, and what they mean in sentences."""
    return {**asdict(permissions), "words": in_words(permissions)}


def page(found: Sequence[Item], limit: int, show: Callable[[Item], dict[str, Any]]) -> dict[str, Any]:
    """`{"items", "next_cursor"}` of `found`, of which the caller fetched one more than `limit`.

    A cursor is the `id` of the last item shown.
    """
    items = [show(item) for item in found[:limit]]
    return {"items": items, "next_cursor": items[-1]["id"] if len(found) > limit else None}
