"""In which shape a work is learnt: the base's square, or a wide or tall picture of about the same area. No torch.

A wide work that is cut to a square loses its sides, and with them how its creator lays out a picture. Areas are alike
so that a row of any shape costs what a square one costs.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import cache
from typing import TypeVar

LEAST_AREA = 0.85
"""Of the square's area; none has more, so that what fits into memory as squares fits in any shape."""
STRIDE = 1 / 16
"""Of the square's edge, by which the longer edges of buckets differ at least. On its way to the nearest bucket a work
then loses at most a sixteenth, or 13 % where steps are as coarse as Stable Diffusion 1.5's; with many more of them the
rows of a step would seldom share a shape, and so a pass."""
Item = TypeVar("Item")


def bucket_for(width: int, height: int, *, size: int, step: int, max_size: int) -> tuple[int, int]:
    """(width, height), in pixels, in which a work of so many pixels is learnt: where least of it is cut off.

    size, step, max_size: of the base, in pixels: the edge of its square, what edges must be multiples of, and the
    longest one. Works beyond the widest bucket are learnt in that one.
    """
    ratio = max(width, height) / min(width, height)
    long, short = min(
        wide_buckets(size=size, step=step, max_size=max_size),
        key=lambda bucket: max(ratio * bucket[1] / bucket[0], bucket[0] / bucket[1] / ratio),
    )
    return (long, short) if width >= height else (short, long)


@cache
def wide_buckets(*, size: int, step: int, max_size: int) -> tuple[tuple[int, int], ...]:
    """(width, height) of the square and of every wide bucket, in pixels, wider and wider; tall ones are these, turned.

    A base that draws nothing longer than its square has that one alone.
    """
    stride = step * max(round(size * STRIDE / step), 1)
    wide = [
        (width, size * size // width // step * step)
        for width in range(size // step * step + stride, max_size + 1, stride)
    ]
    return ((size, size), *(bucket for bucket in wide if bucket[0] * bucket[1] >= LEAST_AREA * size * size))


def of_one_shape(items: Iterable[Item], shape_of: Callable[[Item], Hashable]) -> list[list[Item]]:
    """The items in groups of one shape each, both in their order: only what has one shape can be one batch."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(shape_of(item), []).append(item)
    return list(groups.values())
