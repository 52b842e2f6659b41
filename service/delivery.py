"""How large a picture is delivered: a draft as it is drawn, a paid one enlarged if the base has an enlarger. Thin."""

from inference.catalog import BaseSpec, enlargement
from service.marks import draft_size

DRAFT = "draft"
DRAFT_SHARE = 2
"""Of a base without an enlarger a draft has one half of the edges."""


def full_size(spec: BaseSpec, size: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height of a paid picture, in pixels: what was asked for, or the base's own size, enlarged."""
    edge = spec.size * enlargement(spec)
    return size or (edge, edge)


def delivered_size(spec: BaseSpec, tier: str, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height of a tier's picture, in pixels; `size` is the full picture's, where one was asked for."""
    full = full_size(spec, size)
    return draft_size(full, share=draft_share(spec)) if tier == DRAFT else full


def draft_share(spec: BaseSpec) -> int:
    """How many times smaller than the full picture a draft is: the enlarger has not seen it, or it is made smaller."""
    times = enlargement(spec)
    return times if times > 1 else DRAFT_SHARE


def is_enlarged(spec: BaseSpec, tier: str) -> bool:
    """Whether the enlarger draws a tier's pictures anew."""
    return tier != DRAFT and enlargement(spec) > 1
