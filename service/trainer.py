"""The trainer as a child process: requests in files, events as lines on its standard output.

It ends with its parent: its standard input is a pipe that only the parent holds. It gets none of our settings, so it
knows neither the database nor any key.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import IO

from service.scratch import Scratch
from service.settings import ROOT, Settings, plain_environ
from training.messages import Event, read_line

log = logging.getLogger("ownhand.trainer")

LOOK_EVERY_S = 0.5
# A checkpoint of a large base takes a while to reach the disk; after that, patience ends.
_GRACE_S = 60.0
_LINE_BYTES_MAX = 4 * 1024**2
_LAST_BYTES = 2000


class Trainer:
    """The child while it lives."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    async def events(self) -> AsyncIterator[tuple[str, Event]]:
        """What it says until it ends, each event with the training that it is about: "" where it was asked for one.

        Raises ValueError where a line never ends.
        """
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            try:
                yield read_line(line.decode())
            except ValueError:
                # Libraries of the model stack print to standard output now and then.
                log.debug("the trainer printed %r", line[:200])

    async def wait(self) -> int:
        """Its exit status (negative: the signal that killed it)."""
        return await self._process.wait()

    async def stop(self, training: str) -> None:
        """Tell one of its trainings to write a checkpoint and leave."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            # Whoever has ended already needs no word.
            self._process.stdin.write(f"stop {training}\n".encode())
            await self._process.stdin.drain()

    async def end(self) -> None:
        """Have checkpoints written and it ended; it is killed where that takes too long."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once: what it has not saved is lost."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def last_words(self) -> str:
        """The end of its log, also where the folder that holds it has gone."""
        self._errors.seek(0, 2)
        self._errors.seek(max(self._errors.tell() - _LAST_BYTES, 0))
        return self._errors.read().decode(errors="replace")


@asynccontextmanager
async def start_trainer(
    scratches: Sequence[Scratch], settings: Settings, command: Sequence[str], *, options: Sequence[str] = ()
) -> AsyncIterator[Trainer]:
    """A command on the requests in some scratch folders, ended with the block.

    It keeps the locks of all folders while it lives, and logs into the first.
    """
    environ = plain_environ()
    if settings.num_threads:
        environ["OMP_NUM_THREADS"] = str(settings.num_threads)
    with scratches[0].log.open("a+b") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            *(str(scratch.request) for scratch in scratches),
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environ,
            cwd=ROOT,
            pass_fds=[scratch.lock.fileno() for scratch in scratches],
            limit=_LINE_BYTES_MAX,
        )
        trainer = Trainer(process, errors)
        try:
            yield trainer
        finally:
            await trainer.end()


async def run_trainer(
    scratch: Scratch,
    settings: Settings,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    on_event: Callable[[Event], Awaitable[None]],
    should_stop: Callable[[], Awaitable[bool]],
) -> int:
    """Run a command on the request in a scratch folder, to its end; its exit status.

    `should_stop` is asked every half second; on True the child is told to end. The same happens where this call is
    cancelled.
    """
    async with start_trainer([scratch], settings, command, options=options) as trainer:
        watching = asyncio.create_task(_watch(trainer, should_stop))
        try:
            async for _, event in trainer.events():
                await on_event(event)
            return await trainer.wait()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


async def _watch(trainer: Trainer, should_stop: Callable[[], Awaitable[bool]]) -> None:
    while not await should_stop():
        await asyncio.sleep(LOOK_EVERY_S)
    await trainer.end()
