"""The service as real processes, which tests may kill: web and worker on one home and one database.

They are forked from a process that has imported everything already: a test that starts dozens of them would otherwise
spend its time on importing the same modules. What needs an environment of its own is started like any program.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import httpx

from service.settings import Settings, to_environ
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


def _run(role: str, settings: Settings, log: Path) -> None:
    """What `ownhand web` and `ownhand worker` do once their modules are imported."""
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


class Program:
    """A role as a program of its own, with what these tests ask of a process."""

    def __init__(self, role: str, settings: Settings, log: Path, environ: Mapping[str, str]) -> None:
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", role],
                env={**os.environ, **to_environ(settings), **environ},
                stdout=said,
                stderr=said,
            )
        self.pid = self._process.pid
        self.kill, self.terminate = self._process.kill, self._process.terminate

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def is_alive(self) -> bool:
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        self._process.wait(timeout)


@dataclass(kw_only=True)
class Processes:
    """A web process and workers, by names; `log` collects what they say."""

    settings: Settings
    log: Path
    _running: dict[str, ForkServerProcess | Program] = field(default_factory=dict)
    _context: ForkServerContext = field(default_factory=_context)

    def start(
        self,
        role: str,
        *,
        name: str | None = None,
        crash_at: str | None = None,
        port: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start a role, under its own name where none is given; it kills itself at the point `crash_at`. port: of a
        second web process, elsewhere than the first. environ: what its environment has beside ours."""
        settings = replace(self.settings, crash_at=crash_at, port=port or self.settings.port, **setups.more_settings())
        if environ is None:
            forked = self._context.Process(target=_run, args=(role, settings, self.log), daemon=True)
            forked.start()
            self._running[name or role] = forked
        else:
            self._running[name or role] = Program(role, settings, self.log, environ)
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
