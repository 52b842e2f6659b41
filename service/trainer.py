"""The trainer as a child process: a request in a file, events as lines on its standard output.

It ends with its parent: its standard input is a pipe that only the parent holds. It gets none of our settings, so it
knows neither the database nor any key.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence

from service.scratch import Scratch
from service.settings import ROOT, Settings, plain_environ
from training.messages import Event, read_event

log = logging.getLogger("ownhand.trainer")

# A checkpoint of a large base takes a while to reach the disk; after that, patience ends.
_GRACE_S = 60.0
_LOOK_EVERY_S = 0.5
_LINE_BYTES_MAX = 4 * 1024**2


async def run_trainer(
    scratch: Scratch,
    settings: Settings,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    on_event: Callable[[Event], Awaitable[None]],
    should_stop: Callable[[], Awaitable[bool]],
) -> int:
    """Run a command on the request in a scratch folder, to its end; its exit status (negative: the signal that killed).

    `should_stop` is asked every half second; on True the child is told to write a checkpoint and end. The same happens
    where this call is cancelled. It logs into the folder and keeps the folder's lock while it lives.
    """
    environ = plain_environ()
    if settings.num_threads:
        environ["OMP_NUM_THREADS"] = str(settings.num_threads)
    with scratch.log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(scratch.request),
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environ,
            cwd=ROOT,
            pass_fds=(scratch.lock.fileno(),),
            limit=_LINE_BYTES_MAX,
        )
    watching = asyncio.create_task(_watch(process, should_stop))
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            event = _event(line)
            if event is not None:
                await on_event(event)
        return await process.wait()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await _end(process)


def _event(line: bytes) -> Event | None:
    try:
        return read_event(line.decode())
    except ValueError:
        # Libraries of the model stack print to standard output now and then.
        log.debug("the trainer printed %r", line[:200])
        return None


async def _watch(process: asyncio.subprocess.Process, should_stop: Callable[[], Awaitable[bool]]) -> None:
    while process.returncode is None:
        if await should_stop():
            await _end(process)
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
