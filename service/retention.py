"""What is not kept for ever: events, messages and the workflow engine's rows of things that ended, and sign-ins that
ran out.

Orders, pictures, certificates and the ledger stay; these are only how they came about.
"""

import logging
from datetime import timedelta
from typing import Any

from service.orders import OPEN
from service.resources import Gateway
from service.trainings import OPEN as OPEN_TRAININGS
from service.workflows import forget_ended

log = logging.getLogger("ownhand.retention")

_AT_ONCE = 1000
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


async def prune_executors(web: Gateway) -> None:
    """Forget processes that have been silent for a day; their work went back to the queues long ago. A sweep."""
    async with web.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.executors WHERE seen_at < $1", web.clock() - _A_DAY)


async def prune_sign_ins(web: Gateway) -> None:
    """Delete links and sessions that ran out a day ago; nobody can sign in with them any more. A sweep."""
    before = web.clock() - _A_DAY
    async with web.pool.acquire() as conn:
        await conn.execute("DELETE FROM service.sign_in_links WHERE expires_at < $1", before)
        await conn.execute("DELETE FROM service.sessions WHERE expires_at < $1", before)


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
