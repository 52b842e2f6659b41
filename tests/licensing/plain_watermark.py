"""A mark for tests: signs of middle frequencies. It survives saving and scaling, and nobody who wants to remove it."""

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from licensing.watermarks import KEY_BYTES

SIDE = 64
CHECK_BYTES = 2
PLACES = [(down, along) for down in range(17, 26) for along in range(17, 25)]
"""One for each bit of key and checksum, beyond the frequencies that a fingerprint looks at."""
STRENGTH = 1.0
"""How far every coefficient is from zero, in grey levels of its wave."""


class PlainMark:
    name = "plain"
    licence = "MIT"

    def mark(self, png: bytes, key: bytes) -> bytes:
        assert len(key) == KEY_BYTES
        signs = np.unpackbits(np.frombuffer(_with_check(key), dtype=np.uint8)).astype(float) * 2 - 1
        with Image.open(io.BytesIO(png)) as opened:
            # Room at both ends, or white would take nothing.
            levels = np.asarray(opened.convert("RGB"), dtype=float) * 0.92 + 10
        for _ in range(3):
            missing = np.maximum(0, STRENGTH - signs * _coefficients(levels)) * signs
            levels = np.clip(levels + _waves(missing, levels.shape[0], levels.shape[1])[..., None], 0, 255)
        file = io.BytesIO()
        Image.fromarray(levels.round().astype(np.uint8)).save(file, "PNG")
        return file.getvalue()

    def detect(self, content: bytes) -> bytes | None:
        try:
            with Image.open(io.BytesIO(content)) as opened:
                levels = np.asarray(opened.convert("RGB"), dtype=float)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
            return None
        found = np.packbits(_coefficients(levels) > 0).tobytes()
        key = found[:KEY_BYTES]
        return key if found == _with_check(key) else None


def _with_check(key: bytes) -> bytes:
    return key + (zlib.crc32(key) & 0xFFFF).to_bytes(CHECK_BYTES, "big")


def _coefficients(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each place, as the height of its wave."""
    grey = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8)).convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=float)
    basis = _basis(SIDE)
    found = basis @ small @ basis.T * (4 / SIDE**2)
    return np.array([found[place] for place in PLACES])


def _waves(heights: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    wanted = np.zeros((SIDE, SIDE))
    for place, value in zip(PLACES, heights, strict=True):
        wanted[place] = value
    return _basis(height).T @ wanted @ _basis(width)


def _basis(size: int) -> NDArray[np.float64]:
    """(SIDE, size): the cosine waves of SIDE frequencies over so many pixels."""
    return np.cos(np.pi * (2 * np.arange(size) + 1) * np.arange(SIDE)[:, None] / (2 * size))
