"""Tries: a creator has pictures drawn with an own version, published or not, to see what it does. They cost nothing,
are small and marked, nobody else ever sees one, and they are deleted after some days.

    asked (at most so many a day) -> the queue of renderings, behind all paid orders -> a worker draws it, with the same
                                     checks as an order -> stored beside the version's files, marked -> forgotten

No order and no money: nothing is held, sold or sealed, and there is no certificate of it.
"""

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import asyncpg

from inference.catalog import BaseSpec, enlargement
from inference.errors import AdapterRefused, CheckerUnusable, CheckFailed, EngineUnavailable, InferenceError
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Refused, Result, plan
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.sentence import known_again, say
from service import delivery
from service.bases import base_here
from service.data_use import Use, check_files, read_file
from service.db.connections import read
from service.drawing import Studio, studio
from service.errors import AdapterWithdrawn, FileRefused, ObjectMissing
from service.heartbeats import this_process
from service.ids import NewId
from service.kept_sentences import OF_TRIES
from service.marks import draw_draft_mark
from service.purging import forget_unsold
from service.queues import look_again
from service.rendering import make_picture
from service.resources import Gateway, Resources
from service.versions import Version, find_version, works_without_rights
from service.workflows import BROKEN, LAST_PRIORITY, RENDER, durable_step, resources, start, states_of, story

log = logging.getLogger("ownhand.trying")

TryState = Literal["waiting", "drawn", "failed"]
_A_DAY = timedelta(days=1)
_ATTEMPTS_MAX = 5
_MENDED_AFTER = timedelta(seconds=30)
_BROKEN_OFF = "It could not be drawn; try it again."
_COLUMNS = "id, creator_id, style_id, version_id, prompt, seed, state, message, storage_key, created_at"


@dataclass(frozen=True, kw_only=True)
class Try:
    """One picture that was asked for. `message` says why there is none, `storage_key` where it lies."""

    id: str
    creator_id: str
    style_id: str
    version_id: str
    prompt: str
    seed: int
    state: TryState
    message: str | None
    storage_key: str | None
    created_at: datetime


async def ask_try(
    conn: Connection, version: Version, *, prompt: str, seed: int, most: int, now: datetime, new_id: NewId
) -> Try | Refusal:
    """Note a try; the caller then starts its story. Refusals: rights_missing (a work of the version lost its right),
    rate_limited (`most` were asked for within a day)."""
    missing = await works_without_rights(conn, version)
    if missing or version.state == "retired":
        said = say(
            "Version {number} learnt from works that were deleted or whose right was withdrawn; train"
            " again without them.",
            number=version.number,
        )
        return Refusal(slug="rights_missing", message=said)
    async with conn.transaction():
        # Two at once count one after the other.
        await conn.execute("SELECT FROM service.accounts WHERE id = $1 FOR NO KEY UPDATE", version.creator_id)
        times = await conn.fetch(
            "SELECT created_at FROM service.tries WHERE creator_id = $1 AND created_at > $2 ORDER BY created_at",
            *(version.creator_id, now - _A_DAY),
        )
        if len(times) >= most:
            wait_s = (times[len(times) - most]["created_at"] + _A_DAY - now).total_seconds()
            said = say(
                "{most} tries a day are drawn and these were asked for; the next can be in {wait_s:.1f} hours.",
                most=most,
                wait_s=wait_s / 3600,
            )
            return Refusal(slug="rate_limited", message=said, retry_after_s=wait_s)
        row = await conn.fetchrow(
            "INSERT INTO service.tries (id, creator_id, style_id, version_id, prompt, seed, created_at)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}",
            *(new_id("try"), version.creator_id, version.style_id, version.id, prompt, seed, now),
        )
    assert row is not None
    return _try(row)


async def start_try(try_id: str) -> None:
    """Put the story of a try on the queue of renderings, behind whatever is paid for. Doing it twice is harmless."""
    await start(RENDER, try_id, tell_try, try_id, priority=LAST_PRIORITY)


async def find_try(conn: Connection, try_id: str, *, creator_id: str) -> Try | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM service.tries WHERE id = $1 AND creator_id = $2", try_id, creator_id
    )
    return _try(row) if row else None


async def list_tries(conn: Connection, *, version_id: str, creator_id: str, limit: int = 100) -> list[Try]:
    """Tries of a version, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM service.tries WHERE version_id = $1 AND creator_id = $2 ORDER BY id DESC LIMIT $3",
        *(version_id, creator_id, limit),
    )
    return [_try(row) for row in rows]


@story("try")
async def tell_try(try_id: str) -> None:
    """One try, on a worker."""
    with ExitStack() as door:
        door.callback(look_again, RENDER)
        door.enter_context(studio().places.at_door())
        await draw_try(try_id, door)


@durable_step()
async def draw_try(try_id: str, door: ExitStack) -> None:
    """Draw and store it, or note why not. door: is closed when it has its place."""
    opened, place = resources(), studio()
    async with opened.pool.acquire() as conn:
        creator_id = await conn.fetchval(
            "SELECT creator_id FROM service.tries WHERE id = $1 AND state = 'waiting'", try_id
        )
        one = await find_try(conn, try_id, creator_id=creator_id or "")
        version = await find_version(conn, one.version_id, creator_id=one.creator_id) if one is not None else None
    if one is None or version is None:
        return
    spec = base_here(opened.settings, version.base)
    turn = Turn(client=one.creator_id, creator=one.creator_id)
    try:
        async with place.places.take(1, turn, work=_work(one, spec)) as (given,):
            door.close()
            async with given:
                result = await _draw(opened, place, one, version, spec, turn)
        await _keep(opened, one, version, spec, result)
    except (InferenceError, FileRefused, ObjectMissing) as error:
        if isinstance(error, CheckFailed | CheckerUnusable | FileRefused | ObjectMissing):
            log.exception("try %s was not drawn", one.id)
        await _fail(opened, one, f"{error}." if isinstance(error, InferenceError) else _BROKEN_OFF)
    finally:
        # Nothing of an adapter that is not sold stays here, unless somebody draws with it this moment.
        if version.adapter_sha256 in place.files.idle():
            await forget_unsold(opened, place, [version.adapter_sha256])


async def mend_tries(web: Gateway) -> None:
    """Start the stories of tries that a crash kept from starting, and give up those whose story broke. A sweep."""
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id FROM service.tries WHERE state = 'waiting' AND created_at < $1", web.clock() - _MENDED_AFTER
        )
    if not rows:
        return
    states = await states_of([row["id"] for row in rows])
    for row in rows:
        if states.get(row["id"]) is None:
            await start_try(row["id"])
        elif states[row["id"]] in BROKEN:
            async with web.pool.acquire() as conn:
                await conn.execute(
                    "UPDATE service.tries SET state = 'failed', message = $2 WHERE id = $1 AND state = 'waiting'",
                    *(row["id"], _BROKEN_OFF),
                )


async def forget_tries(web: Gateway) -> None:
    """Delete tries that are older than `try_days`, with their words and pictures. A sweep of the web role."""
    before = web.clock() - timedelta(days=web.settings.try_days)
    async with web.pool.acquire() as conn:
        rows = await conn.fetch("SELECT id, storage_key FROM service.tries WHERE created_at < $1", before)
    for row in rows:
        if row["storage_key"] is not None:
            await asyncio.to_thread(web.storage.delete, row["storage_key"])
        async with web.pool.acquire() as conn:
            await conn.execute("DELETE FROM service.tries WHERE id = $1", row["id"])
    if rows:
        log.info("%s tries from before %s were deleted", len(rows), before.date())


async def _draw(opened: Resources, place: Studio, one: Try, version: Version, spec: BaseSpec, turn: Turn) -> Result:
    """The picture, whatever engines break meanwhile. Raises InferenceError, FileRefused, ObjectMissing."""
    own = [key for key in (version.adapter_key, version.flat_key) if key is not None]
    await check_files(opened, Use(purpose="drawing", by=this_process(), job=one.id), own)
    looks = None
    if version.looks_key is not None:
        looks = await read_file(opened, Use(purpose="checking", by=this_process(), job=one.id), version.looks_key)
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        engine = await place.engine(spec)
        try:
            async with place.files.lend(version, job=one.id) as lent:
                try:
                    request = _request(one, spec, replace(lent.ref, works=looks))
                    result = await make_picture(engine, request, turn)
                except AdapterRefused:
                    if not place.files.turn_down(lent) or attempt == _ATTEMPTS_MAX:
                        raise
                    continue
        except EngineUnavailable:
            place.drop(engine)
            if attempt == _ATTEMPTS_MAX:
                raise
            continue
        except AdapterWithdrawn:
            continue
        if isinstance(result, Picture | Refused):
            return result
    raise InferenceError("the version was put away again and again while it was drawn")


def _request(one: Try, spec: BaseSpec, adapter: AdapterRef) -> ImageRequest:
    """As a draft is drawn: without the enlarger."""
    width, height = (edge // enlargement(spec) for edge in delivery.full_size(spec, None))
    return ImageRequest(
        id=f"{one.id}/1",
        base=spec.id,
        prompt=one.prompt,
        seed=one.seed,
        adapters=(adapter,),
        width=width,
        height=height,
    )


def _work(one: Try, spec: BaseSpec) -> float:
    """Of the picture, in row-steps: it counts among its creator's as an order's do."""
    return plan(_request(one, spec, AdapterRef(path=spec.path, sha256="")), spec).row_steps(spec)


async def _keep(opened: Resources, one: Try, version: Version, spec: BaseSpec, result: Result) -> None:
    if not isinstance(result, Picture):
        assert isinstance(result, Refused)
        said = result.objection.sentence
        await _fail(opened, one, f"{said[:1].upper()}{said[1:]}.")
        return
    key = f"trainings/{version.training_id}/tries/{one.id}.png"

    def store() -> None:
        png = draw_draft_mark(result.png, size=delivery.delivered_size(spec, delivery.DRAFT))
        opened.storage.put(key, png)

    await asyncio.to_thread(store)
    async with opened.pool.acquire() as conn:
        status = await conn.execute(
            "UPDATE service.tries SET state = 'drawn', storage_key = $2 WHERE id = $1 AND state = 'waiting'",
            *(one.id, key),
        )
    if status != "UPDATE 1":
        # Forgotten or destroyed meanwhile.
        await asyncio.to_thread(opened.storage.delete, key)


async def _fail(opened: Resources, one: Try, message: str) -> None:
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.tries SET state = 'failed', message = $2 WHERE id = $1 AND state = 'waiting'",
            *(one.id, message),
        )


def _try(row: asyncpg.Record) -> Try:
    one = read(Try, row)
    return replace(one, message=known_again(one.message, OF_TRIES)) if one.message else one
