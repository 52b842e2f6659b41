"""Long lists in pages, counted from 1."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query

T = TypeVar("T")
Number = Annotated[int, Query(alias="page", ge=1, le=100_000)]
"""`?page=2` of an address; what is no page is refused."""


def part_of(items: Sequence[T], number: int, *, at_once: int) -> tuple[list[T], int, int]:
    """Those of a page, or of the last one where there are not so many; its number; and how many pages there are."""
    num_pages = pages_of(len(items), at_once=at_once)
    number = min(number, num_pages)
    return list(items[(number - 1) * at_once : number * at_once]), number, num_pages


def pages_of(num_items: int, *, at_once: int) -> int:
    """How many pages a list fills; one at least."""
    return max(1, -(-num_items // at_once))
