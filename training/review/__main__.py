"""`python -m training.review REQUEST.json`: one review as a process, one finding a line on stdout, as JSON.

It ends when its stdin closes or on SIGTERM. Exit codes: 0 all was looked at, 75 interrupted, 1 failed (the sentence is
on stderr).
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import torch

from training.errors import TrainingError
from training.messages import event_line
from training.review.messages import read_review_request
from training.review.portfolio import review_portfolio

DONE, FAILED, INTERRUPTED = 0, 1, 75


class _Interrupted(Exception):
    """Raised from wherever the process is told to end."""


def main(arguments: list[str]) -> int:
    """Look at the portfolio whose request lies in the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.review", description="One review, as a process.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a ReviewRequest")
    asked = parser.parse_args(arguments)
    stopped = Flag()
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    Thread(target=_await_end_of_input, args=(stopped,), daemon=True).start()

    def go_on() -> None:
        if stopped.is_set():
            raise _Interrupted

    try:
        request = read_review_request(asked.request.read_text(encoding="utf-8"))
        threads = torch.get_num_threads()
        review = review_portfolio(
            request.works, size=request.size, min_works=request.min_works, num_threads=threads, go_on=go_on
        )
    except _Interrupted:
        return INTERRUPTED
    except (TrainingError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
    # All at once: half a review would call the works it has not come to faultless.
    sys.stdout.write("".join(event_line(finding) + "\n" for finding in review.findings))
    sys.stdout.flush()
    return DONE


def _await_end_of_input(stopped: Flag) -> None:
    # Below Python's own file object, whose lock a thread that waits in it would still hold at exit.
    while os.read(sys.stdin.fileno(), 4096):
        continue
    stopped.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
