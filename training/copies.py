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

from inference.likeness import THUMB, Look, likeness
from training.recipe import Gate

RIDGE = 0.01
"""Keeps maps between colours small where thumbnails hardly have any."""


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """The works that were learnt from, as they are compared with pictures."""

    versions: tuple[tuple[Look, ...], ...]
    """Of each work every version that was learnt from: moved, scaled, mirrored."""
    clusters: tuple[int, ...]
    """One number a work, the same for near-duplicates."""
    portfolio: tuple[Look, ...]
    """All good works: what they share counts for nothing (`likeness`)."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One picture drawn with the style, and the base's own from the same words and noise."""

    with_style: Look
    without: Look
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
    common is no copy), and more like it than what the base draws, in shape as well: colours are the style's to give.
    """
    looks, before = [sample.with_style for sample in samples], [sample.without for sample in samples]
    with_SW, without_SW = (_to_works(some, learnt, likeness) for some in (looks, before))
    shape_SW, shape_without_SW = (_to_works(some, learnt, likeness_in_shape) for some in (looks, before))
    is_copy_SW = (
        (with_SW >= gate.copy_likeness)
        & (with_SW - _to_rest(with_SW, learnt) >= gate.copy_margin)
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


def count_recalled(pictures: Sequence[Look], works: Sequence[int], learnt: Learnt) -> int:
    """How many pictures, each drawn from the caption of one of `works`, are more like that very work than any other."""
    alike_SW = _to_works(pictures, learnt, likeness)
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


def _to_works(
    looks: Sequence[Look], learnt: Learnt, measure: Callable[..., NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Likeness (S, W) of every picture to the version of every work that it is most like, by one of two measures."""
    every = [look for versions in learnt.versions for look in versions]
    alike = measure(looks, every, portfolio=learnt.portfolio)
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
