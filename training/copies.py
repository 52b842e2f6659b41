"""Whether a style repeats works: pictures with it, against the base's own from the same words and noise.

A picture may resemble a work because the words say so (every drawing of an envelope is like every other), because the
portfolio is uniform, or because the adapter remembers the work. Only the last is a fault, and only it is more with the
adapter than without it.

Shapes: S pictures, W works learnt from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.likeness import Look, likeness, likeness_in_shape
from training.recipe import Gate


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
