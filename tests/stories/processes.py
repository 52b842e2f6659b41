"""The service as real processes, which tests may kill: `ownhand web` and `ownhand worker` on one home and database."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from service.settings import ROOT, Settings, to_environ

START_S = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(kw_only=True)
class Processes:
    """One web and one worker process; `log` collects what they say."""

    settings: Settings
    log: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, role: str, *, crash_at: str | None = None) -> None:
        """Start a role; it kills itself at the point `crash_at`."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("OWNHAND_")}
        environ |= to_environ(replace(self.settings, crash_at=crash_at)) | {"OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self._running[role] = subprocess.Popen(
                [sys.executable, "-m", "service", role], env=environ, cwd=ROOT, stdout=log, stderr=log
            )
        if role == "web":
            self._wait_ready()

    def kill(self, role: str) -> None:
        """SIGKILL, as a power cut would."""
        process = self._running.pop(role, None)
        if process is not None:
            process.kill()
            process.wait()

    def wait_until_dead(self, role: str, *, within_s: float = 60.0) -> None:
        """Until the role has killed itself."""
        process = self._running.pop(role)
        assert process.wait(within_s) == -signal.SIGKILL, self.log.read_text()[-4000:]

    def end(self) -> None:
        for role in list(self._running):
            self.kill(role)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self._running["web"].poll() is None, self.log.read_text()[-4000:]
            try:
                if httpx.get(f"{self.settings.origin}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"web did not come up in {START_S:.0f} s: {self.log.read_text()[-4000:]}")
