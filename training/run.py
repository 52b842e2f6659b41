"""`python -m training.run REQUEST.json ... [--device auto]`: trainings as a process, one JSON event a line on stdout.

Several requests, for one base, take their steps in one batch; each line then names its `training`. It ends when its
stdin closes or on SIGTERM, with checkpoints; a line `stop <id>` on stdin ends that training alone in the same way. The
same requests continue it. Exit codes: 0 passed the gate, 3 refused, 75 interrupted (run again), 1 failed (the sentence
is in the last event and on stderr); of several codes the first of 1, 75, 3 and 0.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from inference.devices import AUTO, choose_device
from inference.errors import InferenceError
from training.errors import RequestInvalid, TrainingError
from training.interruption import DONE, FAILED, INTERRUPTED, told_to_end
from training.messages import Event, TrainingRequest, event_line, read_request
from training.pipeline import Job, Trained, train, train_together
from training.works import works_in

EXIT_CODES = {"passed": DONE, "refused": 3, "interrupted": INTERRUPTED}


def main(arguments: list[str]) -> int:
    """Run the requests whose files are named, on the device that is named."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description="Trainings, as a process.")
    parser.add_argument("requests", type=Path, nargs="+", help="JSON files that hold a TrainingRequest each")
    parser.add_argument("--device", default=AUTO, help="cpu, cuda or cuda:1; auto takes a GPU if there is one")
    asked = parser.parse_args(arguments)
    try:
        with told_to_end() as told:
            requests = [read_request(file.read_text(encoding="utf-8")) for file in asked.requests]
            names = [request.id if len(requests) > 1 else "" for request in requests]
            jobs = [
                Job(request=request, on_event=partial(_print_event, name), stop=partial(told.to_stop, request.id))
                for request, name in zip(requests, names, strict=True)
            ]
            ended = train_together(jobs, device=choose_device(asked.device))
    except (TrainingError, InferenceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    for one in ended:
        if isinstance(one, Exception):
            sys.stderr.write(f"{one}\n")
    codes = {FAILED if isinstance(one, Exception) else EXIT_CODES[one.outcome] for one in ended}
    return next(code for code in (FAILED, INTERRUPTED, EXIT_CODES["refused"], DONE) if code in codes)


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


def _print_event(training: str, event: Event) -> None:
    sys.stdout.write(event_line(event, training=training) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
