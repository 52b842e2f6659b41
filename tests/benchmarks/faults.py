"""Faults planted into good pictures, each as it comes about in practice. Pixels in, pixels out."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from training.base.sources import fetch

FONTS = {
    "@fontsource/caveat": "5.3.0",
    "@fontsource/dancing-script": "5.3.0",
    "@fontsource/permanent-marker": "5.3.0",
    "@fontsource/inter": "5.3.0",
    "@fontsource/lora": "5.3.0",
}
"""Open fonts of the npm registry (OFL-1.1 and Apache-2.0): three written by hand, two printed."""
HANDS = ("caveat", "dancing-script", "permanent-marker")
PRINTS = ("inter", "lora")
NAMES = ("Anna Blix", "J. Okafor", "Mira Tanaka", "studio kolibri", "Lena M. 2024", "R. Vance", "pablo ruiz", "Ines B.")
MARKS = ("PREVIEW", "(c) Studio Kolibri", "SAMPLE", "stockpixel.com", "DO NOT COPY", "www.annablix.net")
SENTENCES = (
    "Settings", "Your account", "Search all messages", "Save changes", "The invoice of March is ready",
    "Total 1,240.00 EUR", "Invite a friend and get ten percent off", "Last seen today at 14:32", "Add to cart",
    "We use cookies to make this site work", "Sign in to continue", "Download the report", "Quarterly figures",
)  # fmt: skip

Fault = Callable[[Image.Image, random.Random], Image.Image]


def fetch_fonts(folder: Path) -> None:
    fetch(FONTS, folder)


def font(folder: Path, family: str, size: int) -> ImageFont.FreeTypeFont:
    files = folder / "node_modules" / "@fontsource" / family / "files"
    return ImageFont.truetype(str(files / f"{family}-latin-400-normal.woff"), size)


def blurred(image: Image.Image, pick: random.Random) -> Image.Image:
    """Out of focus: a radius of 0.4 to 1.2 percent of the longer edge."""
    return image.filter(ImageFilter.GaussianBlur(max(image.size) * pick.uniform(0.004, 0.012)))


def upscaled(image: Image.Image, pick: random.Random) -> Image.Image:
    """A small file made large: between a sixth and a third of the edge, enlarged again."""
    share = pick.uniform(1 / 6, 1 / 3)
    small = image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.LANCZOS)
    return small.resize(image.size, pick.choice((Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)))


def squeezed(image: Image.Image, pick: random.Random) -> Image.Image:
    """Saved as JPEG of a quality between 5 and 30."""
    return resaved(image, pick.randint(5, 30))


def resaved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def watermarked(image: Image.Image, pick: random.Random, fonts: Path) -> Image.Image:
    """Translucent words across the picture, once and large or many times and small."""
    words, size = pick.choice(MARKS), max(image.size)
    layer = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(layer)
    shade = pick.choice(((255, 255, 255), (90, 90, 90)))
    if _is_light(image):
        shade = (90, 90, 90)
    colour = (*shade, pick.randint(80, 140))
    if pick.random() < 0.5:
        chosen = font(fonts, pick.choice(PRINTS), int(size * 1.5 / len(words)))
        pen.text((image.width / 2, image.height / 2), words, font=chosen, fill=colour, anchor="mm")
    else:
        chosen = font(fonts, pick.choice(PRINTS), int(size * 0.045))
        for row in range(4):
            for column in range(3):
                spot = (image.width * (column + 0.5) / 3, image.height * (row + 0.5) / 4)
                pen.text(spot, words, font=chosen, fill=colour, anchor="mm")
    if pick.random() < 0.4:
        layer = layer.rotate(pick.uniform(-25, 25), resample=Image.Resampling.BICUBIC)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def signed(image: Image.Image, pick: random.Random, fonts: Path) -> Image.Image:
    """A name in one of the lower corners, written by hand or printed."""
    signed_one, size = image.copy(), max(image.size)
    family = pick.choice((*HANDS, *HANDS, *PRINTS))
    chosen = font(fonts, family, int(size * pick.uniform(0.03, 0.05)))
    is_left = pick.random() < 0.3
    spot = (size * 0.02 if is_left else image.width - size * 0.02, image.height - size * 0.02)
    ground = np.asarray(image.crop((0, image.height * 9 // 10, image.width, image.height)).convert("L")).mean()
    fill = "#1d1d28" if ground > 110 else "#f4f1ea"
    ImageDraw.Draw(signed_one).text(spot, pick.choice(NAMES), font=chosen, fill=fill, anchor="ls" if is_left else "rs")
    return signed_one


def screenshot(image: Image.Image, pick: random.Random, fonts: Path) -> Image.Image:
    """A window with a column of words beside the picture."""
    size = image.size
    window = Image.new("RGB", size, pick.choice(("#ffffff", "#f3f4f6", "#1f2430")))
    is_dark = _is_light(window) is False
    small = ImageOps.contain(image, (size[0] // 2, size[1] // 2))
    window.paste(small, (size[0] - small.width - 20, size[1] // 4))
    pen = ImageDraw.Draw(window)
    chosen = font(fonts, pick.choice(PRINTS), max(14, size[1] // 34))
    lines = pick.sample(SENTENCES, 7)
    for number, line in enumerate(lines):
        spot = (size[0] // 25, size[1] * (number + 1) // 9)
        pen.text(spot, line, font=chosen, fill="#e5e7eb" if is_dark else "#20242c")
    return window


def rescaled(image: Image.Image, pick: random.Random) -> Image.Image:
    share = pick.uniform(0.45, 0.8)
    return image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.LANCZOS)


def recompressed(image: Image.Image, pick: random.Random) -> Image.Image:
    return resaved(image, pick.randint(45, 80))


def cropped(image: Image.Image, pick: random.Random) -> Image.Image:
    """Up to 8 percent less on each side."""
    left, top, right, bottom = (pick.uniform(0.0, 0.08) for _ in range(4))
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int(width * (1 - right)), int(height * (1 - bottom))))


def mirrored(image: Image.Image, pick: random.Random) -> Image.Image:
    return resaved(ImageOps.mirror(image), pick.randint(80, 92))


def recoloured(image: Image.Image, pick: random.Random) -> Image.Image:
    """Other hues, or none at all."""
    if pick.random() < 0.3:
        return ImageOps.grayscale(image).convert("RGB")
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + pick.randint(30, 225)) % 256
    return Image.fromarray(hsv, "HSV").convert("RGB")


REPEATS: dict[str, Fault] = {
    "recompressed": recompressed,
    "rescaled": rescaled,
    "cropped": cropped,
    "mirrored": mirrored,
    "recoloured": recoloured,
}


def _is_light(image: Image.Image) -> bool:
    return float(np.asarray(image.convert("L")).mean()) > 128
