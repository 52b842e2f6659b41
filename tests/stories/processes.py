"""The service as real processes, which tests may kill: web and worker on one home and one database.

They are forked from a process that has imported everything already: a test that starts dozens of them would otherwise
spend its time on importing the same modules.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import httpx

from service.clock import MachineClock, utc_now
from service.settings import Settings
from tests import setups

START_S = 120.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["service.web", "service.worker"])
    return context


def _run(role: str, settings: Settings, log: Path, ahead_s: float) -> None:
    """What `ownhand web` and `ownhand worker` do once their modules are imported, on a machine whose clock is ahead."""
    if ahead_s:
        _set_ahead(ahead_s)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(handle, stream.fileno())
    assert settings.database_url is not None
    if role == "web":
        from service.web import run_web

        run_web(settings, settings.database_url)
    else:
        from service.worker import run_worker

        asyncio.run(run_worker(settings, settings.database_url))


def _set_ahead(ahead_s: float) -> None:
    """Have this process read the time of a machine whose clock is wrong: ours, and what libraries ask `time` for."""
    from service import web, worker

    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + ahead_s
    time.time_ns = lambda: nanoseconds() + round(ahead_s * 1e9)
    for module in (web, worker):
        module.clock_of = lambda settings: MachineClock(machine=lambda: utc_now() + timedelta(seconds=ahead_s))  # type: ignore[attr-defined]


@dataclass(kw_only=True)
class Processes:
    """A web process and workers, by names; `log` collects what they say."""

    settings: Settings
    log: Path
    _running: dict[str, ForkServerProcess] = field(default_factory=dict)
    _context: ForkServerContext = field(default_factory=_context)

    def start(
        self,
        role: str,
        *,
        name: str | None = None,
        crash_at: str | None = None,
        port: int | None = None,
        ahead_s: float = 0.0,
    ) -> None:
        """Start a role, under its own name where none is given; it kills itself at the point `crash_at`. port: of a
        second web process, elsewhere than the first. ahead_s: how far its machine's clock is."""
        settings = replace(self.settings, crash_at=crash_at, port=port or self.settings.port, **setups.more_settings())
        process = self._context.Process(target=_run, args=(role, settings, self.log, ahead_s), daemon=True)
        process.start()
        self._running[name or role] = process
        if role == "web":
            self._wait_ready(name or role, settings.origin)

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut would."""
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()
            process.join()

    def stop(self, role: str) -> None:
        """SIGTERM, as for an upgrade; waits until the process has ended in good order."""
        process = self._running.pop(role)
        process.terminate()
        process.join(START_S)
        assert process.exitcode == 0, self.log.read_text()[-4000:]

    def pid(self, name: str) -> int:
        pid = self._running[name].pid
        assert pid is not None
        return pid

    def is_alive(self, name: str) -> bool:
        return name in self._running and self._running[name].is_alive()

    def name_of(self, pid: int) -> str:
        return next(name for name, process in self._running.items() if process.pid == pid)

    def wait_until_dead(self, role: str, *, within_s: float = 120.0) -> None:
        """Until the role has killed itself."""
        process = self._running.pop(role)
        process.join(within_s)
        assert process.exitcode == -signal.SIGKILL, self.log.read_text()[-4000:]

    def end(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def _wait_ready(self, name: str, origin: str) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self._running[name].is_alive(), self.log.read_text()[-4000:]
            try:
                if httpx.get(f"{origin}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"web did not come up in {START_S:.0f} s: {self.log.read_text()[-4000:]}")
