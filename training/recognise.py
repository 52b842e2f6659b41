"""Whether a picture is drawn in one creator's hand: told apart from the base's own and from other styles.

Raw nearness is not calibrated: to a portfolio of many manners every picture is near, to a narrow one none is. So each
distance is corrected by how far the members of a style are from one another (cross-domain similarity local scaling,
Conneau and others, arXiv 1710.04087, section 2.3; that styles need it: arXiv 2605.09030).

Shapes: P pictures, W works, T numbers of a texture (`inference.bases.OpenBase.textures`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NEIGHBOURS = 3
LEAST_DEVIATION = 1e-3


def recognised(pictures_PT: Tensor, styles: Sequence[Tensor], *, members_of: int | None = None) -> Tensor:
    """Which pictures (P,) are told for the first of the styles, each given by (any number, T) textures of its own.

    members_of: the style, as its number, that these very pictures stand for; none of them then vouches for itself.
    Every number of a texture counts alike.
    """
    assert all(torch.isfinite(numbers).all() for numbers in (pictures_PT, *styles)), "textures are finite numbers"
    deviation = torch.cat(list(styles)).std(dim=0).clamp_min(LEAST_DEVIATION)
    pictures = pictures_PT / deviation
    columns = []
    for number, style in enumerate(styles):
        members = style / deviation
        own = _to_neighbours(members, members, without_itself=True).mean()
        columns.append(_to_neighbours(pictures, members, without_itself=number == members_of) - own / 2)
    return torch.stack(columns, dim=1).argmin(dim=1) == 0


def _to_neighbours(pictures_PT: Tensor, members_MT: Tensor, *, without_itself: bool) -> Tensor:
    """Mean distance (P,) to the nearest members."""
    distances = torch.cdist(pictures_PT, members_MT)
    if without_itself:
        distances.fill_diagonal_(torch.inf)
    count = min(NEIGHBOURS, distances.shape[1] - without_itself)
    return distances.topk(count, dim=1, largest=False).values.mean(dim=1)
