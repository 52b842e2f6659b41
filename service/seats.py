"""One training's place in a round (`service.finetuning`): its folder, what its trainer says of it, how it ends there.

Nothing that goes wrong here goes wrong for the others of the round: it is kept in `error`, and the seat is over.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from inference.adapters.manifest import file_sha256, read_manifest
from service import trainings
from service.accounts import account_by_id
from service.filing import start_filing
from service.resources import Resources
from service.scratch import Scratch, hold_scratch, lay_out, release_scratch, remove_scratch
from service.speeds import known_way
from service.styles import find_style
from service.training_events import Recorder, Superseded
from service.trainings import Training
from service.versions import ADAPTER, EXAMPLES, FLAT, KEPT_FILES, LOOKS, REPORT
from service.works import StoredWork, list_works
from training.kept import KEPT
from training.messages import TRAINING_ENDS, Done, Event, StateChanged
from training.recipe import load_recipe

log = logging.getLogger("ownhand.seats")


@asynccontextmanager
async def take_seat(opened: Resources, training: Training) -> AsyncIterator["Seat"]:
    """A seat whose folder holds the works and the request, and is this process's until the end of the block."""
    async with hold_scratch(opened.settings.home, training.id) as scratch:
        seat = Seat(opened, training, scratch)
        await seat.lay_out()
        yield seat


class Seat:
    """See above. `is_over`: nothing more is done for it in this round. `num_tries`: trainers that died on it."""

    def __init__(self, opened: Resources, training: Training, scratch: Scratch) -> None:
        self.training = training
        self.scratch = scratch
        self.is_over = False
        self.has_left = False
        """Its trainer has said the last of it and touches nothing of it any more."""
        self.error: Exception | None = None
        self.num_tries = 0
        self._opened = opened
        self._record = Recorder(opened, training)
        self._done: Done | None = None

    async def lay_out(self) -> None:
        """Put the works that may train, and the request, into the folder; the row then says which works they are."""
        await self._apart(self._lay_out())

    async def hear(self, event: Event) -> None:
        """What the trainer says of it."""
        if not self.is_over:
            await self._apart(self._take_note(event))
        if isinstance(event, StateChanged) and event.state in TRAINING_ENDS:
            self.has_left = True
            if self.is_over:
                release_scratch(self.scratch)

    async def close(self) -> None:
        """Nothing more comes of it in this round: paused or canceled where its creator wants that, else failed.

        Only while no trainer has it.
        """
        if not self.is_over:
            await self._apart(self._close("failed", trainings.SORRY))
            release_scratch(self.scratch)

    async def fail(self) -> None:
        """It broke here in a way that would come again."""
        async with self._opened.pool.acquire() as conn, conn.transaction():
            if await self._locked(conn) is not None:
                await self._end(conn, "failed", trainings.SORRY)

    async def _apart(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Superseded:
            log.info("training %s goes on elsewhere, or was stopped", self.training.id)
            self.is_over = True
        except Exception as error:
            log.exception("training %s broke in its round", self.training.id)
            self.error, self.is_over = error, True

    async def _lay_out(self) -> None:
        opened, training = self._opened, self.training
        async with opened.pool.acquire() as conn:
            found = await list_works(conn, style_id=training.style_id, creator_id=training.creator_id)
            words = await _names(conn, training)
        works = [work for work in found if work.may_train]
        recipe = load_recipe(training.recipe, folder=opened.settings.configs / "recipes")
        way = await known_way(opened, training.base, recipe)
        await lay_out(self.scratch, opened, training, works, style_words=words, way=way)
        await self._fix_manifest(works)

    async def _fix_manifest(self, works: list[StoredWork]) -> None:
        manifest = [{"id": work.id, "sha256": work.sha256} for work in works]
        async with self._opened.pool.acquire() as conn:
            status = await conn.execute(
                "UPDATE service.trainings SET manifest = $3, updated_at = $4 WHERE id = $1 AND fence = $2",
                *(self.training.id, self.training.fence, json.dumps(manifest), self._opened.clock()),
            )
        if status != "UPDATE 1":
            raise Superseded(self.training.id)

    async def _take_note(self, event: Event) -> None:
        await self._record(event)
        if isinstance(event, Done):
            self._done = event
        elif isinstance(event, StateChanged):
            if event.state in ("passed", "refused") and self._done is not None:
                await start_filing(self._opened, self.training, await self._store(self._done, event))
                self.is_over = True
            elif event.state in ("refused", "failed"):
                # Refused without a version: too few of the works could be used.
                await self._close(event.state, event.message)
            elif event.state == "interrupted":
                await self._close()

    async def _store(self, done: Done, end: StateChanged) -> dict[str, Any]:
        opened, training = self._opened, self.training
        examples = {f"{training.files}/{EXAMPLES}/{number}.png": path for number, path in enumerate(done.examples, 1)}
        keys = {f"{training.files}/{ADAPTER}": done.adapter, f"{training.files}/{REPORT}": done.report} | examples
        if done.flat is not None:
            keys[f"{training.files}/{FLAT}"] = done.flat
        if done.looks is not None:
            keys[f"{training.files}/{LOOKS}"] = done.looks
        kept = {f"{training.files}/{KEPT_FILES}/{path.name}": path for path in done.kept}
        keys |= kept
        for key, path in keys.items():
            with path.open("rb") as file:
                await asyncio.to_thread(opened.storage.put, key, file)
        async with opened.pool.acquire() as conn:
            fence = await conn.fetchval("SELECT fence FROM service.trainings WHERE id = $1", training.id)
        if fence != training.fence:
            for key in keys:
                await asyncio.to_thread(opened.storage.delete, key)
            raise Superseded(training.id)
        return {
            "fence": training.fence,
            "version_id": opened.new_id("ver"),
            "state": end.state,
            "message": end.message,
            "scores": dict(done.scores),
            "trigger": read_manifest(done.adapter).trigger,
            "adapter_key": f"{training.files}/{ADAPTER}",
            "adapter_sha256": file_sha256(done.adapter),
            "flat_sha256": None if done.flat is None else file_sha256(done.flat),
            "has_looks": done.looks is not None,
            "examples": list(examples),
            "receipt": json.loads(done.receipt.read_text())["receipt"],
            "kept": _kept(kept),
        }

    async def _close(self, state: trainings.TrainingState | None = None, message: str | None = None) -> None:
        """End as its creator wants, else in this state; with neither it is not over."""
        async with self._opened.pool.acquire() as conn, conn.transaction():
            row = await self._locked(conn)
            wanted = row["wanted"] if row is not None else None
            if row is None:
                self.is_over = True
            elif wanted is not None:
                await self._end(conn, "paused" if wanted == "pause" else "canceled")
            elif state is not None:
                await self._end(conn, state, message)
        if wanted == "cancel":
            await asyncio.to_thread(remove_scratch, self._opened.settings.home, self.training.id)

    async def _locked(self, conn: asyncpg.Connection) -> asyncpg.Record | None:
        return await conn.fetchrow(
            "SELECT wanted FROM service.trainings WHERE id = $1 AND fence = $2 AND state = ANY($3::text[]) FOR UPDATE",
            *(self.training.id, self.training.fence, list(trainings.UNDER_WAY)),
        )

    async def _end(self, conn: asyncpg.Connection, state: trainings.TrainingState, message: str | None = None) -> None:
        await trainings.change_state(conn, self.training, state, now=self._opened.clock(), message=message)
        self.is_over = True


def _kept(files: Mapping[str, Path]) -> dict[str, Any]:
    """What a training kept, as its row says it; nothing of one that kept nothing."""
    listed = next((path for path in files.values() if path.name == KEPT), None)
    if listed is None:
        return {}
    named = [{"name": path.name, "key": key, "sha256": file_sha256(path)} for key, path in files.items()]
    return {"looks": json.loads(listed.read_text())["looks"], "files": named}


async def _names(conn: asyncpg.Connection, training: Training) -> tuple[str, ...]:
    # No caption may name the creator or the style: the trigger stands for both.
    account = await account_by_id(conn, training.creator_id)
    style = await find_style(conn, training.style_id, creator_id=training.creator_id)
    return tuple(found.name for found in (account, style) if found is not None)
