"""Works that repeat one another: saved again, scaled, cropped, mirrored or recoloured. NumPy and SciPy, no torch.

The middle of one picture's map of edges is looked for in the other's, at several sizes and mirrored: edges stay where
they are whatever happens to colours, and a middle is still there when a border is cut off.

Shapes: N pictures; maps are MAP x MAP; F is MAP padded for the Fourier transform.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

MAP = 48
PADDED = 72
"""MAP and the middle's largest edge together, so that nothing wraps around: what wraps lies outside what is read."""
LOOKED_AT = 192
"""Edges are found on pictures of this many pixels squared, then averaged into the map."""
MIDDLE = 136 / 192
"""Share of each edge that is looked for: up to 14 percent may be missing on any side."""
SCALES = (0.86, 0.9, 0.95, 1.0)
"""Sizes of the middle in the other picture: a picture that lost its borders shows the rest larger, so the whole of it
is smaller there. Either picture of a pair is looked for in the other."""
SAME = 0.68
"""Correlation from which two works show the same; tuned on the `tuned` half in tests/benchmarks/portfolios.py."""

Map = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Two works that show the same picture; numbers count from 0, `earlier` is the smaller."""

    earlier: int
    later: int
    likeness: float
    """Correlation of their edges, up to 1."""
    is_mirrored: bool


def edge_map(image: Image.Image, *, size: int = MAP, share: float = 1.0) -> Map:
    """Where an RGB picture's edges are, (size, size) float32; `share` of each edge around the middle is shown."""
    square = image.convert("L").resize((LOOKED_AT, LOOKED_AT), Image.Resampling.LANCZOS)
    levels = np.asarray(square, np.float32)
    across, down = np.zeros_like(levels), np.zeros_like(levels)
    across[:, 1:-1] = levels[:, 2:] - levels[:, :-2]
    down[1:-1] = levels[2:] - levels[:-2]
    # The root lets faint edges count beside strong ones.
    edges = np.sqrt(np.hypot(across, down))
    border = round(LOOKED_AT * (1 - share) / 2)
    seen = edges[border : LOOKED_AT - border, border : LOOKED_AT - border]
    return np.asarray(Image.fromarray(seen).resize((size, size), Image.Resampling.BOX))


def find_repeats(images: Sequence[Image.Image]) -> list[Repeat]:
    """Every pair of works that show the same picture, in order."""
    if len(images) < 2:
        return []
    straight, mirrored = compare(images)
    either = np.maximum(np.maximum(straight, straight.T), np.maximum(mirrored, mirrored.T))
    pairs = np.argwhere(np.triu(either >= SAME, 1))
    return [
        Repeat(
            earlier=int(a),
            later=int(b),
            likeness=float(either[a, b]),
            is_mirrored=bool(max(mirrored[a, b], mirrored[b, a]) > max(straight[a, b], straight[b, a])),
        )
        for a, b in pairs
    ]


def compare(images: Sequence[Image.Image]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How well the middle of each picture (rows) is found in each picture (columns), straight and mirrored, (N, N)."""
    maps_NMM = np.stack([edge_map(image) for image in images])
    spectra_NFF = fft.rfft2(maps_NMM, (PADDED, PADDED))
    found = np.full((2, len(images), len(images)), -1.0, np.float32)
    for scale in SCALES:
        size = round(MAP * MIDDLE * scale)
        deviations_NVV = _deviations(maps_NMM, size)
        for number, image in enumerate(images):
            middle = edge_map(image, size=size, share=MIDDLE)
            for way, seen in enumerate((middle, middle[:, ::-1])):
                score = _best_match(spectra_NFF, deviations_NVV, seen)
                found[way, number] = np.maximum(found[way, number], score)
    return found[0], found[1]


def clusters(count: int, repeats: Sequence[Repeat]) -> tuple[tuple[int, ...], ...]:
    """Groups of works that repeat one another, directly or through others; every work is in exactly one."""
    group = list(range(count))
    for repeat in repeats:
        keep, merge = sorted((group[repeat.earlier], group[repeat.later]))
        group = [keep if number == merge else number for number in group]
    return tuple(tuple(member for member, number in enumerate(group) if number == kept) for kept in sorted(set(group)))


def _deviations(maps_NMM: Map, size: int) -> Map:
    """Root of the summed squares, less their mean, of every window of `size`: (N, V, V) with V = MAP - size + 1."""
    sums, squares = (_window_sums(values, size) for values in (maps_NMM, maps_NMM**2))
    return np.sqrt(np.maximum(squares - sums**2 / size**2, 1.0))


def _window_sums(values_NMM: Map, size: int) -> Map:
    total = np.pad(values_NMM, ((0, 0), (1, 0), (1, 0))).astype(np.float64).cumsum(axis=1).cumsum(axis=2)
    sums = total[:, size:, size:] - total[:, :-size, size:] - total[:, size:, :-size] + total[:, :-size, :-size]
    summed: Map = sums.astype(np.float32)
    return summed


def _best_match(spectra_NFF: NDArray[np.complex64], deviations_NVV: Map, middle: Map) -> NDArray[np.float32]:
    """Highest normalised correlation of one middle with any place of every map, (N,)."""
    own = middle - middle.mean()
    length = float(np.linalg.norm(own))
    if length < 1.0:
        return np.full(len(spectra_NFF), -1.0, np.float32)
    places = deviations_NVV.shape[1]
    products = fft.irfft2(spectra_NFF * np.conj(fft.rfft2(own, (PADDED, PADDED))), (PADDED, PADDED))
    scores = products[:, :places, :places] / (length * deviations_NVV)
    best: NDArray[np.float32] = scores.reshape(len(scores), -1).max(axis=1).astype(np.float32)
    return best
