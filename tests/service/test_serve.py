"""`ownhand serve`: everything comes up with one command, comes back after a kill, and nothing is left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from service.settings import ROOT


class Served:
    """A service of its own, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = self.start()

    def start(self) -> psutil.Popen:
        command = [sys.executable, "-W", "ignore", "-m", "service", "serve", "--no-worker"]
        return psutil.Popen(
            [*command, "--home", str(self.home), "--port", str(self.port)],
            cwd=ROOT,
            env={**os.environ, "OWNHAND_LOG_LEVEL": "WARNING"},
        )

    def web(self) -> psutil.Process | None:
        for child in self.process.children():
            # It may have ended since it was listed.
            with contextlib.suppress(psutil.NoSuchProcess):
                if "web" in child.cmdline():
                    return child
        return None

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        return False

    def database(self) -> psutil.Process:
        pid_file = self.home / "postgres" / "postmaster.pid"
        return psutil.Process(int(pid_file.read_text().split()[0]))

    def family(self) -> list[psutil.Process]:
        """The supervisor, what it started, and the database."""
        is_up = (self.home / "postgres" / "postmaster.pid").exists()
        return [self.process, *self.process.children(recursive=True), *([self.database()] if is_up else [])]


def until(condition: Callable[[], object], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    until(served.is_ready)
    yield served
    if served.process.poll() is None:
        for process in served.family():
            process.kill()


def test_the_pages_and_the_api_answer(served: Served):
    assert httpx.get(f"{served.url}/healthz").text == "ok\n"
    assert httpx.get(f"{served.url}/v1/styles").json()["items"] == []


def test_keys_and_objects_are_for_this_user_alone(served: Served):
    for name in ("keys", "authority", "objects", "postgres"):
        assert (served.home / name).stat().st_mode & 0o077 == 0, name


def test_a_command_beside_it_uses_the_same_database(served: Served):
    command = [sys.executable, "-W", "ignore", "-m", "service"]
    invited = subprocess.run(
        [*command, "invite", "--role", "client", "--email", "Ann@Example.org", "--home", str(served.home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    token = subprocess.run(
        [*command, "token", "--email", "ann@example.org", "--home", str(served.home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert invited.stdout.startswith("http://127.0.0.1:8000/sign-in?link=")
    assert token.stdout.startswith("oh_live_")
    assert len(token.stdout.split()) == 1
    headers = {"Authorization": f"Bearer {token.stdout.strip()}"}
    assert httpx.get(f"{served.url}/v1/usage", headers=headers).status_code == 200


def test_a_killed_web_process_comes_back(served: Served):
    before = served.web()
    assert before is not None

    before.kill()
    until(lambda: is_gone(before) and served.is_ready())

    after = served.web()
    assert after is not None
    assert after.pid != before.pid


def test_a_killed_database_comes_back_and_what_was_there_is_there(served: Served):
    command = [sys.executable, "-W", "ignore", "-m", "service", "token", "--email", "ben@example.org"]
    invite = [*command[:5], "invite", "--role", "client", "--email", "ben@example.org", "--home", str(served.home)]
    subprocess.run(invite, cwd=ROOT, check=True, capture_output=True)
    made = subprocess.run([*command, "--home", str(served.home)], cwd=ROOT, check=True, capture_output=True, text=True)
    usage = {"url": f"{served.url}/v1/usage", "headers": {"Authorization": f"Bearer {made.stdout.strip()}"}}
    before = served.database()
    assert httpx.get(**usage).status_code == 200

    before.kill()
    killed_s = time.monotonic()
    until(lambda: is_gone(before) and served.is_ready() and httpx.get(**usage, timeout=5).status_code == 200)

    assert time.monotonic() - killed_s < 30
    assert served.database().pid != before.pid
    assert served.web() is not None
    # Nothing that the dead server left was taken for one that runs.
    assert "already exists" not in (served.home / "postgres" / "log").read_text()


def test_when_the_supervisor_is_killed_its_children_end_and_it_can_start_again(served: Served):
    web = served.web()
    assert web is not None

    served.process.kill()
    served.process.wait()
    until(lambda: is_gone(web))
    served.process = served.start()
    until(served.is_ready)

    assert httpx.get(f"{served.url}/v1/styles").status_code == 200


def test_after_ctrl_c_no_process_is_left(served: Served):
    family = served.family()
    assert len(family) >= 3

    served.process.send_signal(signal.SIGINT)

    assert served.process.wait(120) == 0
    until(lambda: all(is_gone(process) for process in family))
