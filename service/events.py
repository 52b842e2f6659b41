"""What happens to a training or a generation, as rows in order; read by Server-Sent Events."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from fastapi import Request
from fastapi.responses import StreamingResponse

from licensing.database import Connection
from service.errors import Problem

_LOOK_EVERY_S = 0.15
# Whether the reader is still let in is asked a little more rarely: every 0.45 s.
_LOOKS_PER_QUESTION = 3
_SHUT_OUT = "The key or session that opened this stream does not let in any more; sign in or take another key."
# A line nobody sees, so that proxies and browsers do not take silence for a broken connection.
_COMFORT_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Event:
    id: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event to be noted."""

    subject: str
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class End:
    """How a subject ended, as the last event of its stream says it."""

    kind: str
    data: dict[str, Any]


async def append(conn: Connection, *, subject: str, kind: str, data: dict[str, Any], now: datetime) -> None:
    """Note an event. Within one subject, ids grow in the order of commits: a reader that saw one misses none before."""
    await append_all(conn, [Told(subject=subject, kind=kind, data=data)], now=now)


async def append_all(conn: Connection, told: Sequence[Told], *, now: datetime) -> None:
    """Note many in one statement, those of one subject in the order given."""
    # The lock of a subject comes before the rows, whose ids come after it; locks are taken in one order by everybody.
    ordered = sorted(told, key=lambda one: one.subject)
    await conn.execute(
        "WITH locked AS MATERIALIZED ("
        "  SELECT subject, kind, data, pg_advisory_xact_lock(hashtextextended(subject, 0))"
        "  FROM unnest($1::text[], $2::text[], $3::jsonb[]) AS told (subject, kind, data))"
        " INSERT INTO service.events (subject, kind, data, created_at) SELECT subject, kind, data, $4 FROM locked",
        [one.subject for one in ordered],
        [one.kind for one in ordered],
        [json.dumps(one.data) for one in ordered],
        now,
    )


async def since(conn: Connection, *, subject: str, after: int) -> list[Event]:
    """The events of a subject with an id above `after`, in order."""
    rows = await conn.fetch(
        "SELECT id, kind, data FROM service.events WHERE subject = $1 AND id > $2 ORDER BY id", subject, after
    )
    return [Event(id=row["id"], kind=row["kind"], data=json.loads(row["data"])) for row in rows]


def stream(
    request: Request,
    pool: asyncpg.Pool,
    *,
    subject: str,
    ends: frozenset[str],
    end: End | None,
    may_read: Callable[[], Awaitable[bool]],
) -> StreamingResponse:
    """The events of a subject as Server-Sent Events, from the one after `Last-Event-ID`, until one of kind `ends`.

    `end`, where the subject had ended before this was called, is told where its event is not: the reader has seen it
    already, or it was old and deleted. The caller has checked that the subject is the asker's; `may_read` says whether
    they are still let in, and ends the stream within a second where they are not. Raises Problem for a `Last-Event-ID`
    that is no number.
    """
    last = request.headers.get("last-event-id", "") or request.query_params.get("last_event_id", "") or "0"
    if not last.isdecimal():
        raise Problem("invalid_request", f"Last-Event-ID is {last!r}; send the number of the last event you saw.")
    lines = _lines(request, pool, subject, int(last), ends, end, may_read)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _lines(
    request: Request,
    pool: asyncpg.Pool,
    subject: str,
    after: int,
    ends: frozenset[str],
    end: End | None,
    may_read: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    silent_s, looks = 0.0, 0
    yield "retry: 1000\n\n"
    while not await request.is_disconnected():
        looks += 1
        if looks % _LOOKS_PER_QUESTION == 0 and not await may_read():
            yield f"event: unauthenticated\ndata: {json.dumps({'message': _SHUT_OUT})}\n\n"
            return
        async with pool.acquire() as conn:
            found = await since(conn, subject=subject, after=after)
        for event in found:
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"
            after = event.id
            if event.kind in ends:
                return
        if end is not None:
            yield f"event: {end.kind}\ndata: {json.dumps(end.data)}\n\n"
            return
        silent_s = 0.0 if found else silent_s + _LOOK_EVERY_S
        if silent_s >= _COMFORT_EVERY_S:
            yield ": still here\n\n"
            silent_s = 0.0
        await asyncio.sleep(_LOOK_EVERY_S)
