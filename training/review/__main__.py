"""`python -m training.review REQUEST.json`: one review as a process, one finding a line on stdout, as JSON.

It ends when its stdin closes or on SIGTERM. Exit codes: 0 all was looked at, 75 interrupted, 1 failed (the sentence is
on stderr).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from training.errors import TrainingError
from training.interruption import DONE, FAILED, INTERRUPTED, Interrupted, told_to_end, unless
from training.messages import event_line
from training.review.messages import read_review_request
from training.review.portfolio import review_portfolio
from training.works import Review


def main(arguments: list[str]) -> int:
    """Look at the portfolio whose request lies in the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.review", description="One review, as a process.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a ReviewRequest")
    asked = parser.parse_args(arguments)
    try:
        with told_to_end() as is_told:
            review = _review(asked.request, is_told)
    except Interrupted:
        return INTERRUPTED
    except (TrainingError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    # All at once: half a review would call the works it has not come to faultless.
    sys.stdout.write("".join(event_line(finding) + "\n" for finding in review.findings))
    sys.stdout.flush()
    return DONE


def _review(file: Path, is_told: Callable[[], bool]) -> Review:
    request = read_review_request(file.read_text(encoding="utf-8"))
    return review_portfolio(
        request.works,
        size=request.size,
        min_works=request.min_works,
        num_threads=torch.get_num_threads(),
        go_on=unless(is_told),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
