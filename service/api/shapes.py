"""Shapes that many answers share: money, and lists by pages (`?limit=&cursor=`)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import Query

from licensing.money import Money
from licensing.terms import Permissions
from licensing.wording import in_words

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="At most this many items")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]


def bytes_of(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a call that answers with a file. It has `response_class=Response` as well, else OpenAPI promises
    JSON beside it."""
    # A media type says all there is to say: a schema would be held against what is parsed of JSON and of events.
    return {200: {"description": "The bytes", "content": {one: {} for one in media_types}}}


def money(value: Money) -> dict[str, Any]:
    """Whole minor units and the currency."""
    return {"amount": value.amount, "currency": value.currency}


def permissions_document(permissions: Permissions) -> dict[str, Any]:
    """The fields of a licence beside its tier, and what they mean in sentences."""
    return {**asdict(permissions), "words": in_words(permissions)}


def page(found: Sequence[Item], limit: int, show: Callable[[Item], dict[str, Any]]) -> dict[str, Any]:
    """`{"items", "next_cursor"}` of `found`, of which the caller fetched one more than `limit`.

    A cursor is the `id` of the last item shown.
    """
    items = [show(item) for item in found[:limit]]
    return {"items": items, "next_cursor": items[-1]["id"] if len(found) > limit else None}
