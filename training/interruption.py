"""How a process of this room ends: told to by SIGTERM or by its standard input closing, which its parent holds.

A line `stop <id>` on that input ends one training of several.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from inference.errors import InferenceError
from training.errors import TrainingError

DONE, FAILED, INTERRUPTED = 0, 1, 75
"""Exit codes; of 75 the same request goes on."""


class Interrupted(Exception):
    """Raised between two steps of whatever was told to end."""


def unless(is_told: Callable[[], bool]) -> Callable[[], None]:
    """What long work calls between its steps: it raises Interrupted once `is_told` says so."""

    def go_on() -> None:
        if is_told():
            raise Interrupted

    return go_on


class Told:
    """What a process was told so far."""

    def __init__(self) -> None:
        self._to_end = Event()
        self._stopped: set[str] = set()

    def end(self, *_: object) -> None:
        """Everything is to end."""
        self._to_end.set()

    def hear(self, line: str) -> None:
        """A line of its standard input. What is no `stop <id>` means nothing."""
        word, _, training = line.strip().partition(" ")
        if word == "stop":
            self._stopped.add(training)

    def to_end(self) -> bool:
        return self._to_end.is_set()

    def to_stop(self, training: str) -> bool:
        """Whether this training is to end, alone or with all."""
        return self.to_end() or training in self._stopped


@contextmanager
def told_to_end() -> Iterator[Told]:
    """What this process is told meanwhile. SIGTERM means what it did before once the block is left."""
    told = Told()
    before = signal.signal(signal.SIGTERM, told.end)
    Thread(target=_await_end_of_input, args=(told,), daemon=True).start()
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def run_process(work: Callable[[Callable[[], None]], None]) -> int:
    """The exit code of work that calls what it is given between its steps; why it failed is said on stderr."""
    try:
        with told_to_end() as told:
            work(unless(told.to_end))
    except Interrupted:
        return INTERRUPTED
    except (TrainingError, InferenceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return DONE


def _await_end_of_input(told: Told) -> None:
    # Below Python's own file object, whose lock a thread that waits in it would still hold at exit.
    # A descriptor that is closed under the thread is the end as well.
    rest = b""
    with suppress(OSError, ValueError):
        while said := os.read(sys.stdin.fileno(), 4096):
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                told.hear(line.decode(errors="replace"))
    told.end()
