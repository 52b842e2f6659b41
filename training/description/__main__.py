"""`python -m training.description REQUEST.json [--device auto]`: suggested words for works, a work a line on stdout.

It ends when its stdin closes or on SIGTERM; what it has said by then is whole. Exit codes: 0 all were described, 75
interrupted, 1 failed (the sentence is on stderr).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from inference.devices import AUTO, choose_device
from training.description.captioner import describe_works, open_captioner
from training.description.messages import read_description_request
from training.interruption import run_process
from training.messages import event_line


def main(arguments: list[str]) -> int:
    """Describe the works whose request lies in the file that is named, on the device that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.description", description="Suggested words for works.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a DescriptionRequest")
    parser.add_argument("--device", default=AUTO, help="cpu, cuda or cuda:1; auto takes a GPU if there is one")
    asked = parser.parse_args(arguments)

    def describe(go_on: Callable[[], None]) -> None:
        request = read_description_request(asked.request.read_text(encoding="utf-8"))
        captioner = open_captioner(request.captioner, device=choose_device(asked.device))
        for event in describe_works(request.works, captioner, go_on=go_on):
            sys.stdout.write(event_line(event) + "\n")
            sys.stdout.flush()

    return run_process(describe)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
