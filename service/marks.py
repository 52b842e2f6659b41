"""What a person must see on a picture that nobody paid for: the mark on a draft, and the picture a test key gets."""

import colorsys
import io
import random
import textwrap

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

DRAFT_EDGE_MAX = 512
LEGIBLE_EDGE = 96
"""Below this a test picture carries no words but TEST."""
NOTES = {"Ownhand": "test picture, not made by a style"}

INK = (24, 24, 27)
PAPER = (255, 255, 255)


def draft_size(size: tuple[int, int], *, share: int) -> tuple[int, int]:
    """Width and height of the draft of a picture of `size`: its edges by `share`, the longer at most 512 pixels."""
    scale = min(1 / share, DRAFT_EDGE_MAX / max(size))
    width, height = (max(1, round(edge * scale)) for edge in size)
    return width, height


def draw_draft_mark(png: bytes, *, size: tuple[int, int]) -> bytes:
    """The same picture at the `size` of a draft, with the word DRAFT on a band in a corner.

    Takes and returns an encoded picture (PNG out).
    """
    with Image.open(io.BytesIO(png)) as source:
        picture = source.convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    width, height = size
    font = ImageFont.load_default(size=max(7, min(width, height) // 9))
    left, top, right, bottom = font.getbbox("DRAFT")
    pad = max(2, (bottom - top) // 3)
    band = (width - (right - left) - 2 * pad, height - (bottom - top) - 2 * pad, width, height)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(band, fill=PAPER)
    draw.text((band[0] + pad - left, band[1] + pad - top), "DRAFT", font=font, fill=INK)
    return _encode(picture)


def draw_test_picture(*, prompt: str, seed: int, width: int, height: int) -> bytes:
    """The PNG that a test key gets: plain shapes chosen by the seed, the prompt, and TEST across it all.

    The same arguments draw the same picture. Its metadata says `Ownhand: test picture, not made by a style`.
    """
    dice = random.Random(seed)
    hue = dice.random()
    picture = Image.new("RGB", (width, height), _colour(hue, 0.16, 0.97))
    draw = ImageDraw.Draw(picture)
    for turn in range(3):
        _draw_shape(draw, dice, _colour((hue + 0.13 * (turn + 1)) % 1, 0.45, 0.85), width, height)
    edge = min(width, height)
    big = ImageFont.load_default(size=max(10, edge // 4))
    small = ImageFont.load_default(size=max(7, edge // 16))
    draw.text((width / 2, height / 2), "TEST", font=big, fill=INK, anchor="mm")
    if edge < LEGIBLE_EDGE:
        return _encode(picture, NOTES)
    words = "\n".join(textwrap.wrap(prompt, width=28, max_lines=2, placeholder=" …"))
    draw.multiline_text((width / 2, height * 0.86), words, font=small, fill=INK, anchor="mm", align="center")
    return _encode(picture, NOTES)


def _draw_shape(
    draw: ImageDraw.ImageDraw, dice: random.Random, colour: tuple[int, ...], width: int, height: int
) -> None:
    radius = min(width, height) * dice.uniform(0.12, 0.26)
    x, y = width * dice.uniform(0.15, 0.85), height * dice.uniform(0.15, 0.7)
    box = (x - radius, y - radius, x + radius, y + radius)
    if dice.random() < 0.5:
        draw.ellipse(box, fill=colour)
    else:
        draw.rectangle(box, fill=colour)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))


def _encode(picture: Image.Image, words: dict[str, str] | None = None) -> bytes:
    notes = PngImagePlugin.PngInfo()
    for name, text in (words or {}).items():
        notes.add_text(name, text)
    file = io.BytesIO()
    picture.save(file, format="PNG", pnginfo=notes)
    return file.getvalue()
