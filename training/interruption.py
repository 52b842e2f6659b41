"""How a process of this room ends: told to by SIGTERM or by its standard input closing, which its parent holds."""

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


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether this process was told to end. SIGTERM means what it did before once the block is left."""
    told = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    Thread(target=_await_end_of_input, args=(told,), daemon=True).start()
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def run_process(work: Callable[[Callable[[], None]], None]) -> int:
    """The exit code of work that calls what it is given between its steps; why it failed is said on stderr."""
    try:
        with told_to_end() as is_told:
            work(unless(is_told))
    except Interrupted:
        return INTERRUPTED
    except (TrainingError, InferenceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return DONE


def _await_end_of_input(told: Event) -> None:
    # Below Python's own file object, whose lock a thread that waits in it would still hold at exit.
    # A descriptor that is closed under the thread is the end as well.
    with suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            continue
    told.set()
