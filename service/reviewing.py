"""The story of one look at a portfolio: a worker lays out the files, a child process looks, the style keeps the result.

    asked by a page or the API -> files laid out -> `training.review` as a child process -> findings on the style
    the works changed meanwhile -> it stops; whoever asks next starts another

It has a queue of its own: a training in progress never makes it wait.
"""

import hashlib
import json
import logging
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from licensing.database import Connection
from licensing.sentence import say
from service.data_use import Use
from service.heartbeats import this_process
from service.resources import Resources
from service.scratch import Scratch, hold_scratch, lay_works, remove_scratch
from service.settings import Settings
from service.trainer import run_trainer
from service.workflows import REVIEW, durable_step, resources, start, story
from service.works import StoredWork, list_works
from training.messages import Event, Finding
from training.review.messages import ReviewRequest

log = logging.getLogger("ownhand.reviewing")

_TRIES = 2
# Raised when the review looks for other things: portfolios that were looked at before are looked at again.
_WAY = 3
_BROKEN = Finding(
    work=None,
    kind="not_looked_at",
    severity="warning",
    why=say("Your pictures could not be looked at: something broke on our side and was logged."),
    fix=say("You can go on without it; after the next change to your works they are looked at again."),
)


async def start_look(conn: Connection, look_id: str, style_id: str, *, size: int, min_works: int) -> None:
    """Put a look at a style's works on its queue. size: edge of the base's pictures, in pixels."""
    await start(REVIEW, look_id, tell_review, look_id, style_id, size, min_works, conn=conn)


@story("review")
async def tell_review(look_id: str, style_id: str, size: int, min_works: int) -> None:
    """One look at the works as they are now, on a worker."""
    await look(look_id, style_id, size, min_works)


@durable_step()
async def look(look_id: str, style_id: str, size: int, min_works: int) -> None:
    """Look at the included works and keep what is found. Nothing is kept where they change meanwhile."""
    opened = resources()
    works = await _included(opened, style_id)
    of = digest_of_works(works, size=size, min_works=min_works)
    if not works or await _is_known(opened, style_id, of):
        return

    async def should_stop() -> bool:
        return digest_of_works(await _included(opened, style_id), size=size, min_works=min_works) != of

    try:
        async with hold_scratch(opened.settings.home, look_id) as scratch:
            use = Use(purpose="review", by=this_process(), job=look_id, style_id=style_id)
            laid = await lay_works(scratch, opened, works, use)
            scratch.request.write_text(ReviewRequest(works=tuple(laid), size=size, min_works=min_works).to_json())
            findings = await _run(opened, scratch, should_stop)
    finally:
        remove_scratch(opened.settings.home, look_id)
    if not await should_stop():
        await _keep(opened, style_id, of, findings)


def digest_of_works(works: Sequence[StoredWork], *, size: int, min_works: int) -> str:
    """Of all that a look depends on: the way of looking, the files, their names, and what they are looked at for."""
    state = json.dumps([_WAY, size, min_works, [[work.id, work.sha256, work.filename] for work in works]])
    return hashlib.sha256(state.encode()).hexdigest()


def reviewer_command(settings: Settings) -> list[str]:
    return shlex.split(settings.reviewer) or [sys.executable, "-m", "training.review"]


async def _run(opened: Resources, scratch: Scratch, should_stop: Callable[[], Awaitable[bool]]) -> list[Finding]:
    for _ in range(_TRIES):
        findings: list[Finding] = []

        async def hear(event: Event, heard: list[Finding] = findings) -> None:
            if isinstance(event, Finding):
                heard.append(event)

        status = await run_trainer(
            scratch, opened.settings, reviewer_command(opened.settings), on_event=hear, should_stop=should_stop
        )
        if status == 0 or await should_stop():
            return findings
        log.error("the review in %s ended with status %s: %s", scratch.folder, status, scratch.last_words)
    return [_BROKEN]


async def _included(opened: Resources, style_id: str) -> list[StoredWork]:
    async with opened.pool.acquire() as conn:
        creator_id = await conn.fetchval(
            "SELECT creator_id FROM service.styles WHERE id = $1 AND destroyed_at IS NULL", style_id
        )
        if creator_id is None:
            return []
        works = await list_works(conn, style_id=style_id, creator_id=creator_id)
    return [work for work in works if work.include]


async def _is_known(opened: Resources, style_id: str, of: str) -> bool:
    async with opened.pool.acquire() as conn:
        return bool(await conn.fetchval("SELECT review->>'of' = $2 FROM service.styles WHERE id = $1", *(style_id, of)))


async def _keep(opened: Resources, style_id: str, of: str, findings: list[Finding]) -> None:
    found = {"of": of, "findings": [asdict(finding) for finding in findings]}
    async with opened.pool.acquire() as conn:
        await conn.execute(
            "UPDATE service.styles SET review = $2 WHERE id = $1 AND destroyed_at IS NULL",
            *(style_id, json.dumps(found)),
        )
