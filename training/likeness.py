"""How alike two pictures are, in numbers that survive scaling and saving again. No torch.

Shapes: N pictures, M other pictures, P places of a thumbnail, C colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMB = 16
SAME_BITS = 6
"""Perceptual hashes of 64 bits at most this far apart belong to near-duplicates, if the colours agree as well."""
SAME_COLOURS = 0.05
"""Mean difference of thumbnails, as a share of the full range."""
RIDGE = 0.01
"""Keeps maps between colours small where thumbnails hardly have any."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture in numbers."""

    bits_64: NDArray[np.bool_]
    """Perceptual hash of its brightness."""
    thumb: NDArray[np.float32]
    """(THUMB, THUMB, 3), 0 to 1."""


def look_at(image: Image.Image) -> Look:
    """The look of an RGB picture."""
    thumb = np.asarray(image.resize((THUMB, THUMB), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)
    return Look(bits_64=imagehash.phash(image).hash.flatten(), thumb=thumb)


def bits_apart(one: Look, other: Look) -> int:
    """Differing bits of the hashes."""
    return int((one.bits_64 != other.bits_64).sum())


def colours_apart(one: Look, other: Look) -> float:
    """Mean difference of the thumbnails, 0 to 1."""
    return float(np.abs(one.thumb - other.thumb).mean())


def likeness(left: Sequence[Look], right: Sequence[Look], *, portfolio: Sequence[Look]) -> NDArray[np.float64]:
    """How alike the pictures of every pair (N, M) are in what sets them apart from the rest of a portfolio.

    1: the same; 0: nothing in common but the style. It is the cosine of their thumbnails less the portfolio's mean, so
    a ground or frame that all works share counts for nothing.
    """
    shared = np.mean([look.thumb for look in portfolio], axis=0)
    own, others = (np.stack([(look.thumb - shared).ravel() for look in looks]) for looks in (left, right))
    lengths = np.linalg.norm(own, axis=1)[:, None] * np.linalg.norm(others, axis=1)[None]
    cosines: NDArray[np.float64] = own @ others.T / np.maximum(lengths, 1e-9)
    return cosines


def likeness_in_shape(left: Sequence[Look], right: Sequence[Look], *, portfolio: Sequence[Look]) -> NDArray[np.float64]:
    """The same (N, M) after every left picture was given the right one's colours, as well as one affine map can.

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
