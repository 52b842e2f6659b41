"""A child that ends with its parent: its standard input is a pipe that only the parent holds open.

The kernel closes the pipe when the parent dies in whatever way, SIGKILL included.
"""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """Send this process SIGTERM as soon as its standard input closes."""
    threading.Thread(target=_wait_and_end, name="lifeline", daemon=True).start()


def _wait_and_end() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
