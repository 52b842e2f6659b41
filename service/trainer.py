"""The trainer as a child process: requests in files, events as lines on its standard output.

It ends with its parent: its standard input is a pipe that only the parent holds. It gets none of our settings, so it
knows neither the database nor any key. Where a worker draws on a Ray cluster, what needs a GPU is a child of a process
there (`service.fleet.training`).
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Protocol

from service.scratch import Scratch
from service.settings import ROOT, Settings, plain_environ
from training.messages import Event, read_line

log = logging.getLogger("ownhand.trainer")

LOOK_EVERY_S = 0.5
# A checkpoint of a large base takes a while to reach the disk; after that, patience ends.
_GRACE_S = 60.0
_LINE_BYTES_MAX = 4 * 1024**2
_LAST_BYTES = 2000


class Trainer(Protocol):
    """A trainer while it lives."""

    def events(self) -> AsyncIterator[tuple[str, Event]]:
        """What it says until it ends, each event with the training that it is about: "" where it was asked for one.

        Raises ValueError where a line never ends, OSError where it cannot be started.
        """

    async def wait(self) -> int:
        """Its exit status (negative: the signal that killed it)."""

    async def stop(self, training: str) -> None:
        """Tell one of its trainings to write a checkpoint and leave."""

    async def end(self) -> None:
        """Have checkpoints written and it ended; it is killed where that takes too long."""

    async def kill(self) -> None:
        """End it at once: what it has not saved is lost."""

    @property
    def last_words(self) -> str:
        """The end of its log, also where the folder that holds it has gone."""


class Child:
    """The trainer as a child of this process (`Trainer`)."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    async def events(self) -> AsyncIterator[tuple[str, Event]]:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if (said := understood(line)) is not None:
                yield said

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, training: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            # Whoever has ended already needs no word.
            self._process.stdin.write(f"stop {training}\n".encode())
            await self._process.stdin.drain()

    async def end(self) -> None:
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
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def last_words(self) -> str:
        return end_of(self._errors)


async def spawn(
    command: Sequence[str], environ: Mapping[str, str], *, errors: IO[bytes], locks: Sequence[IO[str]]
) -> asyncio.subprocess.Process:
    """The child itself. environ: beside what every child of ours has. It keeps the locks while it lives."""
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=plain_environ() | dict(environ),
        cwd=ROOT,
        pass_fds=[lock.fileno() for lock in locks],
        limit=_LINE_BYTES_MAX,
    )


def understood(line: bytes) -> tuple[str, Event] | None:
    """What a line of a trainer's says; None for one that says nothing to us."""
    try:
        return read_line(line.decode())
    except ValueError:
        # Libraries of the model stack print to standard output now and then.
        log.debug("the trainer printed %r", line[:200])
        return None


def end_of(errors: IO[bytes]) -> str:
    """The last words of a trainer's log."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(errors.tell() - _LAST_BYTES, 0))
    return errors.read().decode(errors="replace")


@asynccontextmanager
async def start_trainer(
    scratches: Sequence[Scratch],
    settings: Settings,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    on_gpu: bool = False,
) -> AsyncIterator[Trainer]:
    """A command on the requests in some scratch folders, ended with the block.

    It keeps the locks of all folders while it lives, and logs into the first. on_gpu: it computes where pictures are
    drawn, which may be a cluster; else here.
    """
    threads = {"OMP_NUM_THREADS": str(settings.num_threads)} if settings.num_threads else {}
    words = [*command, *(str(scratch.request) for scratch in scratches), *options]
    if on_gpu and settings.engine == "ray":
        async with _on_cluster(scratches, settings, words, threads) as there:
            yield there
        return
    with scratches[0].log.open("a+b") as errors:
        process = await spawn(words, threads, errors=errors, locks=[scratch.lock for scratch in scratches])
        trainer = Child(process, errors)
        try:
            yield trainer
        finally:
            await trainer.end()


@asynccontextmanager
async def _on_cluster(
    scratches: Sequence[Scratch], settings: Settings, command: Sequence[str], environ: Mapping[str, str]
) -> AsyncIterator[Trainer]:
    from service.fleet.training import ClusterTrainer

    trainer = ClusterTrainer(
        command,
        [scratch.folder for scratch in scratches],
        environ,
        num_gpus=settings.ray_gpus,
        num_cpus=settings.ray_cpus,
    )
    try:
        yield trainer
    finally:
        await trainer.end()
        trainer.close()


async def run_trainer(
    scratch: Scratch,
    settings: Settings,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    on_gpu: bool = False,
    on_event: Callable[[Event], Awaitable[None]],
    should_stop: Callable[[], Awaitable[bool]],
) -> int:
    """Run a command on the request in a scratch folder, to its end; its exit status. on_gpu: see `start_trainer`.

    `should_stop` is asked every half second; on True the child is told to end. The same happens where this call is
    cancelled.
    """
    async with start_trainer([scratch], settings, command, options=options, on_gpu=on_gpu) as trainer:
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
