"""How many GPUs so many pictures a day take, and how long people then wait: by a model, held against a real engine.

The model (`model`) takes what was measured (how long steps take, how long an adapter takes to come) and traffic
(`traffic`), and decides with the product's own rule. `--real` draws real pictures here, with the starter base, and lets
the model say the same times from the same orders.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from inference.pace import Speed
from tests.benchmarks.figures import Figure
from tests.benchmarks.scale.model import Drawn, Machine, run
from tests.benchmarks.scale.plot import Line, draw
from tests.benchmarks.scale.traffic import DAY_S, Traffic, ask

STEP_S = 2.91 / 50
"""One SDXL step at 1024 px about one picture, asked twice, with its share of decoding: stock diffusers on an H800, mean
of 30 pictures of 50 steps (the logs published with Katz, USENIX ATC 2025)."""
QUESTIONS = 2
GPU = Machine(
    # Two pictures at once take twice as long: at 1024 px one fills such a GPU, so a batch saves nothing.
    speed=Speed(rows=2, questions=2 * QUESTIONS, half_s=STEP_S, full_s=2 * STEP_S, admission_s=0.02, finishing_s=0.0),
    questions=QUESTIONS,
    # 32 GiB of host memory for flat files of rank 32, 93 MB each.
    adapters=350,
    # Such a file from a bucket at 100 MB/s, then read as it was measured on a disk (results/engine.json).
    loading_s=1.1,
)
CREATORS, PICTURES_PER_DAY, STEPS = 10_000, 1_000_000, 30
WAIT_S = 10.0
"""What 95 of 100 pictures in the busiest time of the day should take at most, from order to file."""
BUSIEST_S, WARM_UP_S, STRETCH_S = DAY_S / 2, 300.0, 1_200.0
SPARE = (1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
"""Times the GPUs that would just do if orders came evenly."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The busiest stretch of a day with so many GPUs."""

    gpus: int
    drawn: Sequence[Drawn]
    busy: float

    def took(self, share: float) -> float:
        return float(np.quantile([one.took for one in self.drawn], share))

    @property
    def cold(self) -> float:
        return float(np.mean([not one.is_warm for one in self.drawn]))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--creators", type=int, default=CREATORS)
    parser.add_argument("--pictures", type=int, default=PICTURES_PER_DAY, help="of a day")
    parser.add_argument("--plot", type=Path, help="write the curve as SVG here")
    parser.add_argument("--real", action="store_true", help="also hold the model against an engine of this machine")


def measure(
    *, seed: int, say: Callable[[str], None], creators: int, pictures: int, plot: Path | None, real: bool
) -> list[Figure]:
    """What each number of GPUs comes to; the fewest for the goal, also with other traffic."""
    traffic = Traffic(styles=creators, pictures_per_day=pictures, steps=STEPS)
    tried = [_try(traffic, spare, seed=seed, say=say) for spare in SPARE]
    figures = [figure for one in tried for figure in _figures(one)]
    figures.append(_fewest("GPUs", tried))
    for name, other in (
        ("GPUs, every style alike", replace(traffic, skew=0.0)),
        ("GPUs, three times the mean at the busiest", replace(traffic, peak=3.0)),
    ):
        say(f"{name} ...")
        figures.append(_fewest(name, [_try(other, spare, seed=seed, say=say) for spare in SPARE]))
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(_plotted(tried, creators, pictures))
    if real:
        from tests.benchmarks.scale.real import held_against

        figures += held_against(seed=seed, say=say)
    return figures


def _try(traffic: Traffic, spare: float, *, seed: int, say: Callable[[str], None]) -> Tried:
    each_s = traffic.steps * STEP_S + GPU.speed.admission_s
    gpus = ceil(spare * traffic.peak * traffic.pictures_per_day / DAY_S * each_s)
    first = BUSIEST_S - STRETCH_S / 2 - WARM_UP_S
    drawn, busy = run(ask(traffic, first_s=first, last_s=first + WARM_UP_S + STRETCH_S, seed=seed), GPU, replicas=gpus)
    found = Tried(gpus=gpus, drawn=[one for one in drawn if one.asked >= WARM_UP_S], busy=busy)
    say(f"{gpus} GPUs: half within {found.took(0.5):.1f} s, 95 % within {found.took(0.95):.1f} s, {busy:.0%} busy")
    return found


def _figures(tried: Tried) -> list[Figure]:
    name = f"{tried.gpus} GPUs"
    return [
        Figure(name=f"{name}: half of the pictures within", value=tried.took(0.5), unit="s"),
        Figure(name=f"{name}: 95 % within", value=tried.took(0.95), unit="s"),
        Figure(name=f"{name}: 99 % within", value=tried.took(0.99), unit="s"),
        Figure(name=f"{name}: at work", value=tried.busy, unit="share"),
        Figure(name=f"{name}: adapter had to be brought", value=tried.cold, unit="share"),
    ]


def _fewest(name: str, tried: Sequence[Tried]) -> Figure:
    enough = [one.gpus for one in tried if one.took(0.95) <= WAIT_S]
    return Figure(
        name=f"{name} for 95 % within {WAIT_S:g} s", value=min(enough) if enough else float("inf"), unit="GPUs"
    )


def _plotted(tried: Sequence[Tried], creators: int, pictures: int) -> str:
    lines = [
        Line(name=name, points=tuple((one.gpus, one.took(share)) for one in tried))
        for name, share in (("99 %", 0.99), ("95 %", 0.95), ("half", 0.5))
    ]
    return draw(
        lines,
        title=f"{creators:,} creators, {pictures:,} pictures a day, in the busiest twenty minutes",
        across="GPUs",
        up="seconds from order to file",
        top=3 * WAIT_S,
    )
