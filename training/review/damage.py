"""What a picture lost before it came here: focus, size, and what strong JPEG compression takes. NumPy, no torch."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

LOOKED_AT_EDGE = 768
"""Edges are measured on pictures of at most this many pixels on the longer side."""
REACH = 9
"""How far from an edge the levels on its two sides are looked for, in pixels."""
EDGE_LEVELS = 40
"""Steps of brightness under this, of 255, are shading and no edges."""
SHARP_SHARE = 20
"""Percentile of the widths that is taken: the sharpest fifth may be all that is meant to be sharp."""
NUM_EDGE_PIXELS_MIN = 50
BLOCK = 8
BLOCKS_EDGE = 2048
"""Blocks are looked for in the middle of a picture, this many pixels wide and high: scaling would wash them out."""
# fmt: off
BRIGHTNESS_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)
# fmt: on
"""Quality 50 (ITU-T T.81, table K.1). Nearly every program scales it; others are named by the nearest."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One picture's losses in numbers."""

    edge_px: float | None
    """Width of its sharpest edges, in pixels of a picture of LOOKED_AT_EDGE; None where it has no edges."""
    detail_px: int | None
    """The longer side of the smallest picture that would show as much; None where `edge_px` is."""
    blocking: float
    """How many times more often small steps fall on the grid of JPEG's blocks than elsewhere; about 1 without any."""
    blocked_share: float
    """Share of the places on that grid that show such a step, 0 to 1."""
    jpeg_quality: int | None
    """What the file's own tables say, 1 to 100; None where it is no JPEG."""


def look_for_damage(image: Image.Image, content: bytes) -> Damage:
    """image: RGB in its full size. content: its file, for what only the file tells."""
    blocking, share = find_blocks(_middle(image))
    edge_px = sharpest_edges(image)
    longer = min(max(image.size), LOOKED_AT_EDGE)
    # An edge that is as sharp as it can be after scaling is about one and a half pixels wide.
    detail = None if edge_px is None else round(longer * min(1.0, 1.5 / edge_px))
    return Damage(
        edge_px=edge_px, detail_px=detail, blocking=blocking, blocked_share=share, jpeg_quality=jpeg_quality(content)
    )


def sharpest_edges(image: Image.Image) -> float | None:
    """Width of a picture's sharpest edges in pixels, at least 1; None where it has too few edges to say.

    An edge's width is the step of brightness across it over its steepest slope, as in the blur measure of Marziliano
    and others (ICIP 2002). Only the sharpest fifth of the edges counts: a soft background is no fault.
    """
    small = image.convert("L")
    small.thumbnail((LOOKED_AT_EDGE, LOOKED_AT_EDGE), Image.Resampling.LANCZOS)
    levels = np.asarray(small, np.float32)
    if min(levels.shape) <= 2:
        return None
    across = np.abs(np.diff(levels, axis=1))[:-1]
    down = np.abs(np.diff(levels, axis=0))[:, :-1]
    slope = np.maximum(across, down)
    around = 2 * REACH + 1
    step = (ndimage.maximum_filter(levels, around) - ndimage.minimum_filter(levels, around))[:-1, :-1]
    is_edge = (step > EDGE_LEVELS) & (slope > 3) & (slope == ndimage.maximum_filter(slope, 5))
    if is_edge.sum() < NUM_EDGE_PIXELS_MIN:
        return None
    return float(np.percentile(step[is_edge] / slope[is_edge], SHARP_SHARE))


def find_blocks(image: Image.Image) -> tuple[float, float]:
    """(how many times more often small steps between flat places fall on one line in eight, share of that line).

    JPEG rounds every block of 8 x 8 pixels by itself, so what was smooth gets small steps at their borders. Both
    directions must show it: a drawing on a grid has steps as well, but large ones, and seldom both ways.
    """
    levels = np.asarray(image.convert("L"), np.int16)
    if min(levels.shape) < 6 * BLOCK:
        return 1.0, 0.0
    ways = [_steps_on_grid(turned) for turned in (levels, levels.T)]
    return max(ratio for ratio, _ in ways), min(share for _, share in ways)


def jpeg_quality(content: bytes) -> int | None:
    """The quality, as the usual programs name it, that a JPEG file's brightness table stands for."""
    with Image.open(io.BytesIO(content)) as opened:
        tables = getattr(opened, "quantization", None)
    if not tables:
        return None
    total = sum(tables[0])
    return min(range(1, 101), key=lambda quality: abs(_table_sum(quality) - total))


def _table_sum(quality: int) -> int:
    """Sum of the standard's brightness table as libjpeg scales it for a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (entry * scale + 50) // 100)) for entry in BRIGHTNESS_TABLE)


def _steps_on_grid(levels: NDArray[np.int16]) -> tuple[float, float]:
    """Along the second axis: the most frequent of the eight phases against the mean of the others, and its share."""
    change = np.abs(np.diff(levels, axis=1))
    is_flat = change <= 1
    flat_around = is_flat[:, :-4] & is_flat[:, 1:-3] & is_flat[:, 3:-1] & is_flat[:, 4:]
    middle = change[:, 2:-2]
    shares = ((middle >= 2) & (middle <= 20) & flat_around).mean(axis=0)
    phases = shares[: len(shares) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=0)
    most = int(phases.argmax())
    others = np.delete(phases, most)
    return float(phases[most] / (others.mean() + 1e-5)), float(phases[most] - np.median(others))


def _middle(image: Image.Image) -> Image.Image:
    width, height = (min(length, BLOCKS_EDGE) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
