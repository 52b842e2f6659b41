"""How many metered requests the gateway takes, and what it adds to each.

One metered request is one call of `POST /v1/generations` by the real handler: the key, the body's hash, hold and sale
as two durable commits, all rows. Only engine, seal and workflow are replaced; `whole` has the workflow and the seal as
well. Load, gateway and Postgres (embedded, with fsync) share the machine.

A database that was made a moment ago plans as if it were empty until it has counted its rows, which it does by itself
once a minute. So it is let to count them after the first requests.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from service.db.prepare import prepare_database
from tests.benchmarks.aged import age
from tests.benchmarks.figures import ROOT, Figure
from tests.postgres import running_server

CLIENTS = 200
CONNECTIONS = 256
CALM_PER_S = 200
WHOLE_CONNECTIONS = 16


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the load generator saw. Times in milliseconds, from when a request was due."""

    paid: int
    refused: int
    per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Served:
    """A gateway that serves: `style` is sold there, `tokens` are its clients'."""

    port: int
    style: str
    tokens: list[str]
    database_url: str


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: 10)")
    parser.add_argument(
        "--history", type=int, default=0, help="orders of the past to measure again with (default: none)"
    )


def measure(*, seed: int, say: Callable[[str], None], seconds: float, history: int) -> list[Figure]:
    """All clients and one alone, twice in turn; then calm; then, where asked, all clients after many orders more; then
    with all that belongs to a picture."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), "metered") as place:
        say("many accounts, one account ...")
        run(place, place.tokens, seconds=seconds)
        with psycopg.connect(place.database_url, autocommit=True) as conn:
            conn.execute("ANALYZE")
        rounds = [
            (run(place, place.tokens, seconds=seconds), run(place, place.tokens[:1], seconds=seconds)) for _ in range(2)
        ]
        say(f"{CALM_PER_S} a second ...")
        calm = run(place, place.tokens, seconds=2 * seconds, per_s=CALM_PER_S)
        paid = sum(load.paid for pair in rounds for load in pair) + calm.paid
        refused = sum(load.refused for pair in rounds for load in pair) + calm.refused
        booked = _booked(place)
        aged = _after_history(place, history, seconds=seconds, say=say) if history else []
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), "whole") as place:
        say("with workflow and seal ...")
        run(place, place.tokens, seconds=2, connections=WHOLE_CONNECTIONS, prefer="wait=30")
        whole = run(place, place.tokens, seconds=seconds, connections=WHOLE_CONNECTIONS, prefer="wait=30")
    many, hot = (sum(load.per_s for load in loads) / len(loads) for loads in zip(*rounds, strict=True))
    return [
        Figure(name="metered requests, many accounts", value=many, unit="a second", goal=1500),
        Figure(name="one hot account", value=hot, unit="a second"),
        Figure(name="one hot account against many", value=hot / many, unit="share", goal=0.6),
        Figure(name=f"{CALM_PER_S} a second: taken", value=calm.per_s, unit="a second", goal=0.99 * CALM_PER_S),
        Figure(name=f"{CALM_PER_S} a second: middle", value=calm.p50_ms, unit="ms", goal=3, at_most=True),
        Figure(name=f"{CALM_PER_S} a second: 99th percentile", value=calm.p99_ms, unit="ms", goal=12, at_most=True),
        Figure(name="refused or broken", value=refused, unit="requests", goal=0, at_most=True),
        Figure(name="acknowledged and not booked", value=max(paid - booked, 0), unit="sales", goal=0, at_most=True),
        *aged,
        Figure(name="with workflow and seal", value=whole.per_s, unit="a second"),
    ]


def _after_history(place: Served, orders: int, *, seconds: float, say: Callable[[str], None]) -> list[Figure]:
    """The rate just before and just after the place has got a past."""
    say(f"{orders:,} orders of the past ...")
    before = run(place, place.tokens, seconds=seconds)
    age(place.database_url, orders)
    # What is read first comes from the disk.
    run(place, place.tokens, seconds=seconds)
    after = run(place, place.tokens, seconds=seconds)
    return [
        Figure(name=f"before {orders:,} orders of the past", value=before.per_s, unit="a second"),
        Figure(name=f"after {orders:,} orders of the past", value=after.per_s, unit="a second"),
    ]


def run(
    place: Served,
    tokens: list[str],
    *,
    seconds: float,
    per_s: float = 0,
    connections: int = CONNECTIONS,
    prefer: str = "",
) -> Load:
    """Load from a process of its own: `per_s` at fixed times, 0: as many as the connections carry."""
    wish = {
        "port": place.port,
        "style": place.style,
        "tokens": tokens,
        "seconds": seconds,
        "per_s": per_s,
        "connections": connections,
        "prefer": prefer,
    }
    command = [sys.executable, "-m", "tests.benchmarks.gateway_load"]
    told = subprocess.run(command, input=json.dumps(wish), cwd=ROOT, check=True, capture_output=True, text=True)
    return Load(**json.loads(told.stdout))


@contextmanager
def served(folder: Path, kind: str) -> Iterator[Served]:
    """A gateway with a database of its own, until the end of the block."""
    with running_server() as server:
        url = server.url("gateway")
        prepare_database(url)
        command = [sys.executable, "-m", "tests.benchmarks.gateway_served", kind, url, str(folder), str(CLIENTS)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, "the gateway did not start"
                yield Served(**json.loads(line), database_url=url)
            finally:
                process.terminate()


def _booked(place: Served) -> int:
    with psycopg.connect(place.database_url) as conn:
        row: Any = conn.execute(
            "SELECT count(DISTINCT g.subject) FROM licensing.entry_group g JOIN service.outputs o"
            " ON o.generation_id = g.subject WHERE g.kind = 'sale'"
        ).fetchone()
    return int(row[0])
