"""`python -m training.review REQUEST.json`: one review as a process, one finding a line on stdout, as JSON.

It ends when its stdin closes or on SIGTERM. Exit codes: 0 all was looked at, 75 interrupted, 1 failed (the sentence is
on stderr).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from training.interruption import run_process
from training.messages import event_line
from training.review.messages import read_review_request
from training.review.portfolio import review_portfolio


def main(arguments: list[str]) -> int:
    """Look at the portfolio whose request lies in the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.review", description="One review, as a process.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a ReviewRequest")
    asked = parser.parse_args(arguments)

    def review(go_on: Callable[[], None]) -> None:
        request = read_review_request(asked.request.read_text(encoding="utf-8"))
        found = review_portfolio(
            request.works,
            size=request.size,
            min_works=request.min_works,
            num_threads=torch.get_num_threads(),
            go_on=go_on,
        )
        # All at once: half a review would call the works it has not come to faultless.
        sys.stdout.write("".join(event_line(finding) + "\n" for finding in found.findings))
        sys.stdout.flush()

    return run_process(review)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
