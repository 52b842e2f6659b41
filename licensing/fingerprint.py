"""A perceptual hash: near for pictures that look the same, far for others. It survives re-encoding and scaling.

The sign of the 16 x 16 lowest frequencies of the picture's brightness, as in pHash. pHash compares with the median and
so lets frequencies that are all but absent fall either way by chance: on symmetric drawings half the bits change at
every re-encoding. Here a bit is set only above a margin, a twentieth of the frequencies' root mean square.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

BITS = 256
# Re-encodings of one picture (JPEG 40 to 90, WebP 50, half to 1.5 times the size) stay within 11 bits; of 180,000 pairs
# of different simple drawings none came nearer than 17.
NEAR = 14
# A picture above this is not opened: what it unpacks to would not fit in memory.
PIXELS_MAX = 64_000_000

_SIDE, _KEPT, _MARGIN = 64, 16, 0.05
# A frequency this weak is rounding: a single grey level over the whole picture would give 4096.
_INVISIBLE = 1.0


def fingerprint(image: bytes) -> str:
    """The perceptual hash of a picture, 256 bits as 64 hex digits. Raises ValueError for bytes that are no picture.

    A picture of one colour has only zeros and is like every other such picture.
    """
    strengths = _frequencies(_brightness(image))
    scale = float(np.sqrt(np.mean(strengths[1:] ** 2)))
    above = strengths > max(_MARGIN * scale, _INVISIBLE)
    # The first frequency is the brightness of the whole, which a re-encoding may shift.
    above[0] = False
    return np.packbits(above).tobytes().hex()


def distance(one: str, other: str) -> int:
    """In how many of 256 bits two fingerprints differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def is_telling(print_: str) -> bool:
    """False for a picture of next to one colour: it is near to every other such picture, whatever they show."""
    return int(print_, 16).bit_count() > NEAR


def _frequencies(brightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 16 x 16 lowest coefficients (flat) of the cosine transform (DCT-II) of a 64 x 64 picture."""
    position = np.arange(_SIDE)
    basis = np.cos(np.pi * (2 * position + 1) * np.arange(_KEPT)[:, None] / (2 * _SIDE))  # (16, 64)
    kept: NDArray[np.float64] = basis @ brightness @ basis.T
    return kept.ravel()


def _brightness(image: bytes) -> NDArray[np.float64]:
    """The picture upright on white, 64 x 64, 0 to 255."""
    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise ValueError(
                    f"a picture of {opened.width} x {opened.height} is too large; the limit is 64 megapixels"
                )
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"this is not a picture that can be opened: {error}") from error
    ground = Image.new("RGBA", upright.size, "white")
    ground.alpha_composite(upright)
    small = ground.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.float64)
