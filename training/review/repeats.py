"""Works that repeat one another: saved again, scaled, cropped, mirrored or recoloured. No torch.

The middle of one picture's map of edges is looked for in the other's, at several sizes and mirrored: edges stay where
they are whatever happens to colours, and a middle is still there when a border is cut off.

Shapes: N pictures, W = 2 N middles (straight, then mirrored); maps are MAP x MAP, V x V the places of a window in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAP = 48
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


def find_edges(image: Image.Image) -> Map:
    """How strong the edges of an RGB picture are, (LOOKED_AT, LOOKED_AT)."""
    square = image.convert("L").resize((LOOKED_AT, LOOKED_AT), Image.Resampling.LANCZOS)
    levels = np.asarray(square, np.float32)
    across, down = np.zeros_like(levels), np.zeros_like(levels)
    across[:, 1:-1] = levels[:, 2:] - levels[:, :-2]
    down[1:-1] = levels[2:] - levels[:-2]
    # The root lets faint edges count beside strong ones.
    return np.sqrt(np.hypot(across, down))


def map_of(edges: Map, *, size: int = MAP, share: float = 1.0) -> Map:
    """Where edges are, (size, size); `share` of each edge of the picture around its middle is shown."""
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
    edges = [find_edges(image) for image in images]
    maps_NMM = np.stack([map_of(one) for one in edges])
    found_WN = np.full((2 * len(images), len(images)), -1.0, np.float32)
    for scale in SCALES:
        size = round(MAP * MIDDLE * scale)
        middles_NSS = np.stack([map_of(one, size=size, share=MIDDLE) for one in edges])
        scores_WN = _best_matches(np.concatenate([middles_NSS, middles_NSS[:, :, ::-1]]), maps_NMM)
        found_WN = np.maximum(found_WN, scores_WN)
    return found_WN[: len(images)], found_WN[len(images) :]


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


def _best_matches(middles_WSS: Map, maps_NMM: Map) -> Map:
    """Highest normalised correlation of each middle with any place of each map, (W, N). A blank middle matches none."""
    size = middles_WSS.shape[1]
    own_WP = middles_WSS.reshape(len(middles_WSS), -1)
    own_WP = own_WP - own_WP.mean(axis=1, keepdims=True)
    lengths_W = np.linalg.norm(own_WP, axis=1)
    own_WP /= np.maximum(lengths_W, 1.0)[:, None]
    best_WN = np.empty((len(own_WP), len(maps_NMM)), np.float32)
    windows_NVVSS = np.lib.stride_tricks.sliding_window_view(maps_NMM, (size, size), axis=(1, 2))
    # One map at a time: all windows of all maps would be a hundred times as large as the maps.
    for number, (windows_VVSS, deviations_VV) in enumerate(
        zip(windows_NVVSS, _deviations(maps_NMM, size), strict=True)
    ):
        products_XW = windows_VVSS.reshape(deviations_VV.size, -1) @ own_WP.T
        best_WN[:, number] = (products_XW / deviations_VV.reshape(-1, 1)).max(axis=0)
    best_WN[lengths_W < 1.0] = -1.0
    return best_WN
