"""`python -m training.base STAGE --work DIR`: from drawings to a base's pipeline folder, stage by stage.

A training that gets SIGTERM or Ctrl-C saves where it is; the same command goes on from there.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event

from training.base.errors import BaseTrainingError, Interrupted

BASE = Path("configs/bases/openicons")
STAGES = ("drawings", "data", "autoencoder", "encode", "denoiser", "enlarger", "export", "styles", "sheet")


INTERRUPTED = 75


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; 0 when it finished, 75 when it was stopped, 1 with a sentence on stderr when it could not."""
    given = _parser().parse_args(arguments)
    try:
        with _signals_heard() as is_stopped:
            run_stage(given, is_stopped)
    except Interrupted as error:
        print(error, file=sys.stderr)
        return INTERRUPTED
    except BaseTrainingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run_stage(given: argparse.Namespace, stop: Callable[[], bool]) -> None:
    """Run the stage that `given` names. Heavy imports happen here, not when the module is read."""
    import torch

    from training.base.loop import Session
    from training.base.recipe import read_everyday, read_recipe

    if given.threads:
        torch.set_num_threads(given.threads)
    session = Session(
        say=say, device=given.device, minutes=given.minutes, steps=given.steps, workers=given.workers, stop=stop
    )
    recipe = read_recipe(given.recipe)
    if given.stage == "drawings":
        from training.base.collection import collect

        collect(recipe, read_everyday(given.everyday), given.work, say)
    elif given.stage == "data":
        from training.base.data import make_data

        make_data(recipe, given.work, say)
    elif given.stage == "autoencoder":
        from training.base.autoencoder import train_autoencoder

        train_autoencoder(recipe, given.work, session)
    elif given.stage == "encode":
        from training.base.latents import encode

        encode(recipe, given.work, given.device, say)
    elif given.stage == "denoiser":
        from training.base.denoiser import train_denoiser

        train_denoiser(recipe, given.work, session)
    elif given.stage == "enlarger":
        from training.base.enlarger import train_enlarger

        train_enlarger(recipe, given.work, given.base, session)
    elif given.stage == "export":
        from training.base.export import export, export_enlarger

        out = given.out or given.base
        if given.only_enlarger:
            export_enlarger(recipe, given.work, out)
            say(f"exported the enlarger to {out}")
        else:
            say(f"exported step {export(recipe, given.work, out)} to {out}")
    elif given.stage == "styles":
        from training.base.styles import write_styles

        write_styles(
            given.work, given.base.name, given.out or given.base.with_name(f"{given.base.name}-styles.safetensors"), say
        )
    elif given.stage == "sheet":
        from training.base.sheet import draw_sheet

        concepts = given.concepts or list(read_everyday(given.everyday))
        styles = ["", *recipe.data.styles.values()] if given.styles is None else given.styles
        draw_sheet(
            given.base,
            concepts,
            styles,
            given.out or Path("sheet.png"),
            given.sampling_steps,
            given.guidance,
            given.device,
        )


def say(line: str) -> None:
    """One line of progress with the time."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {line}", flush=True)


@contextmanager
def _signals_heard() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked this process to end, by Ctrl-C or SIGTERM; processes forked meanwhile heed neither."""
    stopped = Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.base", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of data and checkpoints, outside the repository"
    )
    parser.add_argument("--recipe", type=Path, default=Path("configs/recipes/base-cpu.toml"))
    parser.add_argument("--everyday", type=Path, default=Path("configs/recipes/everyday.toml"))
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    parser.add_argument("--workers", type=int, default=1, help="processes that share each batch on a CPU")
    parser.add_argument("--minutes", type=float, default=25, help="time budget of a training that starts anew")
    parser.add_argument(
        "--steps", type=int, default=0, help="planned steps instead of --minutes; more than before: go on"
    )
    parser.add_argument(
        "--base", type=Path, default=BASE, help="pipeline folder that export writes and sheet draws with"
    )
    parser.add_argument("--out", type=Path, help="where export (default: --base), styles and sheet (PNG or WebP) write")
    parser.add_argument(
        "--only-enlarger", action="store_true", help="export the enlarger into a folder that has the rest"
    )
    parser.add_argument("--concepts", nargs="*", help="columns of the sheet (default: all everyday concepts)")
    parser.add_argument("--styles", nargs="*", help="rows of the sheet (default: none, then every set's)")
    parser.add_argument("--sampling-steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
