"""What is kept of an ended training, so that another of its adapters can be judged and released instead.

These are the adapters at its looks at the held-out works, and what the training was. Nothing can be learnt on from it.
"""

import json
from dataclasses import asdict
from pathlib import Path

from training.checkpoint import save_text
from training.curve import Gain, HeldOutLook
from training.errors import RequestInvalid
from training.kept import KEPT, MOST, MOST_BYTES, WAY
from training.state import Training


def alternatives(training: Training, *, delivered: int) -> list[HeldOutLook]:
    """The looks beside the one after `delivered` steps that draw unseen works as much better than the base as the gate
    asks, the best first: MOST of them, within MOST_BYTES. The rest of the gate is for when one is asked for."""
    least = training.recipe.gate.min_heldout_gain
    good = [look for look in training.heldout if look.step != delivered and look.gain.mean >= least]
    found, num_bytes = list[HeldOutLook](), 0
    for look in sorted(good, key=lambda look: look.gain.mean, reverse=True)[:MOST]:
        num_bytes += training.look_file(look.step).stat().st_size
        if num_bytes > MOST_BYTES:
            break
        found.append(look)
    return found


def keep(training: Training, *, delivered: int) -> tuple[Path, ...]:
    """Write down what the training was, and name the files by which `reopen` judges one of the alternatives. Empty
    where there is none. Raises DiskFull."""
    kept = alternatives(training, delivered=delivered)
    if not kept:
        return ()
    document = {
        "fingerprint": training.fingerprint,
        "step": training.step,
        "heldout": [(look.step, look.gain.per_work) for look in training.heldout],
        "looks": [{"step": look.step, "gain": look.gain.mean, "error": look.gain.error} for look in kept],
    }
    way = save_text(training.folder / WAY, json.dumps(asdict(training.way)))
    listed = save_text(training.folder / KEPT, json.dumps(document, sort_keys=True))
    return (listed, way, *(training.look_file(look.step) for look in kept))


def reopen(training: Training, step: int) -> None:
    """Put a training where it ended, to judge the adapter after `step` steps; it takes no further step.

    Raises RequestInvalid where what lies in its folder is of another training, or has no such adapter.
    """
    try:
        kept = json.loads((training.folder / KEPT).read_text())
    except (OSError, ValueError) as error:
        raise RequestInvalid("nothing is kept of this training to be judged; train again") from error
    if kept["fingerprint"] != training.fingerprint:
        raise RequestInvalid(
            "the works, their words, the recipe or the base are not those of the training any more; train again"
        )
    if not training.look_file(step).is_file():
        steps = ", ".join(str(look["step"]) for look in kept["looks"])
        raise RequestInvalid(f"no adapter is kept after {step} steps; choose one of {steps}")
    training.step = int(kept["step"])
    training.heldout = [HeldOutLook(step=at, gain=Gain(per_work=tuple(gains))) for at, gains in kept["heldout"]]
    training.is_stopped = True
