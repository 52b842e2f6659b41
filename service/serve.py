"""The supervisor: one command that runs the database, the web process and a worker, and leaves nothing behind."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import FrameType

from service.db.connections import application_url
from service.db.prepare import prepare_database
from service.errors import NotStarted
from service.postgres import database, revive
from service.settings import ROOT, Settings, plain_environ, to_environ

log = logging.getLogger("ownhand.serve")

_LOOK_EVERY_S = 0.2
_GRACE_S = 20.0
# A child that dies at once is started again after 0.5, 1, 2, ... seconds; one that lived ten seconds had come up, and
# whatever ended it was no fault of its start: it is started again at once, for somebody waits for it.
_BACK_OFF_S, _BACK_OFF_MAX_S, _SETTLED_S = 0.5, 30.0, 10.0


@dataclass(kw_only=True)
class Child:
    """One role as a process in a group of its own: a signal of the terminal reaches us alone."""

    name: str
    environ: dict[str, str]
    is_kept: bool = True
    """False for one that may end by itself and is not started again."""
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    back_off_s: float = _BACK_OFF_S

    def start(self) -> None:
        command = [sys.executable, "-m", "service", self.name]
        # Only we hold the other end of this pipe: when we die in whatever way, the child reads its end and ends too.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=self.environ, cwd=ROOT, start_new_session=True
        )
        self.started_at = time.monotonic()

    def tend(self) -> None:
        """Start it if it is time to; note when it died."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        status = self.process.poll()
        if status is None or not self.is_kept:
            return
        wait_s = 0.0 if now - self.started_at > _SETTLED_S else self.back_off_s
        self.back_off_s = min(wait_s * 2, _BACK_OFF_MAX_S) or _BACK_OFF_S
        log.error("%s ended with status %s; it is started again in %s s", self.name, status, wait_s)
        self.end_group()
        self.process, self.start_at = None, now + wait_s
        if not wait_s:
            self.start()

    def end_group(self) -> None:
        """Kill what is left of the child and of the processes it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def run_serve(settings: Settings, *, roles: Sequence[str] = ("web", "worker"), with_demo: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; then every process that was started is gone.

    `with_demo` runs the demonstration once, beside, against what is served; of the others only warnings are then heard,
    unless the settings ask for more.
    """
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with database(settings) as database_url:
        prepare_database(database_url)
        level = "WARNING" if with_demo and settings.log_level.upper() == "INFO" else settings.log_level
        children_settings = replace(
            settings, database_url=application_url(database_url), supervised=True, log_level=level
        )
        environ = plain_environ() | to_environ(children_settings)
        children = [Child(name=role, environ=environ) for role in roles]
        if with_demo:
            children.append(Child(name="demo", environ=environ, is_kept=False))
        try:
            while not stopping:
                _tend_database(settings)
                for child in children:
                    child.tend()
                time.sleep(_LOOK_EVERY_S)
        finally:
            end_children(children)


def _tend_database(settings: Settings) -> None:
    try:
        if revive(settings):
            log.error("the database had ended; it runs again, and what was under way goes on")
    except NotStarted:
        # Said every time: without it nothing else goes on either.
        log.exception("the database had ended and does not come up; it is tried again")


def end_children(children: Sequence[Child]) -> None:
    """SIGTERM to each, then patience, then SIGKILL to its group."""
    living = [child.process for child in children if child.process is not None]
    for process in living:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in living:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for child in children:
        child.end_group()
    for process in living:
        process.wait()
