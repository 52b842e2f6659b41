"""Versions: trained adapters of a style, never overwritten. The style names the one that new orders get."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing import switch
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import say
from service.db.connections import read
from service.trainings import Training

ADAPTER, FLAT, RECEIPT, REPORT = "adapter.safetensors", "adapter.flat", "receipt.json", "report.html"
"""A version's files, in storage under `Training.files` of the training that made it."""
EXAMPLES = "examples"
"""Beside them, the folder of pictures that anybody may see: drawn with the adapter, none of them a work."""
SHEET = "with-and-without.png"
"""How the trainer names the sample that shows the same prompts with and without the adapter, beside the works that
were held back: for the creator's eyes alone."""
LOOKS = "looks.npy"
"""Beside them, what all works look like in numbers: for workers, which tell near-copies by it, and nobody else."""
KEPT_FILES = "kept"
"""Beside them, the folder of adapters that could be released instead (`training.kept`): opened to judge one alone."""

VersionState = Literal["draft", "published", "retired"]
IS_SOLD = "v.published_at IS NOT NULL AND v.state <> 'retired'"
"""SQL over a version `v`: it was published, and its works have not lost their rights since."""

_COLUMNS = (
    "id, style_id, creator_id, training_id, number, base, trigger, adapter_key, adapter_sha256, report_key,"
    " receipt_key, sheet_key, looks_key, near_copies, examples, receipt, scores, work_ids, gate_passed,"
    " state, created_at, published_at, flat_key, flat_sha256"
)


@dataclass(frozen=True, kw_only=True)
class Version:
    """`receipt` is the signed receipt's payload; the signature lies with it under `receipt_key`.

    `examples` are the keys of the pictures that anybody may see; the sheet is the creator's alone. `near_copies` counts
    the pictures that were refused because they came out nearly the same as a work; without `looks_key` none are told.
    """

    id: str
    style_id: str
    creator_id: str
    training_id: str
    number: int
    base: str
    trigger: str
    adapter_key: str
    adapter_sha256: str
    report_key: str
    receipt_key: str
    sheet_key: str | None
    looks_key: str | None
    near_copies: int
    examples: list[str]
    receipt: dict[str, Any]
    scores: dict[str, Any]
    work_ids: list[str]
    gate_passed: bool
    state: VersionState
    created_at: datetime
    published_at: datetime | None
    flat_key: str | None
    """Of the adapter's flat file, for the engines alone; None where the trainer made none."""
    flat_sha256: str | None


async def find_version(conn: Connection, version_id: str, *, creator_id: str) -> Version | None:
    """A creator's own version."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.versions WHERE id = $1 AND creator_id = $2", version_id, creator_id
    )
    return read(Version, row) if row else None


async def sold_version(conn: Connection, *, style_id: str, version_id: str | None = None) -> Version | None:
    """What an order of a style gets: its published version, or the one named if that was ever published.

    A version whose works lost their rights is not sold again.
    """
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.versions v WHERE v.style_id = $1 AND {IS_SOLD}"
        " AND v.id = coalesce($2, (SELECT published_version_id FROM service.styles WHERE id = $1))",
        *(style_id, version_id),
    )
    return read(Version, row) if row else None


async def still_sold(conn: Connection, adapters: Collection[str], *, now: datetime) -> set[str]:
    """Which of these adapters (by their SHA-256) somebody may still have pictures drawn with.

    Those of published versions of styles that are neither off nor destroyed; what one client may not, others may.
    """
    rows = await conn.fetch(
        f"SELECT adapter_sha256, style_id FROM service.versions v WHERE adapter_sha256 = ANY($1::text[]) AND {IS_SOLD}",
        sorted(adapters),
    )
    held = await switch.states(conn, style_ids=sorted({row["style_id"] for row in rows}), now=now)
    return {
        row["adapter_sha256"]
        for row in rows
        if row["style_id"] in held and held[row["style_id"]].level not in ("off", "destroyed")
    }


async def list_versions(
    conn: Connection, *, style_id: str, creator_id: str, limit: int = 100, before: str | None = None
) -> list[Version]:
    """A style's versions, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.versions WHERE style_id = $1 AND creator_id = $2"
        " AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        *(style_id, creator_id, before, limit),
    )
    return [read(Version, row) for row in rows]


async def add_version(
    conn: Connection,
    *,
    version_id: str,
    training: Training,
    trigger: str,
    adapter_sha256: str,
    flat_sha256: str | None,
    receipt: Mapping[str, Any],
    examples: Sequence[str],
    has_looks: bool,
    scores: Mapping[str, Any],
    gate_passed: bool,
    now: datetime,
) -> None:
    """A draft from a training whose files lie in their place. In a transaction; numbers the version."""
    await conn.execute("SELECT 1 FROM service.styles WHERE id = $1 FOR UPDATE", training.style_id)
    files = training.files
    sheet = next((one["key"] for one in training.samples if one["name"].endswith(SHEET)), None)
    await conn.execute(
        "INSERT INTO service.versions (id, style_id, creator_id, training_id, number, base, trigger, adapter_key,"
        " adapter_sha256, report_key, receipt_key, sheet_key, receipt, scores, work_ids, gate_passed, created_at,"
        " examples, flat_key, flat_sha256, looks_key)"
        " VALUES ($1, $2, $3, $4, (SELECT coalesce(max(number), 0) + 1 FROM service.versions WHERE style_id = $2),"
        " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        *(version_id, training.style_id, training.creator_id, training.id, training.base, trigger),
        *(f"{files}/{ADAPTER}", adapter_sha256, f"{files}/{REPORT}", f"{files}/{RECEIPT}", sheet),
        *(json.dumps(receipt), json.dumps(scores), json.dumps([work["id"] for work in training.manifest])),
        *(gate_passed, now, json.dumps(list(examples))),
        *(None if flat_sha256 is None else f"{files}/{FLAT}", flat_sha256),
        f"{files}/{LOOKS}" if has_looks else None,
    )
    await conn.execute(
        "UPDATE service.trainings SET version_id = $2, scores = $3 WHERE id = $1",
        *(training.id, version_id, json.dumps(scores)),
    )


async def publish(conn: Connection, *, version_id: str, creator_id: str, now: datetime) -> Version | Refusal:
    """Make a version the one that orders of its style get.

    Refusals: not_found; style_destroyed; gate_not_passed; rights_missing (a work it learnt from is gone, or its right
    was withdrawn).
    """
    async with conn.transaction():
        version = await find_version(conn, version_id, creator_id=creator_id)
        if version is None:
            return Refusal(
                slug="not_found",
                message=say("There is no version {version_id!r} here; check the id.", version_id=version_id),
            )
        refusal = await _why_not(conn, version)
        if refusal is not None:
            return refusal
        await conn.execute(
            "UPDATE service.styles SET published_version_id = $2, updated_at = $3 WHERE id = $1",
            *(version.style_id, version.id, now),
        )
        row = await conn.fetchrow(
            "UPDATE service.versions SET state = 'published', published_at = coalesce(published_at, $2)"
            f" WHERE id = $1 RETURNING {_COLUMNS}",
            *(version.id, now),
        )
    assert row is not None
    return read(Version, row)


async def _why_not(conn: Connection, version: Version) -> Refusal | None:
    destroyed_at = await conn.fetchval(
        "SELECT destroyed_at FROM service.styles WHERE id = $1 FOR UPDATE", version.style_id
    )
    if destroyed_at is not None:
        message = say(
            "The style of version {number} was destroyed and cannot come back; make a new style.", number=version.number
        )
        return Refusal(slug="style_destroyed", message=message)
    if not version.gate_passed:
        message = say(
            "Version {number} did not pass the release gate; its report says what to change before the next training.",
            number=version.number,
        )
        return Refusal(slug="gate_not_passed", message=message, detail={"version": version.id})
    missing = await works_without_rights(conn, version)
    if missing:
        message = say(
            "Version {number} learnt from {number_of_works} work(s) that were deleted or whose right was"
            " withdrawn; train again without them.",
            number=version.number,
            number_of_works=len(missing),
        )
        return Refusal(slug="rights_missing", message=message, detail={"works": missing})
    return None


async def works_without_rights(conn: Connection, version: Version) -> list[str]:
    """Works that a version learnt from and that were deleted, or whose right was withdrawn."""
    rows = await conn.fetch(
        "SELECT wanted.id FROM unnest($1::text[]) AS wanted(id) LEFT JOIN service.works w ON w.id = wanted.id"
        " WHERE w.id IS NULL OR w.rights = 'unsure' ORDER BY wanted.id",
        version.work_ids,
    )
    return [row["id"] for row in rows]
