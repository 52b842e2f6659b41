"""Single pictures out of the with/without sheet that the trainer draws: rows are prompts, columns as in COLUMNS.

The sheet shows works that were held back, so these are for the eyes of their creator."""

import asyncio
import io
from dataclasses import dataclass

from PIL import Image

from inference.pictures import png_bytes
from service.data_use import Use, read_file
from service.errors import ObjectMissing, Problem, not_found
from service.pages.visits import Member
from training.report import GAP, HEADER

COLUMNS = ("work", "without", "with")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The decoded sheet. `edge` is the width and height of one picture in it."""

    image: Image.Image
    edge: int
    num_rows: int

    def cut(self, row: int, column: str) -> bytes:
        """One picture as PNG. Raises Problem where there is no such row."""
        if not 0 <= row < self.num_rows:
            raise not_found("row", str(row))
        left = GAP + COLUMNS.index(column) * (self.edge + GAP)
        top = HEADER + GAP + row * (self.edge + GAP)
        return png_bytes(self.image.crop((left, top, left + self.edge, top + self.edge)))


async def num_rows(visit: Member, key: str | None) -> int:
    """How many rows a sheet has; 0 where there is none to show."""
    try:
        return (await open_sheet(visit, key)).num_rows
    except Problem:
        return 0


async def open_sheet(visit: Member, key: str | None) -> Sheet:
    """A sheet for its creator. Raises Problem where there is none."""
    if key is None:
        raise not_found("sheet", "with and without")
    try:
        content = await read_file(visit.web, Use(purpose="own", by=visit.identity.who), key)
    except ObjectMissing as error:
        raise not_found("sheet", key.rsplit("/", 1)[-1]) from error
    return await asyncio.to_thread(_decode, content, key)


def _decode(content: bytes, key: str) -> Sheet:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except OSError as error:
        # Not a picture at all: there is nothing to show.
        raise not_found("sheet", key.rsplit("/", 1)[-1]) from error
    edge = (image.width - 4 * GAP) // len(COLUMNS)
    rows = (image.height - HEADER - GAP) // (edge + GAP)
    if edge < 1 or rows < 1:
        raise not_found("sheet", key.rsplit("/", 1)[-1])
    return Sheet(image=image, edge=edge, num_rows=rows)
