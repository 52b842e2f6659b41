"""Whether a picture is drawn in one creator's hand: told apart from the base's own and from other styles.

Raw nearness is not calibrated: to a portfolio of many manners every picture is near, to a narrow one none is. So each
distance is corrected by how far the members of a style are from one another (cross-domain similarity local scaling,
Conneau and others, arXiv 1710.04087, section 2.3; that styles need it: arXiv 2605.09030).

Shapes: P pictures, W works, T numbers of a texture (`inference.bases.OpenBase.textures`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.curve import standard_error

NEIGHBOURS = 3
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, kw_only=True)
class Hand:
    """Whose hand some pictures of common things show."""

    ways: tuple[float, ...]
    """How far each goes from the hand of the base (0) to the works' own (1)."""
    told: int
    """Pictures that are told for the creator's."""
    told_without: int
    """The same of what the base drew for the same words."""
    told_works: float
    """Share of the works themselves: more cannot be asked of pictures."""

    @property
    def way(self) -> float:
        """In the mean."""
        return sum(self.ways) / len(self.ways)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return standard_error(self.ways)


def compare_hands(pictures_PT: Tensor, styles: Sequence[Tensor]) -> Hand:
    """styles: the works', those of others, and last what the base alone drew for the words of the pictures, in their
    order."""
    drawn = margins(pictures_PT, styles)
    plain = margins(styles[-1], styles, members_of=len(styles) - 1)
    works = margins(styles[0], styles, members_of=0)
    # A base that draws like the works already leaves no way to go; then chance alone must not look like a long one.
    whole_way = max(float(works.mean() - plain.mean()), float(works.std()), LEAST_DEVIATION)
    return Hand(
        ways=tuple(((drawn - plain) / whole_way).tolist()),
        told=int((drawn > 0).sum()),
        told_without=int((plain > 0).sum()),
        told_works=float((works > 0).float().mean()),
    )


def margins(pictures_PT: Tensor, styles: Sequence[Tensor], *, members_of: int | None = None) -> Tensor:
    """By how much (P,) each picture is nearer to the first of the styles than to the nearest other one.

    styles: each by (any number, T) textures of its own. members_of: the style, as its number, that these very pictures
    stand for; none of them then vouches for itself. Every number of a texture counts alike. Above 0 a picture is told
    for the first style.
    """
    assert all(len(style) > 1 for style in styles), "one alone does not say how far members are from one another"
    assert all(torch.isfinite(numbers).all() for numbers in (pictures_PT, *styles)), "textures are finite numbers"
    deviation = torch.cat(list(styles)).std(dim=0).clamp_min(LEAST_DEVIATION)
    pictures = pictures_PT / deviation
    columns = []
    for number, style in enumerate(styles):
        members = style / deviation
        own = _to_neighbours(members, members, without_itself=True).mean()
        columns.append(_to_neighbours(pictures, members, without_itself=number == members_of) - own / 2)
    first, others = columns[0], torch.stack(columns[1:])
    return others.amin(dim=0) - first


def _to_neighbours(pictures_PT: Tensor, members_MT: Tensor, *, without_itself: bool) -> Tensor:
    """Mean distance (P,) to the nearest members."""
    distances = torch.cdist(pictures_PT, members_MT)
    if without_itself:
        distances.fill_diagonal_(torch.inf)
    count = min(NEIGHBOURS, distances.shape[1] - without_itself)
    return distances.topk(count, dim=1, largest=False).values.mean(dim=1)
