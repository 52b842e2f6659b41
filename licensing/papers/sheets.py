"""A4 sheets: typefaces, wrapped text, tables, and blocks laid out over as many pages as they need.

Lengths are points (1/72 inch); y counts upwards from the foot of the page. A block is drawn down from its upper edge.
"""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

import ttf_opensans
from anyascii import anyascii
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from licensing.papers.characters import one_line

WIDTH, HEIGHT = A4
LEFT, RIGHT = 56.0, WIDTH - 56.0
TOP, FOOT = HEIGHT - 50.0, 66.0

INK, SOFT, LINE, ACCENT = (HexColor(colour) for colour in ("#1d1b18", "#615a50", "#d6cfc3", "#0c6157"))
"""The pages' colours (service/static/app.css), on white."""

ONE_AT_A_TIME = threading.Lock()
"""Held while a typeface is read or cut down to what a paper shows: reportlab keeps one of each for all threads and
works on its tables in place. Python sets one page at a time anyhow, so that nothing waits longer for it."""

Draw = Callable[[Canvas, float], None]
Align = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class Type:
    """How text is set. `leading` is the distance of two base lines."""

    face: Literal["Text", "Text-Bold"] = "Text"
    size: float = 9.0
    leading: float = 12.5
    ink: Color = INK


BODY = Type()
STRONG = Type(face="Text-Bold")
SMALL = Type(size=7.5, leading=10.5, ink=SOFT)
LABEL = Type(size=7.5, leading=10.5, ink=SOFT)
TITLE = Type(face="Text-Bold", size=19.0, leading=24.0)
NAME = Type(face="Text-Bold", size=12.5, leading=16.0, ink=ACCENT)
HEADING = Type(face="Text-Bold", size=10.5, leading=14.0)


@dataclass(frozen=True, kw_only=True)
class Block:
    """What stays together on one page. `heads` is drawn above it where a page begins with it, as the names of a table's
    columns are; `keeps` is how much must fit beneath it on the same page."""

    height: float
    draw: Draw
    heads: "Block | None" = None
    keeps: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table: its right edge is at `x` where it is set to the right, else its left edge."""

    title: str
    x: float
    width: float
    align: Align = "left"


def wrapped(text: str, style: Type, width: float) -> list[str]:
    """`text` in lines no wider than `width`, broken at spaces, and inside of a word that is wider by itself."""
    lines: list[str] = []
    for word in _shown(text, style.face).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, style) <= width:
            lines[-1] = longer
            continue
        while _width(word, style) > width and len(word) > 1:
            fitting = max(1, _fitting(word, style, width))
            lines.append(word[:fitting])
            word = word[fitting:]
        lines.append(word)
    return lines


def fitted(text: str, style: Type, width: float) -> str:
    """`text` on one line, cut short with an ellipsis where it is wider than `width`."""
    text = _shown(text, style.face)
    if _width(text, style) <= width:
        return text
    return text[: _fitting(text, style, width - _width("…", style))].rstrip() + "…"


def write(canvas: Canvas, text: str, x: float, y: float, style: Type = BODY, align: Align = "left") -> None:
    """One line with its base line at `y`."""
    shown = _shown(text, style.face)
    canvas.setFont(style.face, style.size)
    canvas.setFillColor(style.ink)
    if align == "right":
        canvas.drawRightString(x, y, shown)
    else:
        canvas.drawString(x, y, shown)


def rule(canvas: Canvas, y: float, *, left: float = LEFT, right: float = RIGHT, ink: Color = LINE) -> None:
    """A hairline."""
    canvas.setStrokeColor(ink)
    canvas.setLineWidth(0.6)
    canvas.line(left, y, right, y)


def space(height: float) -> Block:
    """Nothing, `height` points of it."""
    return Block(height=height, draw=lambda canvas, y: None)


def paragraph(
    text: str, style: Type = BODY, *, x: float = LEFT, width: float = RIGHT - LEFT, keeps: float = 0.0
) -> Block:
    """Wrapped text; its own line breaks are kept."""
    lines = [line for part in text.splitlines() for line in wrapped(part, style, width) or [""]]

    def draw(canvas: Canvas, y: float) -> None:
        for number, line in enumerate(lines):
            write(canvas, line, x, y - style.size - number * style.leading, style)

    return Block(height=len(lines) * style.leading, draw=draw, keeps=keeps)


def lines_of(text: str, style: Type = BODY, *, width: float = RIGHT - LEFT) -> list[Block]:
    """Wrapped text that may go on on the next page."""
    return [paragraph(line, style, width=width) for part in text.splitlines() for line in wrapped(part, style, width)]


def column_names(columns: Sequence[Column], *, right: float = RIGHT) -> Block:
    """The first row of a table that ends at `right`."""

    def draw(canvas: Canvas, y: float) -> None:
        for column in columns:
            write(canvas, column.title, column.x, y - 9.0, LABEL, column.align)
        rule(canvas, y - 15.0, right=right, ink=SOFT)

    return Block(height=16.0, draw=draw)


def row(
    columns: Sequence[Column], cells: Sequence[str], *, heads: Block, padding: float = 4.5, right: float = RIGHT
) -> Block:
    """A row of a table, as high as its highest cell; cells to the left are wrapped, those to the right never are."""
    wrapped_cells = [
        wrapped(cell, BODY, column.width) if column.align == "left" else [cell]
        for column, cell in zip(columns, cells, strict=True)
    ]
    height = max(len(lines) for lines in wrapped_cells) * BODY.leading + 2 * padding

    def draw(canvas: Canvas, y: float) -> None:
        for column, lines in zip(columns, wrapped_cells, strict=True):
            for number, line in enumerate(lines):
                write(canvas, line, column.x, y - padding - BODY.size - number * BODY.leading, BODY, column.align)
        rule(canvas, y - height, right=right)

    return Block(height=height, draw=draw, heads=heads)


def beside(*blocks: Block) -> Block:
    """Blocks on one height, each at the place where it was made for."""

    def draw(canvas: Canvas, y: float) -> None:
        for block in blocks:
            block.draw(canvas, y)

    return Block(height=max(block.height for block in blocks), draw=draw)


def stacked(*blocks: Block) -> Block:
    """Blocks one under the other, kept together."""

    def draw(canvas: Canvas, y: float) -> None:
        for block in blocks:
            block.draw(canvas, y)
            y -= block.height

    return Block(height=sum(block.height for block in blocks), draw=draw)


def typeset(
    blocks: Sequence[Block],
    *,
    masthead: Block,
    running: Block,
    foot: Sequence[str],
    title: str,
    author: str,
    subject: str,
    on: date,
) -> bytes:
    """The PDF: `masthead` on the first page, `running` on those after it, the one or two lines of `foot` and
    the page's number on each. `on` is when the document says that it was made. Threads may call it at once."""
    _typefaces()
    pages = _paged(blocks, masthead, running)
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1, pageCompression=1, initialFontName="Text", lang="en-GB")
    canvas.setTitle(title)
    canvas.setAuthor(author)
    canvas.setSubject(subject)
    canvas.setDateFormatter(lambda *clock: f"D:{on:%Y%m%d}000000+00'00'")
    for number, page in enumerate(pages, 1):
        for block, y in page:
            block.draw(canvas, y)
        _draw_foot(canvas, foot, f"Page {number} of {len(pages)}")
        canvas.showPage()
    with ONE_AT_A_TIME:
        canvas.save()
    return file.getvalue()


def _paged(blocks: Sequence[Block], masthead: Block, running: Block) -> list[list[tuple[Block, float]]]:
    """Each page's blocks with their upper edges. A block that no page could hold begins one and runs over its foot."""
    pages = [[(masthead, TOP)]]
    y = TOP - masthead.height
    for block in blocks:
        if y - block.height - block.keeps < FOOT and len(pages[-1]) > 1:
            pages.append([(running, TOP)])
            y = TOP - running.height
            if block.heads:
                pages[-1].append((block.heads, y))
                y -= block.heads.height
        pages[-1].append((block, y))
        y -= block.height
    return pages


def _draw_foot(canvas: Canvas, foot: Sequence[str], page: str) -> None:
    rule(canvas, FOOT - 16.0)
    for number, line in enumerate(foot):
        shown = fitted(line, SMALL, RIGHT - LEFT - 80.0)
        write(canvas, shown, LEFT, FOOT - 28.0 - number * SMALL.leading, SMALL)
    write(canvas, page, RIGHT, FOOT - 28.0, SMALL, "right")


def _width(text: str, style: Type) -> float:
    _typefaces()
    width: float = pdfmetrics.stringWidth(text, style.face, style.size)
    return width


def _fitting(text: str, style: Type, width: float) -> int:
    """How many characters of `text` fit into `width`."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _width(text[:middle], style) <= width else (low, middle - 1)
    return low


@cache
def _typefaces() -> None:
    """Both faces are embedded, as PDF/A wants it."""
    faces = {"Text": ttf_opensans.OPENSANS_REGULAR, "Text-Bold": ttf_opensans.OPENSANS_SEMIBOLD}
    with ONE_AT_A_TIME:
        for name in faces.keys() - pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(faces[name].path)))


def _shown(text: str, face: str) -> str:
    """`text` on one line, with Latin letters in place of scripts that the typeface does not have; it has Europe's."""
    _typefaces()
    text = one_line(text)
    glyphs = pdfmetrics.getFont(face).face.charToGlyph
    if all(ord(character) in glyphs for character in text):
        return text
    return "".join(character if ord(character) in glyphs else anyascii(character) or "?" for character in text)
