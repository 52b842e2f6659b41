"""The story of finding words for works: where a captioning model is configured, a worker suggests what they show.

    works arrive -> those that nobody has words for are laid out -> `training.description` as a child process
                 -> suggestions on the works, one by one -> and again, for those that came meanwhile

One story a style at a time. Suggestions are the creator's to take, to change or to leave; the creator's own words are
never touched, and train instead wherever there are any.
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress

from service.data_use import Use, open_files
from service.errors import ObjectMissing
from service.heartbeats import this_process
from service.resources import Gateway, Resources
from service.scratch import Scratch, hold_scratch, lay_work, remove_scratch
from service.settings import Settings
from service.trainer import run_trainer
from service.workflows import BROKEN, REVIEW, durable_step, resources, start, states_of, story
from service.works import StoredWork, hashes_of, list_wordless, suggest
from training.description.messages import DescriptionRequest
from training.messages import Described, Event, Work

log = logging.getLogger("ownhand.describing")


async def ask_for_words(web: Gateway, style_id: str) -> None:
    """Have a worker suggest words for the works of a style that have none. Doing it often is harmless; nothing happens
    where no captioning model is configured."""
    if not web.settings.captioner:
        return
    async with web.pool.acquire() as conn, conn.transaction():
        asked = await conn.fetchval("SELECT describing FROM service.styles WHERE id = $1 FOR UPDATE", style_id)
        if asked is not None and (await states_of([asked])).get(asked) not in {None, *BROKEN}:
            # Before it ends it looks again, behind the lock that is held here, and finds what has come.
            return
        story_id = web.new_id("dsc")
        await conn.execute("UPDATE service.styles SET describing = $2 WHERE id = $1", style_id, story_id)
        await start(REVIEW, story_id, tell_description, story_id, style_id, conn=conn)


@story("description")
async def tell_description(story_id: str, style_id: str) -> None:
    """Words for a style's works, on a worker."""
    await describe(story_id, style_id)


@durable_step()
async def describe(story_id: str, style_id: str) -> None:
    """Describe until no work is left that has no words; one that nothing could be said of is not tried twice."""
    opened, tried = resources(), set[str]()
    try:
        async with hold_scratch(opened.settings.home, story_id) as scratch:
            use = Use(purpose="description", by=this_process(), job=story_id, style_id=style_id)
            while works := await _next(opened, story_id, style_id, tried):
                if not await _run(opened, scratch, use, works):
                    return
                tried |= {work.id for work in works}
    finally:
        remove_scratch(opened.settings.home, story_id)


def describer_command(settings: Settings) -> list[str]:
    return shlex.split(settings.describer) or [sys.executable, "-m", "training.description"]


async def _next(opened: Resources, story_id: str, style_id: str, tried: set[str]) -> list[StoredWork]:
    """The works to describe. Where there are none the story is noted as over, so that whoever uploads after this look
    starts another."""
    async with opened.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM service.styles WHERE id = $1 FOR UPDATE", style_id)
        works = [work for work in await list_wordless(conn, style_id) if work.id not in tried]
        if not works:
            await conn.execute(
                "UPDATE service.styles SET describing = NULL WHERE id = $1 AND describing = $2", style_id, story_id
            )
    return works


async def _run(opened: Resources, scratch: Scratch, use: Use, works: Sequence[StoredWork]) -> bool:
    """Describe these works; False where the describer broke, which the log then says."""
    waiting, style_id = {work.id for work in works}, use.style_id
    laid = await _lay(opened, scratch, use, works)
    scratch.request.write_text(DescriptionRequest(works=tuple(laid), captioner=opened.settings.captioner).to_json())

    async def hear(event: Event) -> None:
        if isinstance(event, Described) and event.work in waiting:
            waiting.discard(event.work)
            if not event.captions:
                return
            async with opened.pool.acquire() as conn:
                await suggest(conn, work_id=event.work, captions=event.captions, now=opened.clock())

    async def should_stop() -> bool:
        # All that was still to come has words by now, or is gone. Asked of what is waited for after the answer: the
        # last work may be described meanwhile.
        async with opened.pool.acquire() as conn:
            wordless = {work.id for work in await list_wordless(conn, style_id)}
        return bool(waiting) and waiting.isdisjoint(wordless)

    status = await run_trainer(
        scratch,
        opened.settings,
        describer_command(opened.settings),
        options=("--device", opened.settings.device),
        on_event=hear,
        should_stop=should_stop,
    )
    if status == 0 or await should_stop():
        return True
    log.error("the works of style %s were not described (status %s): %s", style_id, status, scratch.last_words)
    return False


async def _lay(opened: Resources, scratch: Scratch, use: Use, works: Sequence[StoredWork]) -> list[Work]:
    files, laid = await open_files(opened, use, hashes_of(works)), list[Work]()
    for work in works:
        # Deleted since it was listed: there is nothing to describe.
        with suppress(ObjectMissing):
            laid.append(await lay_work(scratch, files, work))
    return laid
