"""What a worker says of its machine with its heartbeat, for the office to show: version, memory, bases, adapters, GPUs.

GPUs are asked by `nvidia-smi`, where there is one, every ten seconds; a machine that has none, or whose driver does not
answer, says nothing of them.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from typing import Any, Literal

import psutil

from service import __version__, drawing

log = logging.getLogger("ownhand.machines")

_ASK_EVERY_S, _PATIENCE_S = 10.0, 5.0
_FIELDS = "name,utilization.gpu,memory.used,memory.total"
_MIB = 1024 * 1024

Role = Literal["web", "worker", "both"]


class Machine:
    """This process's machine, as it is told now and then."""

    def __init__(self, role: Role, *, steps: str, takes: Sequence[str]) -> None:
        self._role = role
        self._steps, self._takes = steps, list(takes)
        self._gpus: list[dict[str, Any]] = []
        self._asked_s = float("-inf")

    async def describe(self) -> dict[str, Any]:
        """What the office shows: numbers and names, as JSON. Bytes, shares of 1."""
        told: dict[str, Any] = {
            "version": __version__,
            "steps": self._steps,
            "takes": self._takes,
            "memory": psutil.Process().memory_info().rss,
            "memory_free": psutil.virtual_memory().available,
            "memory_all": psutil.virtual_memory().total,
        }
        if self._role == "web":
            return told
        now_s = time.monotonic()
        if now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s, self._gpus = now_s, await read_gpus()
        return told | drawing.standing() | {"gpus": self._gpus}


async def read_gpus() -> list[dict[str, Any]]:
    """Every GPU of this machine: `name`, `busy` (a share of 1), `memory` and `memory_all` in bytes."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        process = await asyncio.create_subprocess_exec(
            *(command, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        # A process must say that it lives, whatever became of a driver's command.
        log.warning("%s cannot be run (%s); the office shows no GPU of this machine", command, error)
        return []
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        log.warning("nvidia-smi did not answer within %s s; the office shows no GPU of this machine", _PATIENCE_S)
        return []
    return parse_gpus(said.decode(errors="replace")) if process.returncode == 0 else []


def parse_gpus(said: str) -> list[dict[str, Any]]:
    """What `nvidia-smi` printed; a line with a number that it does not know (`[N/A]`) has None there."""
    found = []
    for line in said.splitlines():
        name, *numbers = [part.strip() for part in line.split(",")]
        if len(numbers) == 3:
            busy, used, whole = (float(number) if number.replace(".", "").isdigit() else None for number in numbers)
            found.append(
                {
                    "name": name,
                    "busy": None if busy is None else busy / 100,
                    "memory": None if used is None else int(used * _MIB),
                    "memory_all": None if whole is None else int(whole * _MIB),
                }
            )
    return found
