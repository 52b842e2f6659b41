"""The story of trainings, top to bottom: works with rights in, draft versions out; those that wait share a round.

    queued -> taken (fence + 1), with others that wait for the same base and recipe -> works laid out
           -> ONE trainer (preparing, training, measuring), one seat in it for each (`service.seats`)
           -> files stored -> filed by the web role (`service.filing`): receipt signed, version DRAFT
    any point -> failed (a sentence), paused or canceled (the creator): the seat is left, the others go on
    the trainer dies -> each goes on from its checkpoint, alone: what kills it is then the matter of one
    the worker dies -> the next one takes the round again, and the trainer goes on from the checkpoints

Only works with `include` and a right other than `unsure` are laid out. A training that a round took along is told by
that round's story; its own, once it comes off the queue, finds nothing to do.
"""

import asyncio
import logging
import shlex
import sys
import time
from collections import deque
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg

from service import trainings
from service.heartbeats import num_workers
from service.resources import Gateway, Resources
from service.seats import Seat, take_seat
from service.settings import Settings
from service.trainer import LOOK_EVERY_S, Trainer, start_trainer
from service.trainings import Training
from service.workflows import BROKEN, TRAINING, durable_step, may_pass, resources, start, states_of, story

log = logging.getLogger("ownhand.finetuning")

# The trainer goes on from its checkpoint, so a second try is cheap.
_TRIES = 2
# One of several that does not leave by then hangs, and the trainer with it. Long, for the others lose steps by it.
_PATIENCE_S = 600.0
# A story is started right after its row's commit; what is younger than this is on its way.
_ON_ITS_WAY = timedelta(seconds=5)


async def start_training(training: Training) -> None:
    """Put the story of a queued training on its queue. Doing it twice is harmless."""
    await start(TRAINING, training.workflow_id, tell_training, training.id, training.run)


@story("training")
async def tell_training(training_id: str, run: int) -> None:
    """One run of a training, and of those that it takes along, on a worker."""
    try:
        await train(training_id, run)
    except Exception:
        log.exception("the round of training %s failed", training_id)
        await fail(training_id, run)


@durable_step()
async def train(training_id: str, run: int) -> None:
    """Take the training and its company, and run the trainer to the end of each; nothing where others have it."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        now = opened.clock()
        living = await num_workers(conn, now=now, silence_s=opened.settings.executor_silence_s, takes="trainings")
        taken = await trainings.take(
            conn,
            training_id=training_id,
            run=run,
            most=opened.settings.trainings_together,
            num_workers=max(living, 1),
            now=now,
        )
    if not taken:
        return
    async with AsyncExitStack() as held:
        seats = [await held.enter_async_context(take_seat(opened, training)) for training in taken]
        await Round(opened, seats).run()
    for seat in seats:
        if seat.error is not None and not may_pass(seat.error):
            await seat.fail()
    for seat in seats:
        if seat.error is not None and may_pass(seat.error):
            # The step is done again, with those that are still under way.
            raise seat.error


class Round:
    """Trainings of one base and recipe that are taken together, and the trainer that runs them."""

    def __init__(self, opened: Resources, seats: list[Seat]) -> None:
        self._opened = opened
        self._seats = seats
        self._trainer: Trainer | None = None
        self._seated: dict[str, Seat] = {}
        """Those that the trainer runs, by training."""
        self._told: dict[Seat, float] = {}
        """Those of them that were told to leave, and when."""

    async def run(self) -> None:
        """Run a trainer with all, and others with each alone where that one died. Every seat is over then, or broke."""
        alone = [[seat] for seat in self._seats if seat.training.goes_alone]
        groups = deque([[seat for seat in self._seats if not seat.training.goes_alone], *alone])
        watching = asyncio.create_task(self._watch())
        try:
            while groups:
                if group := [seat for seat in groups.popleft() if not seat.is_over]:
                    groups += [[seat] for seat in await self._run_trainer(group)]
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _run_trainer(self, group: list[Seat]) -> list[Seat]:
        """Hear a trainer to its end; the seats that are to be tried again."""
        settings = self._opened.settings
        scratches, options = [seat.scratch for seat in group], ("--device", settings.device)
        async with start_trainer(
            scratches, settings, trainer_command(settings), options=options, on_gpu=True
        ) as trainer:
            self._trainer, self._seated, self._told = trainer, {seat.training.id: seat for seat in group}, {}
            try:
                await self._hear(trainer)
                status = await trainer.wait()
            finally:
                self._trainer, self._seated = None, {}
            left = [seat for seat in group if not seat.is_over]
            leaving = await self._leaving(left)
            if len(leaving) < len(left):
                log.warning("a trainer ended with status %s and left %s: %s", status, len(left), trainer.last_words)
        for seat in left:
            seat.has_left = False
            seat.num_tries += 1
            if seat in leaving or (len(group) == 1 and seat.num_tries >= _TRIES):
                await seat.close()
        return [seat for seat in left if not seat.is_over]

    async def _hear(self, trainer: Trainer) -> None:
        try:
            async for training_id, event in trainer.events():
                # It names nobody where it was asked for one.
                seat = self._seated[training_id or next(iter(self._seated))]
                await seat.hear(event)
                if seat.is_over and not seat.has_left:
                    await self._tell_to_leave(seat)
        except (ValueError, KeyError):
            log.exception("what the trainer says cannot be understood; it is started again")
            await trainer.kill()

    async def _watch(self) -> None:
        """Let go who is to stop, within a second."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                for seat in await self._leaving([seat for seat in self._seats if not seat.is_over]):
                    if seat.training.id in self._seated:
                        await self._tell_to_leave(seat)
                    else:
                        await seat.close()
                await self._end_hung()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                log.warning("who is to stop could not be asked; it is tried again", exc_info=True)

    async def _leaving(self, seats: list[Seat]) -> list[Seat]:
        """Those that their creators stopped, or that go on elsewhere."""
        async with self._opened.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT id, fence FROM service.trainings"
                " WHERE id = ANY($1::text[]) AND wanted IS NULL AND state = ANY($2::text[])",
                *([seat.training.id for seat in seats], list(trainings.UNDER_WAY)),
            )
        staying = {(row["id"], row["fence"]) for row in rows}
        return [seat for seat in seats if (seat.training.id, seat.training.fence) not in staying]

    async def _tell_to_leave(self, seat: Seat) -> None:
        if self._trainer is None or seat in self._told:
            return
        self._told[seat] = time.monotonic()
        if all(one.has_left or one in self._told for one in self._seated.values()):
            await self._trainer.end()
        else:
            await self._trainer.stop(seat.training.id)

    async def _end_hung(self) -> None:
        late = time.monotonic() - _PATIENCE_S
        hung = [seat.training.id for seat, told in self._told.items() if told < late and not seat.has_left]
        if self._trainer is not None and hung:
            log.error("the trainer does not let go of %s; it is killed", ", ".join(hung))
            await self._trainer.kill()


def trainer_command(settings: Settings) -> list[str]:
    return shlex.split(settings.trainer) or [sys.executable, "-m", "training.run"]


@durable_step()
async def fail(training_id: str, run: int) -> None:
    """The round broke: say so of all that it still tells."""
    opened = resources()
    async with opened.pool.acquire() as conn:
        await trainings.give_up(conn, story=f"{training_id}.{run}", now=opened.clock())


async def mend_trainings(web: Gateway) -> None:
    """Start the stories that a crash kept from starting, and end the trainings whose stories broke.

    A sweep of the web role: doing it often, or in several processes, is harmless.
    """
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT id, run, told_by FROM service.trainings WHERE state = ANY($1::text[]) AND updated_at < $2",
            *(list(trainings.UNDER_WAY), web.clock() - _ON_ITS_WAY),
        )
    if not rows:
        return
    tellers = [row["told_by"] or f"{row['id']}.{row['run']}" for row in rows]
    known = await states_of(tellers)
    for row, teller in zip(rows, tellers, strict=True):
        if teller not in known and row["told_by"] is None:
            log.warning("training %s was accepted but not started; starting it", teller)
            await start(TRAINING, teller, tell_training, row["id"], row["run"])
        elif known.get(teller, "SUCCESS") in BROKEN:
            log.error("the story %s of training %s ended as %s", teller, row["id"], known.get(teller, "unknown"))
            async with web.pool.acquire() as conn:
                await trainings.give_up(conn, story=teller, now=web.clock())
