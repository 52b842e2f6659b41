"""The training pipeline from a folder of works, without the service: what `ownhand train` says while it runs."""

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag

from licensing.authority import open_authority, sign_document
from service.resources import authority_folder
from service.settings import Settings
from training.messages import Estimate, Event, Finding, HeldOut, Progress, StateChanged
from training.run import train_folder


def train_here(
    settings: Settings,
    *,
    base: str,
    works: Path,
    out: Path,
    recipe: str,
    seed: int,
    max_minutes: float,
    say: Callable[[str], None],
) -> str:
    """Train, saying a line for each thing that matters, and sign the receipt with the keys of `home`.

    Ctrl-C writes a checkpoint; the same command goes on from it. Returns `passed`, `refused` or `interrupted`. Raises
    TrainingError or InferenceError.
    """
    stopping = Flag()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    settings.home.mkdir(parents=True, exist_ok=True)
    authority = open_authority(authority_folder(settings))
    ended = train_folder(
        base=base,
        works=works,
        out=out,
        recipe=recipe,
        seed=seed,
        max_minutes=max_minutes,
        on_event=lambda event: _say(event, say),
        stop=stopping.is_set,
        sign=lambda receipt: sign_document(authority, receipt),
        device=settings.device,
    )
    say(str(ended.adapter or ended.report) if ended.outcome != "interrupted" else ended.message)
    return ended.outcome


def _say(event: Event, say: Callable[[str], None]) -> None:
    if isinstance(event, StateChanged):
        say(f"{event.state} {event.message}".rstrip())
    elif isinstance(event, Finding):
        say(f"{event.severity} {event.work or 'all works'}: {event.why} {event.fix}")
    elif isinstance(event, Estimate):
        say(f"{event.steps} steps, about {event.seconds / 60:.1f} minutes here")
    elif isinstance(event, Progress):
        say(f"step {event.step} of {event.steps}, loss {event.loss:.4f}, {event.eta_s:.0f} s left")
    elif isinstance(event, HeldOut):
        say(f"step {event.step}: {event.gain:+.1%} over the base on works it never saw")
