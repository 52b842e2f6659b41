"""Which replica draws a picture: where its adapters lie, unless waiting there costs more than loading elsewhere.

Adapters are megabytes and a picture is seconds, so a popular style is never tied to one GPU. Thin: no Ray, no torch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from inference.messages import Tier
from inference.pace import Speed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A replica that could draw a picture."""

    name: str
    ends_s: float
    """Seconds until the picture would be finished there, its adapters being at hand (`inference.pace.forecast`)."""
    is_warm: bool
    """Its adapters are there."""


def choose(candidates: Sequence[Candidate], *, adapters: Sequence[str], loading_s: float) -> str:
    """The name of the replica that has the picture first, where bringing its adapters takes `loading_s`.

    Among equals one that is warm; among cold ones the one that a hash of the adapters says, so that several who choose
    without knowing of each other warm the same one (rendezvous hashing).
    """

    def cost(one: Candidate) -> tuple[float, bool, bytes]:
        named = hashlib.sha256(" ".join([one.name, *adapters]).encode()).digest()
        return one.ends_s + (0.0 if one.is_warm else loading_s), not one.is_warm, named

    return min(candidates, key=cost).name


def speed_together(speeds: Sequence[Speed]) -> Speed:
    """How fast replicas draw that work beside each other, as if they were one engine: they take as many pictures as
    all together, and a step of all takes as long as a step of one."""
    return Speed(
        rows=sum(one.rows for one in speeds),
        questions=sum(one.questions for one in speeds),
        half_s=fmean(one.half_s for one in speeds),
        full_s=fmean(one.full_s for one in speeds),
        admission_s=fmean(one.admission_s for one in speeds),
        finishing_s=fmean(one.finishing_s for one in speeds),
    )


def tier_together(tiers: Sequence[Tier]) -> Tier:
    """One place of several replicas, as one."""
    return Tier(
        hits=sum(one.hits for one in tiers),
        misses=sum(one.misses for one in tiers),
        num_bytes=sum(one.num_bytes for one in tiers),
    )
