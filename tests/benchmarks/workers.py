"""Pictures a second with 1, 2 and 4 workers that sleep in place of a GPU; seal, store and settle are real.

One web process and the embedded database serve all of them, so this says from how many workers on those are what is
waited for. Each number of workers has a place of its own, and clients that always have more ordered than is drawn.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from service.db.prepare import prepare_database
from service.settings import ROOT, Settings, plain_environ, to_environ
from tests.benchmarks.figures import Figure
from tests.benchmarks.sleeping_worker import ROWS, STEP_S, STEPS
from tests.postgres import running_server
from tests.stories.town import Town, open_town

LINEAR_GOAL, ANSWER_GOAL_MS = 0.9, 50.0
# Orders that wait or run for each worker: one is drawn, two stand at the door, one was drawn and its client asks again.
AHEAD = 4
ASKED_EVERY_S = 1.0
"""As the desk's own snippet asks how an order stands."""
WARM_UP = 3
"""Batches for each worker that do not count, nor do the answers to whoever orders before these are paid: all order at
once at first, of a web process that has just started, and beside workers that are still starting."""
PATIENCE_S = 300.0
_AS_USUAL = ("poll_interval_s", "num_database_connections", "num_workflow_connections")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="numbers of workers, one run each")
    parser.add_argument("--batches", type=int, default=40, help="batches of eight pictures for each worker")


@dataclass(kw_only=True)
class Load:
    """What clients were told: when orders had ended, and how long answers to them took. Times in seconds."""

    settled_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)


def measure(*, seed: int, say: Callable[[str], None], workers: Sequence[int], batches: int) -> list[Figure]:
    """For each number of workers, pictures a second and how long an order waits for its answer."""
    found = {count: asyncio.run(_measure(count, batches * count, seed=seed, say=say)) for count in workers}
    ideal, first = ROWS / (STEPS * STEP_S), min(workers)
    figures = []
    for count, (rate, answer_ms) in found.items():
        linear = rate / (found[first][0] * count / first)
        goal = None if count == first else LINEAR_GOAL
        figures += [
            Figure(name=f"{count} workers", value=rate, unit="pictures a second"),
            Figure(name=f"{count} workers, of what they could draw", value=rate / (ideal * count), unit="share"),
            Figure(name=f"{count} workers against {first}, for each", value=linear, unit="share", goal=goal),
            Figure(
                name=f"{count} workers: an order is accepted, 95th percentile",
                value=answer_ms,
                unit="ms",
                goal=ANSWER_GOAL_MS,
                at_most=True,
            ),
        ]
    return figures


async def _measure(count: int, orders: int, *, seed: int, say: Callable[[str], None]) -> tuple[float, float]:
    load = Load()
    with running_server() as server, tempfile.TemporaryDirectory(prefix="ownhand-workers-") as folder:
        url = server.url("workers")
        prepare_database(url)
        async with _place(url, Path(folder), count) as town:
            waiting = iter(range(orders + WARM_UP * count))
            async with asyncio.timeout(PATIENCE_S + orders):
                own = {"counts_after": WARM_UP * count, "seed": seed}
                buyers = (_buy(town, load, waiting, **own) for _ in range(AHEAD * count))
                await asyncio.gather(*buyers)
    told = sorted(load.settled_s)[WARM_UP * count :]
    rate = ROWS * (len(told) - 1) / (told[-1] - told[0])
    say(f"{count} workers: {rate:.2f} pictures a second")
    return rate, 1000 * quantiles(load.answers_s, n=20)[-1]


@asynccontextmanager
async def _place(url: str, folder: Path, count: int) -> AsyncIterator[Town]:
    # Looking into queues and connections as a place has them by itself, not a test's town.
    usual = {name: getattr(Settings, name) for name in _AS_USUAL}
    limits: dict[str, Any] = {"requests_per_minute": 1_000_000, "max_rows": ROWS} | usual
    async with open_town(url, folder, has_worker=False, **limits) as town:
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.sleeping_worker"]
        environ = plain_environ() | to_environ(replace(town.processes.settings, log_level="WARNING"))
        running = [subprocess.Popen(command, cwd=ROOT, env=environ | {"PYTHONPATH": str(ROOT)}) for _ in range(count)]
        try:
            yield town
        finally:
            for process in running:
                process.terminate()
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                process.kill()


async def _buy(town: Town, load: Load, waiting: Any, *, counts_after: int, seed: int) -> None:
    """Order eight pictures, wait until they are paid, and again; answers count when so many orders were paid."""
    for number in waiting:
        body = {"style": town.style_id, "prompt": "a red apple", "seed": seed + ROWS * number, "count": ROWS}
        began = time.monotonic()
        answer = await town.client.http.post(
            "/v1/generations", json=body, headers={"Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=0"}
        )
        assert answer.status_code == 201, answer.text
        if len(load.settled_s) >= counts_after:
            load.answers_s.append(time.monotonic() - began)
        order = answer.json()
        while order["ended_at"] is None:
            await asyncio.sleep(ASKED_EVERY_S)
            order = (await town.client.http.get(f"/v1/generations/{order['id']}")).json()
        assert (order["state"], len(order["outputs"])) == ("settled", ROWS), order
        load.settled_s.append(datetime.fromisoformat(order["ended_at"]).timestamp())
