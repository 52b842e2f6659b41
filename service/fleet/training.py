"""A trainer on a GPU of the cluster: the same child process, with an actor of Ray's beside it that passes its words on.

    worker -> actor with a GPU, waited for -> `python -m training.run` there -> its lines -> the worker
    the worker or the actor dies -> the trainer's standard input closes, and it ends with a checkpoint

The trainer's folder is not sent: works and checkpoints lie in `OWNHAND_HOME`, on a disk that every node sees. Needs
Ray.
"""

import asyncio
import contextlib
import fcntl
import logging
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import ray
from ray.exceptions import RayError, RayTaskError

from service.fleet.raised import cause_of
from service.trainer import end_of, spawn, understood
from training.messages import Event

log = logging.getLogger("ownhand.fleet")

LOCK = "trainer.lock"
"""Held by the trainer itself: one that outlives its worker keeps others out of its folder until it has ended."""
_GRACE_S = 60.0
_WAIT_S = 0.2


class TrainerHost:
    """The actor: one trainer, on the GPU that Ray gave to this process."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def run(
        self, command: Sequence[str], folders: Sequence[Path], environ: Mapping[str, str]
    ) -> AsyncIterator[bytes | int]:
        """What it prints, line by line, then its exit status. It logs into the first folder.

        Raises FileNotFoundError where the folders cannot be seen from here.
        """
        for folder in folders:
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"{folder} cannot be seen from this node of the cluster; OWNHAND_HOME must lie on a disk that all"
                    " nodes share"
                )
        with contextlib.ExitStack() as held:
            locks = [held.enter_context((folder / LOCK).open("w")) for folder in folders]
            for lock in locks:
                await _hold(lock)
            errors = held.enter_context((folders[0] / "trainer.log").open("ab"))
            self._process = process = await spawn(command, environ, errors=errors, locks=locks)
            assert process.stdout is not None
            async for line in process.stdout:
                yield line
            yield await process.wait()

    async def say(self, line: bytes) -> None:
        """Write to its standard input; whoever has ended needs no word."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(line)
                await self._process.stdin.drain()

    async def signal(self, number: int) -> None:
        """Send it a signal, and wait until it has ended."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            await self._process.wait()


class ClusterTrainer:
    """A trainer on the cluster, as `service.trainer.Trainer` says. Closed by `close`."""

    def __init__(
        self,
        command: Sequence[str],
        folders: Sequence[Path],
        environ: Mapping[str, str],
        *,
        num_gpus: float,
        num_cpus: float,
    ) -> None:
        self._log = folders[0] / "trainer.log"
        self._log.touch()
        self._errors = self._log.open("rb")
        self._status: int | None = None
        self._has_begun = False
        self._host: Any = (
            ray.remote(TrainerHost)
            .options(num_gpus=num_gpus, num_cpus=num_cpus, max_restarts=0, max_task_retries=0)
            .remote()
        )
        self._said = self._host.run.options(num_returns="streaming").remote(list(command), list(folders), dict(environ))

    async def events(self) -> AsyncIterator[tuple[str, Event]]:
        """See `Trainer.events`. Raises OSError where it cannot be started there."""
        while self._status is None:
            try:
                said: bytes | int = await (await anext(self._said))
            except RayTaskError as error:
                raise cause_of(error) from None
            except (RayError, StopAsyncIteration) as error:
                log.warning("the trainer's process on the cluster is lost: %s", error)
                self._status = -signal.SIGKILL
                return
            self._has_begun = True
            if isinstance(said, int):
                self._status = said
                return
            if (event := understood(said)) is not None:
                yield event

    async def wait(self) -> int:
        async for _ in self.events():
            pass
        assert self._status is not None
        return self._status

    async def stop(self, training: str) -> None:
        await self._call(self._host.say.remote(f"stop {training}\n".encode()))

    async def end(self) -> None:
        if not self._has_begun:
            # It may wait for a GPU still, and would hear of it only then. One that runs ends as its worker's would.
            ray.kill(self._host)
        elif self._status is None and not await self._call(self._host.signal.remote(int(signal.SIGTERM))):
            await self.kill()

    async def kill(self) -> None:
        if self._status is None and not await self._call(self._host.signal.remote(int(signal.SIGKILL))):
            ray.kill(self._host)

    def close(self) -> None:
        """Give the GPU back."""
        ray.kill(self._host)
        self._errors.close()

    @property
    def last_words(self) -> str:
        return end_of(self._errors)

    async def _call(self, answer: Any) -> bool:
        """Wait for an answer of the host's; False where there is none in time. One that is gone has done it."""
        try:
            async with asyncio.timeout(_GRACE_S):
                await answer
        except TimeoutError:
            return False
        except RayError as error:
            log.warning("the trainer's process on the cluster is lost: %s", error)
        return True


async def _hold(lock: IO[str]) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            await asyncio.sleep(_WAIT_S)
