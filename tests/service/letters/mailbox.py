"""The mail server of `smtp_server`, started, told how to answer, killed and started again by a test."""

import email
import email.policy
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.stories.processes import free_port

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Came:
    """One message that the server took: the envelope, and what was in it."""

    sender: str
    to: list[str]
    is_private: bool
    user: str | None
    raw: str

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw.encode("latin-1"), policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class Mailbox:
    """`events` is what the server said, in all its lives; `how` it answers now."""

    wanted: dict[str, Any]
    events: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    how: dict[str, Any] = field(default_factory=dict)
    _came: list[Came] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def port(self) -> int:
        return int(self.wanted["port"])

    @property
    def came(self) -> list[Came]:
        """Everything that the server said yes to until now. It says so in order: what it has said by the time that it
        hears us has been read."""
        if self.process is not None:
            self.answers(**self.how)
        return list(self._came)

    def empty(self) -> None:
        """As if nothing had come."""
        self._came.clear()
        self.events.clear()

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.came]

    def start(self) -> None:
        before = self.count("ready")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.letters.smtp_server", json.dumps(self.wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        threading.Thread(target=self._hear, args=(self.process,), daemon=True).start()
        assert self.hears("ready", before + 1)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process, self.how = None, {}

    def answers(self, **how: Any) -> None:
        """Answer so from now on; with nothing, take everything."""
        assert self.process is not None
        assert self.process.stdin is not None
        before, self.how = self.count("will"), how
        self.process.stdin.write(json.dumps(how) + "\n")
        self.process.stdin.flush()
        assert self.hears("will", before + 1)

    def count(self, event: str) -> int:
        return self.events.count(event)

    def hears(self, event: str, count: int = 1, *, within_s: float = 20.0) -> bool:
        """Wait until the server said so, so often in all."""
        with self._changed:
            return self._changed.wait_for(lambda: self.count(event) >= count, within_s)

    def _hear(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            with self._changed:
                if said["event"] == "came":
                    self._came.append(
                        Came(
                            sender=said["sender"],
                            to=said["to"],
                            is_private=said["is_private"],
                            user=said["user"],
                            raw=said["message"],
                        )
                    )
                self.events.append(said["event"])
                self._changed.notify_all()


@contextmanager
def mailbox(**wanted: Any) -> Iterator[Mailbox]:
    """A mail server at a free port of 127.0.0.1 until the end of the block: `tls` is `offered` or `at_once`, with
    `certificate` and `key`; `login` a user and a password."""
    opened = Mailbox(wanted={"port": free_port(), **wanted})
    opened.start()
    try:
        yield opened
    finally:
        if opened.process is not None:
            opened.kill()
