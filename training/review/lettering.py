"""Writing in pictures: text, watermarks, signatures. PP-OCR through onnxruntime; its models come inside `rapidocr`."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
from PIL import Image

LOOKED_AT_EDGE = 512
"""Longer side of the pictures that are read: twice as fast as the library's own 736, and names in corners are found."""
SURE = 0.6
"""Confidence of a reading from which it counts, 0 to 1."""
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
        from rapidocr import RapidOCR

        engine = "EngineConfig.onnxruntime."
        self._ocr: Any = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "Det.limit_type": "max",
                "Det.limit_side_len": LOOKED_AT_EDGE,
                f"{engine}intra_op_num_threads": num_threads,
                f"{engine}inter_op_num_threads": 1,
            }
        )

    def read(self, image: Image.Image) -> tuple[Words, ...]:
        """Lines of writing in an RGB picture that are read with confidence."""
        # The library takes arrays for blue, green, red.
        found = self._ocr(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]), use_cls=False)
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
