"""Stage `data`: the drawing sets become one array of pictures and one list of what they show."""

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from training.base.captions import Subject
from training.base.collection import read_collection
from training.base.errors import SourceRefused, StageMissing
from training.base.recipe import BaseRecipe, DataRecipe
from training.base.render import render, render_moved
from training.base.sources import Drawing

LEAST_INK = 0.01
MOST_FAILURES = 0.02
WORKERS = max(1, os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The data of a work folder: `pixels` (N, layouts, size, size, 4) uint8, memory-mapped, and a row for each."""

    pixels: np.ndarray
    rows: list[dict[str, Any]]

    def of(self, split: str) -> np.ndarray:
        """Numbers of the pictures of a split, `train` or `held`, in order."""
        return np.array([number for number, row in enumerate(self.rows) if row["split"] == split], dtype=np.int64)


def make_data(recipe: BaseRecipe, work: Path, say: Callable[[str], None]) -> None:
    """Render every collected drawing and write `pictures.npy` and `pictures.jsonl`. Needs no network."""
    kept = read_collection(work)
    rows = _write_pictures(recipe, kept, work, say)
    say(f"{len(rows)} pictures, {dict(Counter(row['kind'] for row in rows))}")


def read_data(work: Path) -> Pictures:
    """What `make_data` wrote; StageMissing where it has not run."""
    pixels, rows = work / "pictures.npy", work / "pictures.jsonl"
    if not (pixels.is_file() and rows.is_file()):
        raise StageMissing(f"There are no pictures in {work}. Run `python -m training.base data --work {work}` first.")
    return Pictures(
        pixels=np.load(pixels, mmap_mode="r"), rows=[json.loads(line) for line in rows.read_text().splitlines()]
    )


def split_of(package: str, name: str, share: float) -> str:
    """`held` for a fixed `share` of the drawings, by the hash of their name, else `train`."""
    digest = hashlib.sha256(f"{package}/{name}".encode()).digest()
    return "held" if int.from_bytes(digest[:8], "big") / 2**64 < share else "train"


def split_in(data: DataRecipe, drawing: Drawing, subject: Subject) -> str:
    """The split of a drawing by a recipe's shares."""
    return split_of(drawing.package, drawing.name, data.held_everyday if subject.everyday else data.held_other)


def cumulative_shares(
    rows: Sequence[Mapping[str, Any]], numbers: np.ndarray, weights: Mapping[str, float]
) -> np.ndarray:
    """Running sum, ending at 1, of how often each of the pictures `numbers` is to be drawn, by its kind's weight."""
    each = np.array([weights[rows[number]["kind"]] for number in numbers])
    return np.asarray(np.cumsum(each) / each.sum())


def draw_layouts(drawing: Drawing, size: int, layouts: int, seed: int) -> np.ndarray | None:
    """Pixels (layouts, size, size, 4): the plain drawing, then moved ones; None where it cannot be drawn."""
    pick = random.Random(f"{seed}/{drawing.package}/{drawing.name}")
    try:
        views = [render(drawing.svg, size), *(render_moved(drawing.svg, size, pick) for _ in range(layouts - 1))]
    except ValueError:
        return None
    return np.stack(views)


def _write_pictures(
    recipe: BaseRecipe, kept: list[tuple[Drawing, Subject]], work: Path, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    data = recipe.data
    draw = partial(draw_layouts, size=data.size, layouts=data.layouts, seed=recipe.seed)
    rows: list[dict[str, Any]] = []
    failed = 0
    shape = (len(kept), data.layouts, data.size, data.size, 4)
    scratch = work / "pictures.part.npy"
    pixels = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=shape)
    # Spawned, because forking a process in which torch has threads can hang.
    with ProcessPoolExecutor(max_workers=WORKERS, mp_context=get_context("spawn")) as pool:
        drawn = pool.map(draw, [drawing for drawing, _ in kept], chunksize=32)
        for number, ((drawing, subject), views) in enumerate(zip(kept, drawn, strict=True), start=1):
            if number % 2000 == 0:
                say(f"rendered {number} of {len(kept)}")
            failed += views is None
            if views is None or views[0][..., 3].mean() / 255 < LEAST_INK:
                continue
            pixels[len(rows)] = views
            split = split_in(data, drawing, subject)
            rows.append({"set": drawing.package, "name": drawing.name, "split": split, **asdict(subject)})
    if failed > MOST_FAILURES * len(kept):
        raise SourceRefused(f"{failed} of {len(kept)} drawings could not be rendered; is resvg-py intact?")
    pixels.flush()
    whole = np.lib.format.open_memmap(work / "pictures.npy", mode="w+", dtype=np.uint8, shape=(len(rows), *shape[1:]))
    whole[:] = pixels[: len(rows)]
    whole.flush()
    scratch.unlink()
    (work / "pictures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows
