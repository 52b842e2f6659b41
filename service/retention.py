"""What is not kept for ever: what clients asked for in words and pictures, and how things that ended came about.

A while after an order ended its prompt goes, out of the order and out of its pictures' receipts, with its events; so
do pictures and masks that clients bring, once no order has used them for a while. Stories, which hold a prompt while
they are told, are forgotten sooner (`Settings`). What was bought, its certificates and the ledger stay: certificates
and idempotency rows hold a hash of what was asked, from which nobody reads it.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

from service.orders import OPEN
from service.resources import Gateway
from service.settings import KEPT_DAYS_MAX
from service.trainings import OPEN as OPEN_TRAININGS
from service.workflows import forget_ended

log = logging.getLogger("ownhand.retention")

_AT_ONCE = 1000
_FILES_AT_ONCE = 100
_ROUNDS_MAX = 500
_A_DAY = timedelta(days=1)

_DELETE_EVENTS = """
DELETE FROM service.events WHERE id IN (
    SELECT e.id FROM service.events e WHERE e.created_at < $1
        AND NOT EXISTS (SELECT FROM service.generations g WHERE g.id = e.subject AND g.state = ANY($2::text[]))
        AND NOT EXISTS (SELECT FROM service.trainings t WHERE t.id = e.subject AND t.state = ANY($3::text[]))
    ORDER BY e.created_at LIMIT $4)
"""
_DELETE_MESSAGES = """
DELETE FROM service.messages WHERE id IN (
    SELECT m.id FROM service.messages m WHERE m.created_at < $1
        AND NOT EXISTS (SELECT FROM service.deliveries d WHERE d.message_id = m.id AND d.state = 'waiting')
    ORDER BY m.created_at LIMIT $2)
"""
# What somebody has read, or what went by e-mail alone; what nobody has read yet is kept for a year.
_DELETE_LETTERS = """
DELETE FROM service.letters WHERE id IN (
    SELECT l.id FROM service.letters l WHERE l.created_at < $1 AND l.mail <> 'waiting'
        AND (l.read_at IS NOT NULL OR NOT l.in_inbox OR l.created_at < $2)
    ORDER BY l.created_at LIMIT $3)
"""
# What is left of an order's request, and of a picture's receipt; $2 is the time.
WORDLESS = """'{"prompt": null, "image": null, "mask": null, "start": null}'::jsonb"""
UNREADABLE = "jsonb_build_object('prompt', NULL, 'negative_prompt', NULL, 'prompt_deleted_at', $2::timestamptz)"
_DELETE_WORDS = f"""
WITH due AS (
    SELECT id FROM service.generations WHERE words_deleted_at IS NULL AND ended_at < $1
    ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED),
orders AS (
    UPDATE service.generations g SET words_deleted_at = $2,
        request = g.request || {WORDLESS}
    FROM due WHERE g.id = due.id RETURNING g.id),
receipts AS (
    UPDATE service.outputs o SET receipt = o.receipt || {UNREADABLE}
    FROM orders WHERE o.generation_id = orders.id AND o.receipt <> '{{}}'),
steps AS (DELETE FROM service.events e USING orders WHERE e.subject = orders.id)
SELECT count(*) FROM orders
"""
# An order that has one lets it go with its own words, some days after its end.
_UNUSED_IMAGES = """
SELECT i.id, i.storage_key FROM service.images i WHERE i.used_at < $1
    AND NOT EXISTS (SELECT FROM service.generations g WHERE g.client_id = i.client_id
        AND ((g.request ->> 'image') IS NOT NULL OR (g.request ->> 'mask') IS NOT NULL)
        AND i.id IN (g.request ->> 'image', g.request ->> 'mask')
        AND (g.ended_at IS NULL OR g.ended_at >= $1))
ORDER BY i.used_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""


def words_kept_until(web: Gateway, ended_at: datetime) -> datetime:
    """Until when the prompt of an order that ended then is kept."""
    return ended_at + timedelta(days=web.settings.prompt_days)


def image_kept_until(web: Gateway, used_at: datetime) -> datetime:
    """Until when a picture that was used last at this moment is kept, if no order uses it later."""
    return used_at + timedelta(days=web.settings.image_days)


async def delete_words(web: Gateway) -> None:
    """Delete the prompts of orders that ended more than `prompt_days` ago, and name their pictures no more. A sweep."""
    now, total = web.clock(), 0
    for _ in range(_ROUNDS_MAX):
        async with web.pool.acquire() as conn:
            count: int = await conn.fetchval(
                _DELETE_WORDS, now - timedelta(days=web.settings.prompt_days), now, _AT_ONCE
            )
        total += count
        if count < _AT_ONCE:
            break
    if total:
        log.info("the prompts of %s orders were deleted", total)


async def delete_images(web: Gateway) -> None:
    """Delete pictures and masks that clients brought and that nothing has used for `image_days`. A sweep."""
    before, total = web.clock() - timedelta(days=web.settings.image_days), 0
    for _ in range(_ROUNDS_MAX):
        # Whoever uses one meanwhile waits for its row and finds it gone; killed here, it is deleted at the next sweep.
        async with web.pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(_UNUSED_IMAGES, before, _FILES_AT_ONCE)
            for row in rows:
                await asyncio.to_thread(web.storage.delete, row["storage_key"])
            await conn.execute("DELETE FROM service.images WHERE id = ANY($1::text[])", [row["id"] for row in rows])
        total += len(rows)
        if len(rows) < _FILES_AT_ONCE:
            break
    if total:
        log.info("%s pictures that clients had brought were deleted", total)


async def prune_events(web: Gateway) -> None:
    """Delete events older than `event_days` whose order or training has ended. A sweep: a little at a time."""
    before = web.clock() - timedelta(days=web.settings.event_days)
    total = await _delete(web, _DELETE_EVENTS, before, list(OPEN), list(OPEN_TRAININGS))
    if total:
        log.info("%s events from before %s were deleted", total, before.date())


async def prune_messages(web: Gateway) -> None:
    """Delete messages older than `event_days` that no endpoint waits for, with what became of them. A sweep."""
    before = web.clock() - timedelta(days=web.settings.event_days)
    total = await _delete(web, _DELETE_MESSAGES, before)
    if total:
        log.info("%s messages from before %s were deleted", total, before.date())


async def prune_letters(web: Gateway) -> None:
    """Delete letters older than `event_days`, those that nobody has read after a year. A sweep."""
    now = web.clock()
    before, unread_before = now - timedelta(days=web.settings.event_days), now - timedelta(days=KEPT_DAYS_MAX)
    total = await _delete(web, _DELETE_LETTERS, before, unread_before)
    if total:
        log.info("%s letters from before %s were deleted", total, before.date())


async def prune_executors(web: Gateway) -> None:
    """Forget processes that have been silent for a day; their work went back to the queues long ago. A sweep."""
    async with web.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.executors WHERE seen_at < $1", web.clock() - _A_DAY)


async def prune_sign_ins(web: Gateway) -> None:
    """Delete links, sessions, sign-ups and invitations that ran out a day ago, and forget what was tried before; nobody
    can sign in with them any more. A sweep."""
    before = web.clock() - _A_DAY
    async with web.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.sign_in_links WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.sessions WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.sign_in_steps WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.sign_ups WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.team_invitations WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.sign_in_tries WHERE last_at < $1", before)


async def prune_stories(web: Gateway) -> None:
    """Delete what the workflow engine keeps of stories that ended more than `workflow_days` ago. A sweep."""
    before = web.clock() - timedelta(days=web.settings.workflow_days)
    total = 0
    for _ in range(_ROUNDS_MAX):
        count = await forget_ended(before, most=_AT_ONCE)
        total += count
        if count < _AT_ONCE:
            break
    if total:
        log.info("%s stories that ended before %s were forgotten", total, before.date())


async def _delete(web: Gateway, statement: str, *arguments: Any) -> int:
    """Run a statement that deletes at most as many rows as its last argument says, until it finds no more; how many."""
    total = 0
    for _ in range(_ROUNDS_MAX):
        async with web.pool.acquire() as conn:
            status: str = await conn.execute(statement, *arguments, _AT_ONCE)
        count = int(status.split()[-1])
        total += count
        if count < _AT_ONCE:
            break
    return total
