"""How long pages and answers take in a full place: every GET page and every GET of the API, asked as whoever has most.

The pages are those that the application has; what a name in a path stands for, and who may ask, is what the matrix of
tenants says. Each is asked one after the other, through the whole application, without a network.
"""

import argparse
import asyncio
import gc
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import psycopg
from psycopg import sql
from sqlalchemy import make_url

from service.db.prepare import prepare_database
from service.postgres import embedded_postgres
from tests.benchmarks.crowd.filling import HOME, Crowd
from tests.benchmarks.crowd.hand import owner
from tests.benchmarks.crowd.size import Size
from tests.benchmarks.figures import Figure
from tests.benchmarks.pages_asked import GOAL_MS, Ask, Asked, ask_for
from tests.benchmarks.seed import add_sizes, fill_once
from tests.service.calls import CALLS
from tests.service.conftest import Person
from tests.service.tally import Tally, resting, tallied
from tests.service.tenants import Tenants, open_tenants
from tests.service.test_tenant_matrix import member, pages, role_of, send, show

QUIET_S = 5.0
"""What a place does at its start, it does before it is measured."""
DEEP = (
    "GET /?query=ink",
    "GET /desk/history?before={order}",
    "GET /v1/styles?query=ink",
    "GET /v1/styles?limit=200",
    "GET /v1/generations?limit=200&cursor={order}",
    "GET /v1/data-use?limit=200",
    "GET /v1/audit?limit=200",
)
"""What is asked for beside pages as they come first: a search, and pages behind them."""
CHOSEN = {"GET /v1/outputs.zip", "GET /desk/history/pictures.zip", "GET /sign-up/confirm", "GET /team/join"}
"""What says nothing without words of a query, and then sends as much as was chosen, or what only a letter leads to."""
WHOLE = {"GET /v1/export"}
"""What sends all that somebody has, bit by bit: said, and no goal of a page's."""
WHOLE_REQUESTS = 3


@dataclass(frozen=True, kw_only=True)
class Place:
    """A full place that is open. `owned` is what names in paths stand for."""

    tenants: Tenants
    tally: Tally
    owned: dict[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, help="a folder that `seed` filled; filled where it is not yet")
    parser.add_argument("--requests", type=int, default=30, help="of each page (default: 30)")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    add_sizes(parser)


def measure(
    *,
    seed: int,
    say: Callable[[str], None],
    home: Path | None,
    requests: int,
    only: str,
    styles: int,
    works: int,
    generations: int,
) -> list[Figure]:
    """The slowest page, and each page with its times, statements and rows."""
    size = Size(styles=styles, works=works, generations=generations)
    with tempfile.TemporaryDirectory() as made, tallied() as tally:
        folder = home or Path(made)
        with embedded_postgres(folder / HOME) as url:
            crowd = fill_once(url, folder, size, seed=seed, say=say)
            with copied(url) as own:
                # It may have been filled by an earlier version.
                prepare_database(own)
                asked = asyncio.run(_ask_all(own, folder, crowd, tally, requests=requests, only=only, say=say))
    return _figures(asked)


@contextmanager
def copied(url: str) -> Iterator[str]:
    """A copy of a database to the end of the block: what is made in it is gone with it, so that a filled place can be
    measured again. Nobody else may be connected."""
    whole = make_url(url)
    name = f"{whole.database}_measured"
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(str(whole.database)))
    beside = whole.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(beside, autocommit=True) as conn:
        conn.execute(drop)
        conn.execute(make)
        try:
            yield whole.set(database=name).render_as_string(hide_password=False)
        finally:
            conn.execute(drop)


async def _ask_all(
    url: str, folder: Path, crowd: Crowd, tally: Tally, *, requests: int, only: str, say: Callable[[str], None]
) -> list[Asked]:
    conn = await owner(url)
    try:
        async with opened(url, folder, crowd, tally) as place:
            gc.collect()
            gc.freeze()
            found = []
            for name, ask in await asks(place):
                if only in name:
                    times = WHOLE_REQUESTS if name in WHOLE else requests
                    one = await ask_for(name, ask, tally=tally, conn=conn, requests=times)
                    say(_line(one))
                    found.append(one)
            return found
    finally:
        await conn.close()


@asynccontextmanager
async def opened(url: str, folder: Path, crowd: Crowd, tally: Tally) -> AsyncIterator[Place]:
    """The application over a full place, with one of everything made anew for whoever has most of it."""
    emails = {"creator": crowd.creator_email, "client": crowd.client_email, "operator": crowd.operator_email}
    with resting() as rest:
        async with open_tenants(url, folder, emails=emails) as tenants:
            await asyncio.sleep(QUIET_S)
            await rest()
            # A sample's name as the heaviest style's trainings have it.
            owned = tenants.owned | vars(crowd) | {"row": "0", "column": "with", "name": "00100.png"}
            yield Place(tenants=tenants, tally=tally, owned=owned)


async def asks(place: Place) -> list[tuple[str, Ask]]:
    """Every GET, by its name and who asks: of the API by a token, of pages by a browser; none for what nobody has."""
    tenants, found = place.tenants, list[tuple[str, Ask]]()
    deep = [line.format(order=place.owned["order_of_before"]) for line in DEEP]
    browsers = {role: (await member(tenants, person))[0] for role, person in tenants.owners.items()}
    for line in [*(line for line in CALLS if line.startswith("GET ")), *(one for one in deep if "/v1/" in one)]:
        call = CALLS[line.partition("?")[0]]
        for role in call.roles or ("client",):
            ask = partial(_send, tenants.owners[role], line, place.owned)
            found.append((f"{line} as {role}" if len(call.roles) > 1 else line, ask))
    of_browsers = [line for line in pages(tenants) if line.startswith("GET ")]
    for line in [*of_browsers, *(one for one in deep if "/v1/" not in one)]:
        role = role_of(line)
        if role is not None:
            found.append((line, partial(show, browsers[role], line, place.owned, {})))
        else:
            found.append((line, partial(show, tenants.market.stranger, line, place.owned, {})))
    has = place.owned.keys()
    return [(line, ask) for line, ask in found if set(re.findall(r"{(\w+)}", line)) <= has and line not in CHOSEN]


async def _send(person: Person, line: str, owned: dict[str, str]) -> httpx.Response:
    call = replace(CALLS[line.partition("?")[0]], json=None)
    return await send(person.http, line, call, owned)


def _line(one: Asked) -> str:
    most = ", ".join(f"{name} {num}" for name, num in sorted(one.rows.items(), key=lambda row: -row[1])[:3])
    return (
        f"{one.status} {one.slow_ms:7.1f} ms, {one.python_ms:6.1f} + {one.postgres_ms:6.1f} ms,"
        f" {one.statements:4} statements, {one.rows_read:7} rows, {one.kilobytes:6.0f} kB  {one.name}  ({most})"
    )


def _figures(asked: Sequence[Asked]) -> list[Figure]:
    slow = [one for one in asked if one.slow_ms > GOAL_MS and one.name not in WHOLE]
    missed = [one for one in asked if not one.is_reached]
    figures = [
        Figure(name="pages and answers", value=sum(one.name not in WHOLE for one in asked), unit="asked"),
        Figure(name=f"slower than {GOAL_MS} ms", value=len(slow), unit="asked", goal=0, at_most=True),
        Figure(name="not reached", value=len(missed), unit="asked", goal=0, at_most=True),
    ]
    for one in asked:
        goal = None if one.name in WHOLE else GOAL_MS
        figures += [
            Figure(name=f"{one.name}: 95th percentile", value=one.slow_ms, unit="ms", goal=goal, at_most=True),
            Figure(name=f"{one.name}: middle", value=one.middle_ms, unit="ms"),
            Figure(name=f"{one.name}: processor", value=one.processor_ms, unit="ms"),
            Figure(name=f"{one.name}: statements", value=one.statements, unit="statements"),
            Figure(name=f"{one.name}: rows read", value=one.rows_read, unit="rows"),
        ]
    return figures
