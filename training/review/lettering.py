"""Writing in pictures: text, watermarks, signatures. PP-OCR through onnxruntime; its models come inside `rapidocr`."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFilter

CLOSE_EDGE, FAR_EDGE = 512, 320
"""Longer sides of the pictures that are read: from close by names in corners are found, from afar words that lie across
the whole picture. The library's own is 736, which takes twice as long."""
SURE = 0.7
"""Confidence of a reading from which it counts, 0 to 1. Tuned on `tests.benchmarks.portfolios.SETS["tuned"]`."""
AROUND, CONTRAST = 0.03, 4.0
"""Radius, as a share of the longer side, of what a shade is compared with; how much differences from it are raised."""
BELOW_GROUND, BAND = 90, 110
"""Shades of 255: where the band about the ground's own begins, and how wide it is."""
LETTERS_MIN = 3
"""Fewer letters in a row are seen in many drawings that hold none."""
CORNER = 0.25
"""Names stand within this share of the height from the upper or lower border."""
SIGNATURE_HEIGHT = 0.12
ACROSS = 0.3
"""Words in the middle that are at least this wide, as a share of the picture, lie across it."""
REPEATED = 3
READ_ALIKE = 0.6
LINES_SHOWN, LINES_COMPARED = 3, 60

Kind = Literal["text", "watermark", "signature"]


@dataclass(frozen=True, kw_only=True)
class Words:
    """One line of writing; places and sizes are shares of the picture, from its left upper corner."""

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, kw_only=True)
class Lettering:
    """What a work's writing most looks like, and what it says."""

    kind: Kind
    says: str


class Reader:
    """Finds and reads lines of writing. One for each thread: loading takes about half a second."""

    def __init__(self, num_threads: int = 1) -> None:
        self._close, self._far = (_ocr(edge, num_threads) for edge in (CLOSE_EDGE, FAR_EDGE))

    def read(self, image: Image.Image) -> tuple[Words, ...]:
        """Lines of writing in an RGB picture that are read with confidence.

        From close by, with faint differences raised; where that finds nothing once more from afar, with all that is
        much darker or lighter than the ground made even: translucent words across a picture stand out then.
        """
        return self._read(self._close, raised(image)) or self._read(self._far, evened(image))

    def _read(self, ocr: Any, grey: Image.Image) -> tuple[Words, ...]:
        image = grey.convert("RGB")
        # The library takes arrays for blue, green, red.
        found = ocr(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]), use_cls=False)
        if found.boxes is None:
            return ()
        size = np.array(image.size, float)
        lines = []
        for box, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True):
            corners = np.asarray(box) / size
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            line = Words(
                text=text,
                confidence=float(confidence),
                left=float(left),
                top=float(top),
                right=float(right),
                bottom=float(bottom),
            )
            if line.confidence >= SURE and _num_letters(text) >= LETTERS_MIN:
                lines.append(line)
        return tuple(lines)


def raised(image: Image.Image) -> Image.Image:
    """Each shade by how it differs from those around it, so that faint words show as well as strong ones; one band."""
    grey = image.convert("L")
    around = grey.filter(ImageFilter.GaussianBlur(AROUND * max(image.size)))
    difference = np.asarray(grey, np.float32) - np.asarray(around, np.float32)
    return Image.fromarray(np.clip(128 + CONTRAST * difference, 0, 255).astype(np.uint8))


def evened(image: Image.Image) -> Image.Image:
    """Only the shades about that of the ground, spread out; one band."""
    shades = np.asarray(image.convert("L"), np.float32)
    spread = (shades - (np.median(shades) - BELOW_GROUND)) * (255 / BAND)
    return Image.fromarray(np.clip(spread, 0, 255).astype(np.uint8))


def read_all(
    images: Sequence[Image.Image], *, num_threads: int, go_on: Callable[[], None] = lambda: None
) -> list[tuple[Words, ...]]:
    """The writing in each RGB picture; `num_threads` of them are read at once. go_on: see `strokes.strokes_of`."""
    shares = [list(range(first, len(images), num_threads)) for first in range(num_threads)]

    def read_share(numbers: list[int]) -> list[tuple[int, tuple[Words, ...]]]:
        if not numbers:
            return []
        reader = Reader()
        found = []
        for number in numbers:
            go_on()
            found.append((number, reader.read(images[number])))
        return found

    with ThreadPoolExecutor(num_threads) as threads:
        read = dict(pair for share in threads.map(read_share, shares) for pair in share)
    return [read[number] for number in range(len(images))]


def judge_lettering(written: Sequence[tuple[Words, ...]]) -> list[Lettering | None]:
    """What each work's writing is: words across the picture or many times over are a watermark, few words near a
    border a signature, all else text. The same words on three works or more are no part of any of them."""
    on_works = Counter(text for lines in written for text in {_plain(line.text) for line in lines})
    return [_judge(lines, on_works) if lines else None for lines in written]


def _ocr(edge: int, num_threads: int) -> Any:
    from rapidocr import RapidOCR

    engine = "EngineConfig.onnxruntime."
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": edge,
            f"{engine}intra_op_num_threads": num_threads,
            f"{engine}inter_op_num_threads": 1,
        }
    )


def _judge(lines: tuple[Words, ...], on_works: Counter[str]) -> Lettering:
    says = " / ".join(line.text for line in sorted(lines, key=lambda line: (line.top, line.left))[:LINES_SHOWN])
    if _num_alike(lines) >= REPEATED or (len(lines) < REPEATED and any(_lies_across(line) for line in lines)):
        return Lettering(kind="watermark", says=says)
    if len(lines) < REPEATED and all(_is_at_border(line) for line in lines):
        return Lettering(kind="signature", says=says)
    if any(on_works[_plain(line.text)] >= REPEATED for line in lines):
        return Lettering(kind="watermark", says=says)
    return Lettering(kind="text", says=says)


def _num_alike(lines: tuple[Words, ...]) -> int:
    """How often the most frequent line stands there; faint words are seldom read the same twice."""
    texts = [_plain(line.text) for line in lines[:LINES_COMPARED]]
    return max(sum(SequenceMatcher(None, one, other).ratio() >= READ_ALIKE for other in texts) for one in texts)


def _lies_across(line: Words) -> bool:
    middle = (line.top + line.bottom) / 2
    return line.right - line.left >= ACROSS and CORNER < middle < 1 - CORNER


def _is_at_border(line: Words) -> bool:
    is_near = line.bottom < CORNER or line.top > 1 - CORNER
    return is_near and line.bottom - line.top < SIGNATURE_HEIGHT


def _plain(text: str) -> str:
    return re.sub(r"\W", "", text).lower()


def _num_letters(text: str) -> int:
    return sum(character.isalpha() for character in text)
