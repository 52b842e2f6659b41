"""Drawings to pixels."""

import io
import random
import re

import numpy as np
import resvg_py
from PIL import Image

VIEWBOX = re.compile(r'viewBox="([-\d. e]+)"')


def render(svg: str, size: int) -> np.ndarray:
    """RGBA pixels (size, size, 4) uint8 of an SVG, centred in a square; straight alpha, transparent ground."""
    box = [float(number) for number in _viewbox(svg).split()]
    side = max(box[2], box[3])
    square = (box[0] - (side - box[2]) / 2, box[1] - (side - box[3]) / 2, side, side)
    return _pixels(svg, square, size)


def render_moved(svg: str, size: int, pick: random.Random) -> np.ndarray:
    """Like `render`, drawn at 72 to 105 percent and moved a little. Same shape."""
    left, top, width, height = (float(number) for number in _viewbox(svg).split())
    side = max(width, height)
    scale = 1 / pick.uniform(0.72, 1.05)
    room = side * max(scale - 1, 0.04) / 2
    centre_x = left + width / 2 + pick.uniform(-room, room)
    centre_y = top + height / 2 + pick.uniform(-room, room)
    return _pixels(svg, (centre_x - side * scale / 2, centre_y - side * scale / 2, side * scale, side * scale), size)


def _viewbox(svg: str) -> str:
    found = VIEWBOX.search(svg)
    if found is None:
        raise ValueError("The drawing has no viewBox, so its size is unknown.")
    return found.group(1)


def _pixels(svg: str, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    square = VIEWBOX.sub('viewBox="' + " ".join(f"{number:.4f}" for number in box) + '"', svg, count=1)
    try:
        png = resvg_py.svg_to_bytes(svg_string=square, width=size, height=size, skip_system_fonts=True)
    except BaseException as error:
        # A bug of the renderer arrives as a Rust panic, which is no Exception and cannot cross processes.
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"The renderer gave up on this drawing: {error}") from None
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
