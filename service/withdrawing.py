"""What a claim changes that is upheld: the work is locked, every version that learnt from it goes off sale, trainings
with it stop, and nobody brings the picture again. All of it can be undone until the claim is closed; then the files go.

Which versions learnt from a work is read from their receipts, which list every file by its hash; so a copy of the file
in another style of the same creator is found as well. A consent that is refused or withdrawn (`service.consents`) takes
versions off sale in the same way, but locks and deletes nothing.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inference.likeness import Look
from licensing.database import Connection
from service import trainings, works
from service.claims import Claim, close_due, find_claim
from service.data_use import note_deleted
from service.heartbeats import this_process
from service.resemblance import is_alike, probes_of
from service.resources import Gateway
from service.works import thumbnail_key

log = logging.getLogger("ownhand.withdrawing")

_LEARNT = (
    "v.creator_id = $1 AND (v.receipt -> 'works' -> 'trained' ? $2 OR v.receipt -> 'works' -> 'held_out' ? $2"
    " OR v.work_ids ?| ARRAY(SELECT id FROM service.works WHERE creator_id = $1 AND sha256 = $2))"
)
# A version comes back to the state that it had where all of its works have their rights, and no other claim names it.
_MAY_RETURN = (
    "v.state = 'retired' AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(v.work_ids) AS named (id)"
    " LEFT JOIN service.works w ON w.id = named.id WHERE w.id IS NULL OR w.rights = 'unsure')"
    " AND NOT EXISTS (SELECT FROM service.claims o WHERE o.id <> $1 AND o.in_effect_at IS NOT NULL"
    "  AND o.effect -> 'versions' @> jsonb_build_array(jsonb_build_object('id', v.id)))"
)


@dataclass(frozen=True, kw_only=True)
class Named:
    """A version that learnt from a work. `merkle_root` is of its signed receipt, in which the work's hash is a leaf."""

    id: str
    style_id: str
    number: int
    state: str
    merkle_root: str | None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A line of the data-use ledger by which a training got the work."""

    id: str
    at: datetime
    style_id: str
    job: str


async def named_versions(conn: Connection, claim: Claim) -> list[Named]:
    """Every version that learnt from the work, on sale or not."""
    rows = await conn.fetch(
        "SELECT v.id, v.style_id, v.number, v.state, v.receipt -> 'works' ->> 'merkle_root' AS merkle_root"
        f" FROM service.versions v WHERE {_LEARNT} ORDER BY v.id",
        *(claim.creator_id, claim.sha256),
    )
    return [Named(**dict(row)) for row in rows]


async def opened_for_training(conn: Connection, claim: Claim, *, limit: int = 50) -> list[Opened]:
    """When trainings got the work, by the data-use ledger, newest first."""
    rows = await conn.fetch(
        "SELECT id, at, style_id, job FROM service.data_use WHERE creator_id = $1 AND purpose = 'training'"
        " AND refused IS NULL AND files @> jsonb_build_array(jsonb_build_object('sha256', $2::text))"
        " ORDER BY id DESC LIMIT $3",
        *(claim.creator_id, claim.sha256, limit),
    )
    return [Opened(**dict(row)) for row in rows]


async def take_effect(conn: Connection, claim: Claim, *, now: datetime) -> Claim:
    """Lock the work and take what learnt from it off sale, in the transaction of the decision."""
    if claim.in_effect_at is not None:
        return claim
    held = await conn.fetch(
        "SELECT id, style_id AS style, rights, include FROM service.works WHERE creator_id = $1 AND sha256 = $2"
        " ORDER BY id FOR UPDATE",
        *(claim.creator_id, claim.sha256),
    )
    effect = {
        "works": [dict(row) for row in held],
        "versions": await take_off_sale(conn, creator_id=claim.creator_id, sha256=claim.sha256, now=now),
        "trainings": await stop_trainings(conn, creator_id=claim.creator_id, sha256=claim.sha256, now=now),
    }
    await conn.execute(
        "UPDATE service.works SET rights = 'unsure', include = false, updated_at = $2 WHERE id = ANY($1::text[])",
        *([row["id"] for row in held], now),
    )
    await conn.execute(
        "UPDATE service.claims SET in_effect_at = $2, effect = $3 WHERE id = $1", *(claim.id, now, json.dumps(effect))
    )
    return await _again(conn, claim)


async def undo(conn: Connection, claim: Claim, *, now: datetime) -> Claim:
    """As it was before, but for trainings that were stopped: works have their rights, versions are sold again, and a
    style without a published version has the one it had. In the transaction of the decision."""
    if claim.in_effect_at is None:
        return claim
    await conn.execute("UPDATE service.claims SET in_effect_at = NULL WHERE id = $1", claim.id)
    for work in claim.effect.get("works", []):
        await conn.execute(
            f"UPDATE service.works SET rights = CASE WHEN {works.IS_REFUSED} THEN 'unsure' ELSE $2 END, include = $3,"
            " updated_at = $4 WHERE id = $1",
            *(work["id"], work["rights"], work["include"], now),
        )
    for version in claim.effect.get("versions", []):
        await _put_back(conn, claim, version, now=now)
    return await _again(conn, claim)


async def is_withheld(conn: Connection, *, digest: str, looks: Sequence[Look], creator_id: str) -> bool:
    """Whether a picture, as this file or as one that looks the same, may not be brought by this creator because a claim
    to it stands."""
    allowed: bool = await conn.fetchval(
        "SELECT coalesce((SELECT outcome = 'allowed' FROM service.cases WHERE kind = 'withheld_work' AND subject = $1"
        " AND creator_id = $2 ORDER BY id DESC LIMIT 1), false)",
        *(digest, creator_id),
    )
    return not allowed and await standing_claim(conn, digest=digest, looks=looks) is not None


async def standing_claim(conn: Connection, *, digest: str, looks: Sequence[Look] = ()) -> str | None:
    """The claim in effect to a file, or to one that looks like one of `looks`."""
    exact: str | None = await conn.fetchval(
        "SELECT id FROM service.claims WHERE sha256 = $1 AND in_effect_at IS NOT NULL LIMIT 1", digest
    )
    if exact is not None:
        return exact
    for look in looks:
        rows = await conn.fetch(
            "SELECT id, bits, thumb FROM service.claims WHERE in_effect_at IS NOT NULL AND bits IS NOT NULL"
            " AND (band_0 = ANY($1::int[]) OR band_1 = ANY($2::int[]) OR band_2 = ANY($3::int[])"
            "  OR band_3 = ANY($4::int[]))",
            *probes_of(look),
        )
        for row in rows:
            if is_alike(look, row["bits"], row["thumb"]):
                return str(row["id"])
    return None


async def take_off_sale(conn: Connection, *, creator_id: str, sha256: str, now: datetime) -> list[dict[str, Any]]:
    """Every version that learnt from a file of a creator's goes off sale, in whichever style; what they were before."""
    rows = await conn.fetch(
        "SELECT v.id, v.style_id AS style, v.number, v.state, s.published_version_id = v.id AS on_sale"
        " FROM service.versions v JOIN service.styles s ON s.id = v.style_id"
        f" WHERE {_LEARNT} ORDER BY v.id FOR UPDATE OF v, s",
        *(creator_id, sha256),
    )
    named = [dict(row) | {"on_sale": bool(row["on_sale"])} for row in rows]
    await works.unpublish(conn, [one["id"] for one in named], now=now)
    return named


async def stop_trainings(conn: Connection, *, creator_id: str, sha256: str, now: datetime) -> list[dict[str, Any]]:
    """Trainings that were given the file: what they would make could not be published."""
    rows = await conn.fetch(
        "SELECT id FROM service.trainings WHERE creator_id = $1 AND state = ANY($2::text[])"
        " AND manifest @> jsonb_build_array(jsonb_build_object('sha256', $3::text)) ORDER BY id",
        *(creator_id, list(trainings.OPEN), sha256),
    )
    for row in rows:
        await trainings.ask_to(conn, training_id=row["id"], creator_id=creator_id, wanted="cancel", now=now)
    return [{"id": row["id"]} for row in rows]


async def close_claims(web: Gateway) -> None:
    """Decisions that nobody appealed against are the last, and the files of claims that were upheld for good are
    deleted. A sweep of the web role."""
    async with web.house() as conn:
        await close_due(conn, now=web.clock())
        rows = await conn.fetch(
            "SELECT id FROM service.claims WHERE state = 'closed' AND in_effect_at IS NOT NULL AND removed_at IS NULL"
        )
    for row in rows:
        await _remove(web, row["id"])
        log.info("the files of claim %s were deleted", row["id"])


async def _remove(web: Gateway, claim_id: str) -> None:
    """The objects go first: rows that are left without them are found again by the next sweep."""
    async with web.house() as conn:
        claim = await find_claim(conn, claim_id)
        assert claim is not None
        found = [await works.work_by_id(conn, one["id"]) for one in claim.effect.get("works", [])]
    there = [work for work in found if work is not None]
    for key in [key for work in there for key in (work.storage_key, thumbnail_key(work.storage_key))]:
        await asyncio.to_thread(web.storage.delete, key)
    async with web.house() as conn, conn.transaction():
        for work in there:
            gone = await works.delete_work(conn, work_id=work.id, creator_id=work.creator_id, now=web.clock())
            if gone is not None:
                own = {"creator_id": work.creator_id, "style_id": work.style_id}
                await note_deleted(web, conn, this_process(), hashes=works.hashes_of([work]), **own)
        await conn.execute("UPDATE service.claims SET removed_at = $2 WHERE id = $1", claim_id, web.clock())


async def _put_back(conn: Connection, claim: Claim, version: dict[str, Any], *, now: datetime) -> None:
    if version["state"] != "published":
        return
    came_back = await conn.fetchval(
        f"UPDATE service.versions v SET state = 'published' WHERE v.id = $2 AND {_MAY_RETURN} RETURNING v.number",
        *(claim.id, version["id"]),
    )
    if came_back is None:
        return
    if version["on_sale"]:
        await conn.execute(
            "UPDATE service.styles SET published_version_id = $2, updated_at = $3"
            " WHERE id = $1 AND published_version_id IS NULL AND destroyed_at IS NULL",
            *(version["style"], version["id"], now),
        )
    await conn.execute(
        "INSERT INTO service.audit (at, account_id, style_id, kind, subject, role, data)"
        " VALUES ($1, $2, $3, 'version_restored', $4, 'place',"
        "  jsonb_build_object('number', $5::bigint, 'claim', $6::text))",
        *(now, claim.creator_id, version["style"], version["id"], came_back, claim.id),
    )


async def _again(conn: Connection, claim: Claim) -> Claim:
    found = await find_claim(conn, claim.id)
    assert found is not None
    return found
