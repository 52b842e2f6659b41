"""Pictures for the seal's tests: simple drawings, unlike each other by their number."""

import io
import random

from PIL import Image, ImageDraw


def drawing(number: int, *, side: int = 256) -> Image.Image:
    """A few shapes in the middle of a white ground."""
    choose = random.Random(number)
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        width, height = (choose.randrange(side // 8, side // 2) for _ in range(2))
        left, top = (choose.randrange(side // 8, side // 2) for _ in range(2))
        shape = choose.choice([pen.ellipse, pen.rectangle])
        shape((left, top, left + width, top + height), fill=tuple(choose.randrange(256) for _ in range(3)))
    return image


def under_glare(image: Image.Image) -> Image.Image:
    """The same seen through a strong glare: its fine structure is there, but it looks like another picture."""
    glare = Image.radial_gradient("L").resize(image.size)
    return Image.blend(image.convert("RGB"), Image.merge("RGB", [glare] * 3), 0.7)


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
