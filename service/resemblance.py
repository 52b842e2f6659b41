"""Works that look like a work of somebody else's: found at upload, among all works there are.

Multi-index hashing (Norouzi and others, CVPR 2012): a perceptual hash of 64 bits is kept in four bands of 16. Two
hashes that differ in at most six bits differ in at most one bit of some band, so 17 values a band name every candidate,
and the indexes answer without looking at the rest. The candidates are then compared whole, in bits and in colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from inference.likeness import SAME_BITS, Look, bits_apart, colours_apart, is_nearly_same, look_of
from licensing.database import Connection
from service.cases import open_case
from service.ids import NewId
from service.works import StoredWork, change_work

NUM_BANDS = 4
BAND_BITS = 16
# Seven or more differing bits could be spread two to a band.
assert SAME_BITS < 2 * NUM_BANDS


@dataclass(frozen=True, kw_only=True)
class Alike:
    """A work of another creator that looks the same."""

    work_id: str
    bits_apart: int
    colours_apart: float
    """Mean difference of the thumbnails, 0 to 1."""


async def compare_with_others(
    conn: Connection, work: StoredWork, looks: tuple[Look, Look], *, new_id: NewId, now: datetime
) -> StoredWork:
    """Note what a new work looks like, straight and mirrored. Where somebody else's looks the same, its rights become
    unsure and the operator gets a case; the work after that."""
    await note_look(conn, looks[0], work_id=work.id, creator_id=work.creator_id)
    alike = await nearest_of_others(conn, looks, creator_id=work.creator_id)
    if alike is None:
        return work
    evidence = {"other": alike.work_id, "bits_apart": alike.bits_apart, "colours_apart": alike.colours_apart}
    await open_case(
        conn,
        case_id=new_id("cas"),
        kind="near_duplicate",
        subject=work.id,
        creator_id=work.creator_id,
        # What the uploader said comes back when the case is decided for them.
        evidence={**evidence, "rights": work.rights},
        now=now,
    )
    held = await change_work(conn, work_id=work.id, creator_id=work.creator_id, now=now, rights="unsure")
    assert held is not None
    return held


async def note_look(conn: Connection, look: Look, *, work_id: str, creator_id: str) -> None:
    """Keep what a work looks like, for those that come later."""
    await conn.execute(
        "INSERT INTO service.looks (work_id, creator_id, bits, thumb, band_0, band_1, band_2, band_3)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(work_id, creator_id, look.hash_bytes, look.thumb_bytes, *bands_of(look)),
    )


async def nearest_of_others(conn: Connection, looks: Sequence[Look], *, creator_id: str) -> Alike | None:
    """The work of another creator that is most like one of `looks` (a picture and its mirror image); None where no work
    is nearly the same."""
    found: list[Alike] = []
    for look in looks:
        rows = await conn.fetch(
            "SELECT work_id, bits, thumb FROM service.looks WHERE creator_id <> $1 AND (band_0 = ANY($2::int[])"
            " OR band_1 = ANY($3::int[]) OR band_2 = ANY($4::int[]) OR band_3 = ANY($5::int[]))",
            *(creator_id, *probes_of(look)),
        )
        found += [alike for row in rows if (alike := _compare(look, row["work_id"], row["bits"], row["thumb"]))]
    return min(found, key=lambda alike: (alike.bits_apart, alike.colours_apart, alike.work_id), default=None)


async def all_alike(conn: Connection, looks: Sequence[Look], *, limit: int = 20) -> list[Alike]:
    """Works of whichever creator that are nearly the same as one of `looks`, the nearest first: for the operator, who
    looks for a picture that somebody claims."""
    found: dict[str, Alike] = {}
    for look in looks:
        rows = await conn.fetch(
            "SELECT work_id, bits, thumb FROM service.looks WHERE band_0 = ANY($1::int[])"
            " OR band_1 = ANY($2::int[]) OR band_2 = ANY($3::int[]) OR band_3 = ANY($4::int[])",
            *probes_of(look),
        )
        for row in rows:
            alike, known = _compare(look, row["work_id"], row["bits"], row["thumb"]), found.get(row["work_id"])
            if alike is not None and (known is None or alike.bits_apart < known.bits_apart):
                found[alike.work_id] = alike
    return sorted(found.values(), key=lambda alike: (alike.bits_apart, alike.colours_apart, alike.work_id))[:limit]


async def find_look(conn: Connection, work_id: str) -> Look | None:
    """What a work looks like; None where that was not kept."""
    row = await conn.fetchrow("SELECT bits, thumb FROM service.looks WHERE work_id = $1", work_id)
    return look_of(row["bits"], row["thumb"]) if row else None


def is_alike(look: Look, bits: bytes, thumb: bytes) -> bool:
    """Whether a picture is nearly the same as one whose look was kept."""
    return is_nearly_same(look, look_of(bits, thumb))


def _compare(look: Look, work_id: str, bits: bytes, thumb: bytes) -> Alike | None:
    other = look_of(bits, thumb)
    if not is_nearly_same(look, other):
        return None
    return Alike(
        work_id=work_id,
        bits_apart=bits_apart(look, other),
        colours_apart=round(colours_apart(look, other), 4),
    )


def bands_of(look: Look) -> list[int]:
    """The parts of its hash, by which it is found."""
    return [int(word) for word in np.frombuffer(look.hash_bytes, dtype=">u2")]


def probes_of(look: Look) -> list[list[int]]:
    """Every band as it is, and with each of its bits turned."""
    return [[band ^ flip for flip in (0, *(1 << bit for bit in range(BAND_BITS)))] for band in bands_of(look)]
