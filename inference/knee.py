"""How many questions a step should answer at once on this machine, measured before anybody waits.

Every doubling of a batch makes a step longer; up to a point (the knee) it makes pictures cheaper as well, beyond it
everybody only waits longer, for a picture and for a stop.
"""

import time
from collections.abc import Callable

import torch

from inference.bases import Base
from inference.devices import await_device
from inference.pace import Pace

NEAR_BEST = 0.9
"""The knee is the least number of questions that comes so near to the most questions a second that were seen."""
LONG_STEP_S = 1.0
"""A step of this length is not made longer, nor shown again."""
TIMES = 3
"""A shorter one is timed so often, and the shortest time is taken: the first pays for what is made once."""


def measure_steps(base: Base, pace: Pace, *, most: int) -> int:
    """Questions at the knee, at most `most`; every time that was taken is told to `pace`.

    Where memory ends sooner, so many as fitted in.
    """
    rates: dict[int, float] = {}
    for rows in sorted({*(2**power for power in range(1, 12) if 2**power < most), most}):
        try:
            seconds = _shortest_step(base, rows)
        except torch.OutOfMemoryError:
            break
        pace.measured(rows, seconds)
        rates[rows] = rows / seconds
        if seconds >= LONG_STEP_S:
            break
    return next((rows for rows, rate in rates.items() if rate >= NEAR_BEST * max(rates.values())), 1)


def measure_finishing(base: Base, pace: Pace) -> None:
    """Time a decoding and an enlarging, so that the first estimate is a measurement."""
    latent = next(base.noises(0, width=base.spec.size, height=base.spec.size))
    decoding_s = _shortest(lambda: base.decode(latent[None]), base)
    pace.finished(1, decoding_s, enlarged=False)
    if base.enlarger is not None:
        image = base.decode(latent[None])
        pace.finished(1, decoding_s + _shortest(lambda: base.enlarge(image), base), enlarged=True)


def _shortest_step(base: Base, rows: int) -> float:
    latent = next(base.noises(0, width=base.spec.size, height=base.spec.size))
    texts = base.join_texts(base.encode_prompts([""]) * rows)
    latents_BCHW, timesteps_B = torch.stack([latent] * rows), torch.zeros(rows, device=latent.device)
    with torch.no_grad():
        return _shortest(lambda: base.predict(latents_BCHW, timesteps_B, texts), base)


def _shortest(call: Callable[[], object], base: Base) -> float:
    """Seconds of a few calls' shortest, with all that they ask of a GPU."""
    if base.device.type == "cuda":
        # The first pays for loading what computes it, which may take longer than a long step.
        call()
    seconds: list[float] = []
    while len(seconds) < TIMES and min(seconds, default=0.0) < LONG_STEP_S:
        await_device(base.device)
        began = time.perf_counter()
        call()
        await_device(base.device)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
