"""Encoded pictures in, pictures out, with limits checked before a pixel is decoded. Needs Pillow, not torch."""

import io
import re
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageOps, UnidentifiedImageError

from inference.errors import ImageRefused
from inference.messages import MAX_IMAGE_PIXELS

Form = Literal["animated", "transparent"]


@dataclass(frozen=True, kw_only=True)
class OpenedPicture:
    """A decoded picture, upright and on white."""

    image: Image.Image
    """Mode RGB."""
    format: str
    """Of the file: PNG, JPEG, WEBP, ..."""
    forms: frozenset[Form]
    """What was flattened away: further frames, transparency."""


FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# What Pillow's readers raise where bytes are missing or wrong.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, MemoryError, ArithmeticError)
# Pixels above which Pillow does not even open a file.
_POINTLESS = 2 * (Image.MAX_IMAGE_PIXELS or 0)


def open_picture(content: bytes, *, max_pixels: int = MAX_IMAGE_PIXELS) -> OpenedPicture:
    """Decode one picture file: first frame, upright as its EXIF says, transparency on white, RGB.

    The size is read from the header and checked before decoding, so a decompression bomb costs nothing. Raises
    ImageRefused with a sentence that begins with what the file is, to be put after its name.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageRefused(
            f"is not a picture this can read; save it as {', '.join(FORMATS[:3])}", kind="not_a_picture"
        ) from error
    except Image.DecompressionBombError as error:
        # Pillow counts them while it reads the header, and its sentence is the only place where it says the number.
        stated = re.search(r"\d+", str(error))
        raise _too_many_pixels(int(stated[0]) if stated else _POINTLESS, max_pixels) from error
    except _DAMAGED as error:
        raise _damaged() from error
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(image.width * image.height, max_pixels)
    return _decode(image)


def _too_many_pixels(num_pixels: int, max_pixels: int) -> ImageRefused:
    return ImageRefused(
        f"has {-(-num_pixels // 1_000_000):,} million pixels, and at most {max_pixels // 1_000_000} million are read; "
        "save it smaller",
        kind="too_many_pixels",
    )


def _damaged() -> ImageRefused:
    return ImageRefused(
        "is damaged or cut off; export it again from your drawing program or upload it again", kind="damaged"
    )


def _decode(image: Image.Image) -> OpenedPicture:
    forms: set[Form] = set()
    file_format = image.format or "unknown"
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        flat, was_transparent = _flatten(upright)
        is_animated = bool(getattr(image, "is_animated", False))
    except _DAMAGED as error:
        raise _damaged() from error
    if was_transparent:
        forms.add("transparent")
    if is_animated:
        forms.add("animated")
    return OpenedPicture(image=flat, format=file_format, forms=frozenset(forms))


def _flatten(image: Image.Image) -> tuple[Image.Image, bool]:
    if image.mode.startswith(("I", "F")):
        # 16-bit grey; Pillow's own conversion would clip everything above 255 to white.
        return image.point(lambda value: value / 257).convert("L").convert("RGB"), False
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        low, _ = coloured.getchannel("A").getextrema()
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB"), low != 255
    return image.convert("RGB"), False


def fill(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture scaled to cover width x height and cut at the middle."""
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG without metadata.

    Only runs of the same byte are looked for. What a model draws has grain and hardly anything that repeats otherwise:
    a drawn picture of 1024 pixels is as small as by zlib's usual search, and there in a third of the time.
    """
    target = io.BytesIO()
    image.save(target, "PNG", compress_type=zlib.Z_RLE)
    return target.getvalue()


def jpeg_bytes(image: Image.Image, *, longest: int, quality: int = 70) -> bytes:
    """The picture as a small JPEG with no edge above `longest`."""
    small = image.copy()
    small.thumbnail((longest, longest))
    target = io.BytesIO()
    small.save(target, "JPEG", quality=quality)
    return target.getvalue()
