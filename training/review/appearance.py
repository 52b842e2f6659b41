"""Which of many groups of pictures are drawn most like one picture. Thin: numbers only, no torch.

Shapes: N pictures, S groups, D numbers of a picture: those of the network first, PLAIN plain ones last.
"""

import numpy as np
from numpy.typing import NDArray

PLAIN = 100
"""Plain numbers of a picture (colours, brightness, grain), at the end of its D."""
PLAIN_WEIGHT = 10**0.5
"""A plain number weighs in squared distances as much as ten of the network's, which are forty times as many."""

Numbers = NDArray[np.float32]


def nearness(picture_D: Numbers, mean_SD: Numbers, square_SD: Numbers) -> NDArray[np.float32]:
    """How alike a picture is drawn to each group, (S,), -1 to 1: the cosine of what sets both apart from all groups.

    mean_SD, square_SD: of each group the means of its pictures' numbers, and of their squares. Every number is
    standardised over the pictures of all groups, so what all share counts for nothing. With one group there is nothing
    to tell it by, and it is 0 away.
    """
    common_D = mean_SD.mean(axis=0)
    spread_D = np.sqrt(np.maximum(square_SD.mean(axis=0) - common_D**2, 0))
    weights_D = np.where(np.arange(len(common_D)) < len(common_D) - PLAIN, 1.0, PLAIN_WEIGHT)
    weights_D = weights_D / (spread_D + 1e-3 * np.abs(mean_SD).mean() + 1e-6)
    asked_D, groups_SD = (picture_D - common_D) * weights_D, (mean_SD - common_D) * weights_D
    lengths_S = np.linalg.norm(groups_SD, axis=1) * np.linalg.norm(asked_D)
    alike: NDArray[np.float32] = (groups_SD @ asked_D / np.maximum(lengths_S, 1e-9)).astype(np.float32)
    return alike
