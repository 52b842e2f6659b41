"""A full place to look at by hand, and to measure pages in: a year of people, works, sales and money in one folder."""

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from service.postgres import embedded_postgres
from tests.benchmarks.crowd.filling import CONFIGS, HOME, Crowd, fill, read_crowd
from tests.benchmarks.crowd.size import Size
from tests.benchmarks.figures import Figure

COUNTED = {
    "styles": "service.styles",
    "works": "service.works",
    "generations": "service.generations",
    "pictures": "licensing.output",
    "entries": "licensing.entry",
    "events": "service.events",
    "lines of the ledger of use": "service.data_use",
    "papers": "licensing.invoice",
    "disputes": "licensing.dispute",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, required=True, help="an empty folder, or one that is not there yet")
    add_sizes(parser)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """How much there shall be; without them as much as the goals name."""
    whole = Size()
    parser.add_argument("--styles", type=int, default=whole.styles)
    parser.add_argument("--works", type=int, default=whole.works)
    parser.add_argument("--generations", type=int, default=whole.generations)


def measure(
    *, seed: int, say: Callable[[str], None], home: Path, styles: int, works: int, generations: int
) -> list[Figure]:
    """Fill the folder and say how it is served; how many rows there are, and how long it took."""
    begun = time.monotonic()
    size = Size(styles=styles, works=works, generations=generations)
    with embedded_postgres(home / HOME) as url:
        crowd = fill_once(url, home, size, seed=seed, say=say)
        figures = [Figure(name=name, value=_count(url, table), unit="rows") for name, table in COUNTED.items()]
    say(f"serve it:  OWNHAND_CONFIGS={home / CONFIGS} OWNHAND_DEFAULT_BASE=tiny ownhand serve --home {home / HOME}")
    for role, email in (
        ("creator", crowd.creator_email),
        ("client", crowd.client_email),
        ("operator", crowd.operator_email),
    ):
        say(f"sign in:   ownhand invite --home {home / HOME} --role {role} --email {email}")
    return [*figures, Figure(name="filled in", value=time.monotonic() - begun, unit="s")]


def fill_once(url: str, folder: Path, size: Size, *, seed: int, say: Callable[[str], None]) -> Crowd:
    """What is in the folder, which is filled where it is not yet."""
    return read_crowd(folder) or asyncio.run(fill(url, folder, size, seed=seed, say=say))


def _count(url: str, table: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type] # names of our own
    assert row is not None
    return int(row[0])
