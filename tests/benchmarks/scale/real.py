"""A real engine here, and the model of it: the same orders, and what both say about how long they take."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from inference.bases import open_base
from inference.catalog import base_spec
from inference.engine import Engine
from inference.messages import AdapterRef, ImageRequest, Picture, Result, plan
from inference.pace import Speed, mean_speed
from tests.benchmarks.engine import random_adapters, written
from tests.benchmarks.figures import Figure
from tests.benchmarks.scale.model import Drawn, Machine, run
from tests.benchmarks.scale.traffic import DAY_S, Asked, Traffic, ask

BASE, STYLES, STEPS, RANK = "openicons", 12, 12, 8
STRETCH_S = 120.0
LOADS = (0.5, 0.8)
"""Of what the engine can draw: a quiet time, and one in which pictures wait for each other."""
APART = 0.25
"""The model's times may be off by this share, as the estimates that clients are told may."""


def held_against(*, seed: int, say: Callable[[str], None]) -> list[Figure]:
    """The middle and the 95th percentile of both, at each load."""
    spec = base_spec(BASE)
    with TemporaryDirectory() as folder, Engine(spec) as engine:
        refs = written(Path(folder), random_adapters(open_base(spec), [RANK] * STYLES, seed=seed))
        # Once through, so that nothing is met for the first time while it is timed.
        _draw(engine, [Asked(at=0.0, style=number, steps=STEPS) for number in range(STYLES)], refs)
        figures = []
        for load in LOADS:
            questions = _questions(engine, refs[0])
            asked = _orders(engine.speed(), questions, load, seed=seed)
            say(f"{len(asked)} real pictures at {load:.0%} of what this engine can ...")
            took, speed = _draw(engine, asked, refs)
            machine = Machine(speed=speed, questions=questions, adapters=STYLES, loading_s=0.0)
            drawn, _ = run(asked, machine, replicas=1)
            figures += _side_by_side(load, took, drawn)
    return figures


def _orders(speed: Speed, questions: float, load: float, *, seed: int) -> list[Asked]:
    at_once = min(speed.rows, speed.questions // questions)
    each_s = (STEPS * speed.step_seconds(at_once * questions)) / at_once + speed.admission_s + speed.finishing_s
    per_day = load / each_s * DAY_S
    traffic = Traffic(styles=STYLES, pictures_per_day=per_day, steps=STEPS, peak=1.0, pictures_per_order=1)
    return list(ask(traffic, first_s=0.0, last_s=STRETCH_S, seed=seed))


def _questions(engine: Engine, ref: AdapterRef) -> float:
    """Of a step about one picture in a style."""
    request = ImageRequest(id="", base=engine.spec.id, prompt="an apple", seed=0, steps=STEPS, adapters=(ref,))
    return plan(request, engine.spec).num_asks


def _draw(engine: Engine, asked: Sequence[Asked], refs: Sequence[AdapterRef]) -> tuple[list[float], Speed]:
    """Ask for each picture at its moment; seconds that each took, and how fast the engine was meanwhile."""
    begun = time.perf_counter()
    speeds: list[Speed] = []
    ends: dict[int, float] = {}
    futures: list[Future[Result]] = []
    for number, one in enumerate(asked):
        time.sleep(max(0.0, begun + one.at - time.perf_counter()))
        request = ImageRequest(
            id=f"{number}",
            base=engine.spec.id,
            prompt="an apple",
            seed=number,
            steps=one.steps,
            adapters=(refs[one.style],),
        )
        future = engine.submit(request, stop=lambda: None)
        future.add_done_callback(lambda _, n=number: ends.__setitem__(n, time.perf_counter()))
        futures.append(future)
        speeds.append(engine.speed())
    for future in futures:
        assert isinstance(future.result(), Picture)
    return [ends[number] - begun - one.at for number, one in enumerate(asked)], mean_speed(speeds)


def _side_by_side(load: float, took: Sequence[float], drawn: Sequence[Drawn]) -> list[Figure]:
    figures = []
    for words, share in (("half within", 0.5), ("95 % within", 0.95)):
        real = float(np.quantile(took, share))
        model = float(np.quantile([one.took for one in drawn], share))
        figures += [
            Figure(name=f"engine at {load:.0%}: {words}", value=real, unit="s"),
            Figure(name=f"engine at {load:.0%}: {words}, by the model", value=model, unit="s"),
            Figure(
                name=f"engine at {load:.0%}: {words}, model off by",
                value=abs(model - real) / real,
                unit="share",
                goal=APART,
                at_most=True,
            ),
        ]
    return figures
