"""`python -m training.run REQUEST.json [--device auto]`: one training as a process, one JSON event a line on stdout.

It ends when its stdin closes or on SIGTERM, with a checkpoint; the same request continues it. Exit codes: 0 passed the
gate, 3 refused, 75 interrupted (run again), 1 failed (the sentence is in the last event and on stderr).
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.devices import AUTO, choose_device
from inference.errors import InferenceError
from training.errors import RequestInvalid, TrainingError
from training.interruption import FAILED, INTERRUPTED, told_to_end
from training.messages import Event, TrainingRequest, event_line, read_request
from training.pipeline import Trained, train
from training.works import works_in

EXIT_CODES = {"passed": 0, "refused": 3, "interrupted": INTERRUPTED}


def main(arguments: list[str]) -> int:
    """Run the request whose file is named, on the device that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description="One training, as a process.")
    parser.add_argument("request", type=Path, help="a JSON file that holds a TrainingRequest")
    parser.add_argument("--device", default=AUTO, help="cpu, cuda or cuda:1; auto takes a GPU if there is one")
    asked = parser.parse_args(arguments)
    try:
        with told_to_end() as stop:
            request = read_request(asked.request.read_text(encoding="utf-8"))
            ended = train(request, on_event=_print_event, stop=stop, device=choose_device(asked.device))
    except (TrainingError, InferenceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return EXIT_CODES[ended.outcome]


def train_folder(
    *,
    base: str,
    works: Path,
    out: Path,
    recipe: str = "",
    seed: int = 0,
    max_minutes: float = 0.0,
    on_event: Callable[[Event], None],
    stop: Callable[[], bool] = lambda: False,
    sign: Callable[[dict[str, Any]], str] | None = None,
    device: str = AUTO,
) -> Trained:
    """Train one adapter from a folder of works: file names are first captions, the caller attests the rights.

    `out` gets exactly the adapter, the receipt and the report. What is needed to continue after an interruption lies
    beside it in a hidden folder, which goes when the training ends. Raises TrainingError or InferenceError.
    """
    if not works.is_dir():
        raise RequestInvalid(f"there is no folder {str(works)!r}; give the folder that holds the works")
    found = works_in(works)
    if not found:
        raise RequestInvalid(f"the folder {str(works)!r} holds no files; put the works into it")
    scratch = out.resolve().parent / f".{out.name}.training"
    request = TrainingRequest(
        id="folder",
        base=base,
        works=found,
        out=out,
        scratch=scratch,
        seed=seed,
        recipe=recipe,
        max_minutes=max_minutes,
    )
    ended = train(request, on_event=on_event, stop=stop, sign=sign, device=choose_device(device))
    if ended.outcome != "interrupted":
        shutil.rmtree(scratch, ignore_errors=True)
    return ended


def _print_event(event: Event) -> None:
    sys.stdout.write(event_line(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
