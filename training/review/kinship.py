"""Which works are drawn alike: works that are not of the portfolio's style, and a second style. NumPy, no torch.

Shapes: N works, D numbers of each (`strokes.strokes_of`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5
"""A work is as far from the others as from the fifth nearest: four strangers that came together are no style."""
STRANGE = 1.8
"""How many times the usual deviation from the usual distance makes a work strange: portfolios differ in how much their
works do."""
DEVIATION_MIN = 0.03
"""Of the usual distance: works that are all equally far from one another deviate by chance alone."""
STRANGE_SHARE_MAX = 0.2
"""Where more are strange, the portfolio is mixed, and no work is singled out."""
NUM_WORKS_MIN = 12
"""Under this many works nothing is usual."""
DIRECTIONS = 10
"""Two groups are looked for along the directions in which the works differ most."""
APART = 0.18
"""Mean silhouette from which two groups are two styles."""
AMONG_THEMSELVES = 0.9
"""Share of the nearest neighbours that are of the same group, from which they are."""
GROUP_MIN = 5
ROUNDS = 30

Numbers = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Kinship:
    """Numbers of works, from 0."""

    strangers: dict[int, float]
    """Work -> how many times further from the others than is usual."""
    second_style: tuple[int, ...]
    """The smaller of two groups; empty where there is one style."""
    typical: tuple[int, ...]
    """All works, those nearest to the others first."""


def find_kin(strokes_ND: Numbers) -> Kinship:
    """Who belongs together. Nothing is said of fewer than NUM_WORKS_MIN works."""
    count = len(strokes_ND)
    if count < NUM_WORKS_MIN:
        return Kinship(strangers={}, second_style=(), typical=tuple(range(count)))
    apart_NN = _distances(strokes_ND)
    far_N = np.sort(apart_NN, axis=1)[:, NEIGHBOURS - 1]
    far_N = far_N / max(float(np.median(far_N)), 1e-9)
    typical = tuple(int(number) for number in np.argsort(far_N, kind="stable"))
    deviation = float(np.median(np.abs(far_N - 1))) + DEVIATION_MIN
    strangers = {number: float(far_N[number]) for number in range(count) if far_N[number] > 1 + STRANGE * deviation}
    if len(strangers) > STRANGE_SHARE_MAX * count:
        strangers = {}
    # One may be of a second style and far from everybody: the second style may be one that is seen by mistake.
    return Kinship(strangers=strangers, second_style=_second_style(strokes_ND), typical=typical)


def _second_style(strokes_ND: Numbers) -> tuple[int, ...]:
    centred = strokes_ND - strokes_ND.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    places_NK = left[:, :DIRECTIONS] * lengths[:DIRECTIONS]
    group_N = _two_groups(places_NK)
    sizes = np.bincount(group_N, minlength=2)
    if sizes.min() < GROUP_MIN:
        return ()
    apart_NN = _distances(places_NK)
    nearest = np.argsort(apart_NN, axis=1)[:, :NEIGHBOURS]
    among_themselves = float((group_N[nearest] == group_N[:, None]).mean())
    if among_themselves < AMONG_THEMSELVES or _silhouette(apart_NN, group_N) < APART:
        return ()
    return tuple(int(number) for number in np.nonzero(group_N == sizes.argmin())[0])


def _two_groups(places_NK: Numbers) -> NDArray[np.int64]:
    """0 or 1 for every work: two means, from the two ends of each direction in turn; the tightest groups win."""
    best, tightest = np.zeros(len(places_NK), np.int64), np.inf
    for direction in range(places_NK.shape[1]):
        along = places_NK[:, direction]
        means = places_NK[[along.argmin(), along.argmax()]]
        for _ in range(ROUNDS):
            squares = ((places_NK[:, None] - means) ** 2).sum(axis=2)
            group = squares.argmin(axis=1)
            if group.min() == group.max():
                break
            means = np.stack([places_NK[group == number].mean(axis=0) for number in (0, 1)])
        spread = float(squares.min(axis=1).sum())
        if spread < tightest:
            best, tightest = group, spread
    return best


def _silhouette(apart_NN: Numbers, group_N: NDArray[np.int64]) -> float:
    """Mean over all works of (distance to the others' group - to the own) / the larger of the two; up to 1."""
    distances = np.where(np.isinf(apart_NN), 0, apart_NN)
    sums = np.stack([distances[:, group_N == number].sum(axis=1) for number in (0, 1)], axis=1)
    sizes = np.bincount(group_N, minlength=2)
    rows = np.arange(len(group_N))
    own = sums[rows, group_N] / np.maximum(sizes[group_N] - 1, 1)
    other = sums[rows, 1 - group_N] / sizes[1 - group_N]
    return float(((other - own) / np.maximum(np.maximum(own, other), 1e-9)).mean())


def _distances(numbers_ND: Numbers) -> Numbers:
    """Between every two works, (N, N); infinite between a work and itself."""
    products = numbers_ND @ numbers_ND.T
    squares = np.diag(products)
    apart: Numbers = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * products, 0))
    np.fill_diagonal(apart, np.inf)
    return apart
