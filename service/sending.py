"""What brings messages to clients' endpoints: a loop beside the sweeps of every web process.

A process claims an endpoint for half a minute, tries one message and notes what came of it. Nothing is open in the
database meanwhile. Whoever dies between the two leaves the claim to run out, and the message is sent again under the
same id: it arrives at least once. What an endpoint is told goes in order: a message that fails is tried again, ever
more seldom, and those behind it wait, until it arrives or is given up.
"""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx

from licensing.database import Connection
from service.addresses import Resolve, resolve_host
from service.beside import beside
from service.carrying import back_off_s, carry
from service.errors import SecretLost
from service.faults import reach
from service.outbox import BELLS, PING, DeliveryState
from service.posting import Answer, open_http, post, sign
from service.resources import Gateway
from service.webhooks import open_secret

log = logging.getLogger("ownhand.sending")

BACK_OFF_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between two tries, as in Standard Webhooks' example: ten tries in a little over three days."""
_RETRY_AFTER_MAX_S = 86_400
LEASE = timedelta(seconds=30)
"""Of a claim; a try takes a third of it at most."""
PATIENCE = timedelta(days=5)
"""An endpoint at which nothing arrived for so long is disabled, once a message has been tried there a few times."""
_TRIES_BEFORE_DISABLING = 3
AT_ONCE = 16
"""Endpoints that one process sends to at the same time."""
ATTEMPTS_KEPT = 20

_CLAIM = """
UPDATE service.webhooks w SET claimed_until = $2, claimed_by = $3
WHERE w.id = (
    SELECT f.id FROM service.webhooks f
    WHERE coalesce(f.claimed_until, '-infinity') <= $1 AND (
        EXISTS (SELECT FROM service.deliveries d
            WHERE d.webhook_id = f.id AND d.state = 'waiting' AND d.due_at <= $1)
        OR coalesce(f.retry_at, '-infinity') <= $1 AND EXISTS (SELECT FROM service.deliveries d
            WHERE d.webhook_id = f.id AND d.state = 'waiting' AND d.due_at IS NULL))
    ORDER BY f.claimed_until NULLS FIRST LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED)
RETURNING w.id AS webhook_id, w.url, w.secret, w.old_secret, w.old_secret_until, w.failing_since, w.retry_at
"""
_NEXT = """
SELECT d.message_id, m.kind, m.body, d.tries, d.due_at
FROM service.deliveries d JOIN service.messages m ON m.id = d.message_id
WHERE d.webhook_id = $1 AND d.state = 'waiting' AND
"""
_OUT_OF_TURN = _NEXT + " d.due_at <= $2 ORDER BY d.due_at LIMIT 1"
_IN_TURN = _NEXT + " d.due_at IS NULL AND coalesce($2, '-infinity'::timestamptz) <= $3 ORDER BY d.number LIMIT 1"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A message of an endpoint that this process alone may try until its lease is over; secrets as they are kept.

    `by` is the process's name for it. `tries` were made before, since the message was last asked for; `due_at` is set
    for what goes out of turn.
    """

    by: str
    webhook_id: str
    url: str
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    failing_since: datetime | None
    retry_at: datetime | None
    message_id: str
    kind: str
    body: str
    tries: int
    due_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an answer means: for the message, with the time of its next try while it waits; and for the endpoint, with
    the reason where it is disabled."""

    state: DeliveryState
    next_at: datetime | None = None
    disabled_why: str | None = None


@asynccontextmanager
async def sending(web: Gateway) -> AsyncIterator[None]:
    """Send what clients are told until the end of the block."""
    async with (
        open_http() as http,
        beside(
            carry(
                BELLS,
                lambda: take(web, now=web.clock()),
                lambda claim: _send(web, http, claim, now=web.clock()),
                at_once=AT_ONCE,
            )
        ),
    ):
        yield


async def send_next(web: Gateway, http: httpx.AsyncClient, *, now: datetime, resolve: Resolve = resolve_host) -> bool:
    """Try one message that is due, if there is one; False where there is none."""
    claim = await take(web, now=now)
    if claim is None:
        return False
    await _send(web, http, claim, now=now, resolve=resolve)
    return True


async def take(web: Gateway, *, now: datetime) -> Claim | None:
    """Claim an endpoint that something is due at, the one first that was looked at longest ago."""
    by = web.new_id("snd")
    async with web.pool.acquire() as conn, conn.transaction():
        endpoint = await conn.fetchrow(_CLAIM, now, now + LEASE, by)
        if endpoint is None:
            return None
        message = await conn.fetchrow(_OUT_OF_TURN, endpoint["webhook_id"], now)
        if message is None:
            message = await conn.fetchrow(_IN_TURN, endpoint["webhook_id"], endpoint["retry_at"], now)
        if message is None:
            # Brought by another process between the look and the lock.
            await conn.execute(
                "UPDATE service.webhooks SET claimed_until = $2, claimed_by = NULL WHERE id = $1",
                *(endpoint["webhook_id"], now),
            )
            return None
    return Claim(by=by, **endpoint, **message)


async def note(conn: Connection, claim: Claim, answer: Answer, *, now: datetime) -> bool:
    """Write down what came of a try and give the endpoint back. False, and nothing is written, where the claim had run
    out and another process has the endpoint, or where the endpoint was removed."""
    verdict = judge(claim, answer, now=now)
    has_arrived = verdict.state == "delivered"
    async with conn.transaction():
        status = await conn.execute(
            "UPDATE service.webhooks SET claimed_until = $3, claimed_by = NULL, retry_at = $4, failing_since = $5"
            " WHERE id = $1 AND claimed_by = $2",
            *(claim.webhook_id, claim.by, now),
            # Whatever arrives shows that the endpoint is well: what waits there need not wait any longer.
            None if has_arrived else verdict.next_at if claim.due_at is None else claim.retry_at,
            None if has_arrived else claim.failing_since or now,
        )
        if status != "UPDATE 1":
            return False
        if has_arrived or verdict.disabled_why:
            await conn.execute(
                "UPDATE service.webhooks SET disabled_at = $2, disabled_why = $3 WHERE id = $1",
                *(claim.webhook_id, now if verdict.disabled_why else None, verdict.disabled_why),
            )
        await _note_attempt(conn, claim, answer, verdict, now=now)
        if verdict.disabled_why:
            await conn.execute(
                "UPDATE service.deliveries SET state = 'failed', ended_at = $2"
                " WHERE webhook_id = $1 AND state = 'waiting'",
                *(claim.webhook_id, now),
            )
    return True


def judge(claim: Claim, answer: Answer, *, now: datetime) -> Verdict:
    """What an answer means for a message and for its endpoint."""
    tries, failing_since = claim.tries, claim.failing_since
    if answer.error is None:
        return Verdict(state="delivered")
    if answer.status == HTTPStatus.GONE:
        return Verdict(state="failed", disabled_why="It answered 410 Gone, which says that it wants no more messages.")
    if tries >= _TRIES_BEFORE_DISABLING and failing_since is not None and now - failing_since >= PATIENCE:
        return Verdict(
            state="failed", disabled_why=f"Nothing arrived there for {PATIENCE.days} days. At last: {answer.error}"
        )
    if claim.kind == PING or tries >= len(BACK_OFF_S):
        # Whoever asks for a ping waits to see what comes of it, and asks again.
        return Verdict(state="failed")
    pause_s = max(
        back_off_s(BACK_OFF_S, tries, seed=f"{claim.webhook_id} {claim.message_id}"),
        min(answer.retry_after_s, _RETRY_AFTER_MAX_S),
    )
    return Verdict(state="waiting", next_at=now + timedelta(seconds=pause_s))


async def _note_attempt(conn: Connection, claim: Claim, answer: Answer, verdict: Verdict, *, now: datetime) -> None:
    row = await conn.fetchrow(
        "SELECT due_at, attempts FROM service.deliveries WHERE webhook_id = $1 AND message_id = $2 FOR UPDATE",
        *(claim.webhook_id, claim.message_id),
    )
    assert row is not None, "a delivery goes with its endpoint, or after it has ended"
    attempt = {"at": now.isoformat(), "status": answer.status, "error": answer.error, "ms": answer.ms}
    attempts = json.dumps([*json.loads(row["attempts"]), attempt][-ATTEMPTS_KEPT:])
    if row["due_at"] != claim.due_at:
        # Somebody asked to have it sent again while it was on its way: it will be.
        await conn.execute(
            "UPDATE service.deliveries SET attempts = $3 WHERE webhook_id = $1 AND message_id = $2",
            *(claim.webhook_id, claim.message_id, attempts),
        )
        return
    await conn.execute(
        "UPDATE service.deliveries SET attempts = $3, state = $4, tries = tries + 1, due_at = $5, ended_at = $6"
        " WHERE webhook_id = $1 AND message_id = $2",
        *(claim.webhook_id, claim.message_id, attempts, verdict.state),
        claim.due_at and (verdict.next_at or claim.due_at),
        None if verdict.state == "waiting" else now,
    )


async def _send(
    web: Gateway, http: httpx.AsyncClient, claim: Claim, *, now: datetime, resolve: Resolve = resolve_host
) -> None:
    answer = await _try(web, http, claim, now=now, resolve=resolve)
    reach("message_sent", web.settings.crash_at)
    async with web.pool.acquire() as conn:
        if not await note(conn, claim, answer, now=now):
            log.warning("%s to %s could not be noted any more", claim.message_id, claim.webhook_id)


async def _try(web: Gateway, http: httpx.AsyncClient, claim: Claim, *, now: datetime, resolve: Resolve) -> Answer:
    kept = [claim.secret]
    if claim.old_secret and claim.old_secret_until and now < claim.old_secret_until:
        kept.append(claim.old_secret)
    try:
        secrets = [open_secret(one, pepper=web.pepper) for one in kept]
    except SecretLost as error:
        return Answer(status=None, error=str(error), ms=0)
    return await post(
        http,
        claim.url,
        body=claim.body,
        headers=sign(secrets, message_id=claim.message_id, body=claim.body, now=now),
        networks=web.settings.webhook_targets,
        now=now,
        resolve=resolve,
    )
