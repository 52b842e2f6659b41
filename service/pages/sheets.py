"""Single pictures out of the with/without sheet that the trainer draws: rows are prompts, columns as in COLUMNS."""

import asyncio
import io
from dataclasses import dataclass

from PIL import Image

from inference.pictures import png_bytes
from service.errors import ObjectMissing, Problem, not_found
from service.storage import Storage
from service.trainings import Training
from training.report import GAP, HEADER

COLUMNS = ("work", "without", "with")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The decoded sheet. `edge` is the width and height of one picture in it."""

    image: Image.Image
    edge: int
    num_rows: int

    def cut(self, row: int, column: str) -> bytes:
        """One picture as PNG; `row` counts on from the first again where it is past the last."""
        left = GAP + COLUMNS.index(column) * (self.edge + GAP)
        top = HEADER + GAP + row % self.num_rows * (self.edge + GAP)
        return png_bytes(self.image.crop((left, top, left + self.edge, top + self.edge)))


def sheet_of(training: Training) -> str | None:
    """Where the sheet of a training that came to its end lies: the last thing the trainer draws."""
    has_one = training.version_id is not None and bool(training.samples)
    return str(training.samples[-1]["key"]) if has_one else None


async def num_rows(storage: Storage, key: str | None) -> int:
    """How many rows a sheet has; 0 where there is none to show."""
    try:
        return (await open_sheet(storage, key)).num_rows
    except Problem:
        return 0


async def open_sheet(storage: Storage, key: str | None) -> Sheet:
    """Read a sheet from storage. Raises Problem where there is none."""
    if key is None:
        raise not_found("sheet", "with and without")
    return await asyncio.to_thread(_open, storage, key)


def _open(storage: Storage, key: str) -> Sheet:
    try:
        with Image.open(io.BytesIO(storage.get(key))) as opened:
            image = opened.convert("RGB")
    except (ObjectMissing, OSError) as error:
        # Gone, or not a picture at all: there is nothing to show either way.
        raise not_found("sheet", key.rsplit("/", 1)[-1]) from error
    edge = (image.width - 4 * GAP) // len(COLUMNS)
    rows = (image.height - HEADER - GAP) // (edge + GAP)
    if edge < 1 or rows < 1:
        raise not_found("sheet", key.rsplit("/", 1)[-1])
    return Sheet(image=image, edge=edge, num_rows=rows)
