"""Whether a style repeats works: pictures with it, against the base's own from the same words and noise.

A picture may resemble a work because the words say so (every drawing of an envelope is like every other), because the
portfolio is uniform, or because the adapter remembers the work. Only the last is a fault, and only it is more with the
adapter than without it.

Shapes: S pictures, W works learnt from, N pictures, M other pictures, P places of a thumbnail, C colours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.likeness import THUMB, Look, likeness, look_at
from training.recipe import Gate

RIDGE = 0.01
"""Keeps maps between colours small where thumbnails hardly have any."""
EDGES_SIDE, EDGES_SOFT = 64, 2.0
"""Pixels: of the picture whose edges are compared, and by how much they are blurred."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A picture as it is compared: what stands where in which colour, and where its edges are."""

    look: Look
    edges: NDArray[np.float64]
    """(EDGES_SIDE * EDGES_SIDE,), of length 1, without their mean; all 0 of a plain area."""


def see(image: Image.Image) -> Sight:
    """An RGB picture of any size."""
    grey = np.asarray(image.convert("L").resize((EDGES_SIDE, EDGES_SIDE), Image.Resampling.BOX), dtype=np.float64)
    slopes = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    edges = ndimage.gaussian_filter(slopes, EDGES_SOFT).ravel()
    edges -= edges.mean()
    return Sight(look=look_at(image), edges=edges / max(float(np.linalg.norm(edges)), 1e-9))


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """The works that were learnt from, as they are compared with pictures."""

    versions: tuple[tuple[Sight, ...], ...]
    """Of each work every version that was learnt from: moved, scaled, mirrored."""
    clusters: tuple[int, ...]
    """One number a work, the same for near-duplicates."""
    portfolio: tuple[Look, ...]
    """All good works: what they share counts for nothing (`likeness`)."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One picture drawn with the style, and the base's own from the same words and noise."""

    with_style: Sight
    without: Sight
    work: int | None
    """The work whose caption it was drawn from, a number into `Learnt.versions`; None: drawn from no work's."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A picture that nearly repeats a work that was learnt from."""

    sample: int
    work: int
    likeness: float


def find_copies(samples: Sequence[Sampled], learnt: Learnt, gate: Gate) -> list[Copy]:
    """Pictures that are near-copies of a work: of their own where they were drawn from its caption, else of any.

    A near-copy is much like the work, clearly more like it than like every other one (what a uniform portfolio has in
    common is no copy), as clearly so by its edges (works of one thing in one colour are not told apart by what is where
    in which colour), and more like it than what the base draws, in shape as well: colours are the style's to give.
    """
    seen, before = [sample.with_style for sample in samples], [sample.without for sample in samples]
    with_SW, without_SW = (_to_works(some, learnt, _by_look) for some in (seen, before))
    shape_SW, shape_without_SW = (_to_works(some, learnt, _by_shape) for some in (seen, before))
    edges_SW = _to_works(seen, learnt, _by_edges)
    is_copy_SW = (
        (with_SW >= gate.copy_likeness)
        & (with_SW - _to_rest(with_SW, learnt) >= gate.copy_margin)
        & (edges_SW - _to_rest(edges_SW, learnt) >= gate.copy_margin)
        & (with_SW - without_SW >= gate.copy_rise)
        & (shape_SW - shape_without_SW >= gate.copy_shape_rise)
    )
    found = []
    for number, sample in enumerate(samples):
        works = range(len(learnt.versions)) if sample.work is None else [sample.work]
        nearest = max(works, key=lambda work: with_SW[number, work])
        if is_copy_SW[number, nearest]:
            found.append(Copy(sample=number, work=nearest, likeness=float(with_SW[number, nearest])))
    return found


def count_recalled(pictures: Sequence[Sight], works: Sequence[int], learnt: Learnt) -> int:
    """How many pictures, each drawn from the caption of one of `works`, are more like that very work than any other."""
    alike_SW = _to_works(pictures, learnt, _by_look)
    margins_SW = alike_SW - _to_rest(alike_SW, learnt)
    return int((margins_SW[np.arange(len(works)), np.array(works)] > 0).sum())


def likeness_in_shape(left: Sequence[Look], right: Sequence[Look], *, portfolio: Sequence[Look]) -> NDArray[np.float64]:
    """Likeness (N, M) after every left picture was given the right one's colours, as well as one affine map can.

    What is left is where things are: a circle that the words name is a circle in anybody's colours.
    """
    shared = np.mean([look.thumb for look in portfolio], axis=0).reshape(-1, 3)
    targets_MPC = np.stack([look.thumb.reshape(-1, 3) for look in right]).astype(np.float64)
    others = (targets_MPC - shared).reshape(len(right), -1)
    alike = np.empty((len(left), len(right)))
    for number, look in enumerate(left):
        colours_P4 = np.column_stack([look.thumb.reshape(-1, 3), np.ones(THUMB**2)])
        # A picture of one colour has no colours to map; the ridge keeps it as flat as it is.
        gram_44 = colours_P4.T @ colours_P4 + RIDGE * np.eye(4)
        maps_M4C = np.linalg.solve(gram_44, colours_P4.T @ targets_MPC)
        own = (colours_P4 @ maps_M4C - shared).reshape(len(right), -1)
        lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(others, axis=1)
        alike[number] = (own * others).sum(axis=1) / np.maximum(lengths, 1e-9)
    return alike


def _by_look(left: Sequence[Sight], right: Sequence[Sight], learnt: Learnt) -> NDArray[np.float64]:
    return likeness([one.look for one in left], [one.look for one in right], portfolio=learnt.portfolio)


def _by_shape(left: Sequence[Sight], right: Sequence[Sight], learnt: Learnt) -> NDArray[np.float64]:
    return likeness_in_shape([one.look for one in left], [one.look for one in right], portfolio=learnt.portfolio)


def _by_edges(left: Sequence[Sight], right: Sequence[Sight], _: Learnt) -> NDArray[np.float64]:
    return np.stack([one.edges for one in left]) @ np.stack([one.edges for one in right]).T


Measure = Callable[[Sequence[Sight], Sequence[Sight], Learnt], NDArray[np.float64]]
"""How alike the pictures of every pair (N, M) are."""


def _to_works(seen: Sequence[Sight], learnt: Learnt, measure: Measure) -> NDArray[np.float64]:
    """Likeness (S, W) of every picture to the version of every work that it is most like."""
    alike = measure(seen, [version for versions in learnt.versions for version in versions], learnt)
    ends = np.cumsum([len(versions) for versions in learnt.versions])[:-1]
    return np.stack([part.max(axis=1) for part in np.split(alike, ends, axis=1)], axis=1)


def _to_rest(alike_SW: NDArray[np.float64], learnt: Learnt) -> NDArray[np.float64]:
    """For every picture and work, the likeness (S, W) to the other work it is most like; its repeats do not count."""
    cluster_W = np.array(learnt.clusters)
    rest = np.empty_like(alike_SW)
    for work, cluster in enumerate(cluster_W):
        others = alike_SW[:, cluster_W != cluster]
        rest[:, work] = others.max(axis=1) if others.size else 0
    return rest
