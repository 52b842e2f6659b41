"""How alike two pictures are, in numbers that survive scaling and saving again. Thin: no torch.

Shapes: N pictures, M other pictures, L looks.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMB = 16
HASH_BITS = 64
HASH_BYTES = HASH_BITS // 8
THUMB_BYTES = THUMB * THUMB * 3
NUMBER_BYTES = 2
ROW_BYTES = NUMBER_BYTES + HASH_BYTES + THUMB_BYTES
SAME_BITS = 6
"""Perceptual hashes of 64 bits at most this far apart belong to near-duplicates, if the rest agrees as well."""
SAME_COLOURS = 0.05
"""Mean difference of thumbnails, as a share of the full range."""
SAME_SHAPE = 0.9
"""Correlation of two thumbnails from which they show the same: on plain grounds all colours are close."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture in numbers."""

    bits_64: NDArray[np.bool_]
    """Perceptual hash of its brightness."""
    thumb: NDArray[np.float32]
    """(THUMB, THUMB, 3), 0 to 1."""

    @property
    def hash_bytes(self) -> bytes:
        """The hash, HASH_BYTES long."""
        return np.packbits(self.bits_64).tobytes()

    @property
    def thumb_bytes(self) -> bytes:
        """The thumbnail, THUMB_BYTES long: levels of 255, row by row, RGB."""
        return np.round(self.thumb * 255).astype(np.uint8).tobytes()


def look_at(image: Image.Image) -> Look:
    """The look of an RGB picture."""
    thumb = np.asarray(image.resize((THUMB, THUMB), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)
    return Look(bits_64=imagehash.phash(image).hash.flatten(), thumb=thumb)


def look_of(hash_bytes: bytes, thumb_bytes: bytes) -> Look:
    """The look whose bytes these are."""
    return Look(
        bits_64=np.unpackbits(np.frombuffer(hash_bytes, np.uint8)).astype(bool),
        thumb=np.frombuffer(thumb_bytes, np.uint8).reshape(THUMB, THUMB, 3).astype(np.float32) / np.float32(255),
    )


def bits_apart(one: Look, other: Look) -> int:
    """Differing bits of the hashes."""
    return int((one.bits_64 != other.bits_64).sum())


def colours_apart(one: Look, other: Look) -> float:
    """Mean difference of the thumbnails, 0 to 1."""
    return float(np.abs(one.thumb - other.thumb).mean())


def shapes_alike(one: Look, other: Look) -> float:
    """Correlation of the thumbnails, -1 to 1."""
    left, right = (thumb - thumb.mean(axis=(0, 1)) for thumb in (one.thumb, other.thumb))
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    # Two plain areas have no shape that could differ; their colours are compared.
    return float((left * right).sum()) / lengths if lengths > 1e-3 else 1.0


def is_nearly_same(one: Look, other: Look) -> bool:
    """Whether two pictures are near-duplicates: the same in bits, in colours and in shape, but for what saving does."""
    return (
        bits_apart(one, other) <= SAME_BITS
        and colours_apart(one, other) <= SAME_COLOURS
        and shapes_alike(one, other) >= SAME_SHAPE
    )


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


def pack_looks(works: Sequence[Sequence[Look]]) -> bytes:
    """What works look like, each in one or more forms, as a file: an array (L, ROW_BYTES) as numpy saves it, every row
    of which begins with the number of its work. The same looks give the same bytes."""
    rows = [
        number.to_bytes(NUMBER_BYTES, "big") + look.hash_bytes + look.thumb_bytes
        for number, forms in enumerate(works)
        for look in forms
    ]
    file = io.BytesIO()
    np.save(file, np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), ROW_BYTES), allow_pickle=False)
    return file.getvalue()


def unpack_looks(content: bytes) -> tuple[tuple[Look, ...], ...]:
    """What `pack_looks` wrote. Raises ValueError for anything else."""
    try:
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except (EOFError, OSError) as error:
        raise ValueError(f"these are no looks: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (ROW_BYTES,):
        raise ValueError("these are no looks: the array has another shape")
    works: dict[int, list[Look]] = {}
    for row in rows:
        number, bits, thumb = np.split(row, (NUMBER_BYTES, NUMBER_BYTES + HASH_BYTES))
        works.setdefault(int.from_bytes(number.tobytes(), "big"), []).append(look_of(bits.tobytes(), thumb.tobytes()))
    return tuple(tuple(forms) for forms in works.values())
