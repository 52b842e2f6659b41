"""The shipped base draws a line of orders: how long another's single one waits, and if it takes what is told."""

import asyncio
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inference.catalog import BaseSpec
from inference.engine import Engine
from service.heartbeats import read_fleet
from tests.benchmarks.figures import Figure, as_document, write
from tests.service.market import Market, Person, open_market

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "line.json"
MANY, SINGLES, PLACES, SEED = 16, 4, 4, 7


@dataclass(frozen=True, kw_only=True)
class Done:
    """One order of one picture, in seconds from when it was accepted."""

    told: float
    began: float
    ended: float
    num_passed: int
    """Orders of others that were begun while it waited."""

    @property
    def part(self) -> float:
        """What was told, of what it took."""
        return self.told / self.ended


async def order(market: Market, client: Person) -> dict[str, Any]:
    answer = await market.order(client, wait=0)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def done(market: Market, client: Person, accepted: dict[str, Any]) -> Done:
    """What became of an order, when it has ended."""
    while (await client.http.get(f"/v1/generations/{accepted['id']}")).json()["state"] != "settled":
        await asyncio.sleep(0.3)
    async with market.gateway.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT extract(epoch FROM started_at - created_at)::float8 AS began,"
            " extract(epoch FROM ended_at - created_at)::float8 AS ended,"
            " (SELECT count(*) FROM service.generations other WHERE other.client_id <> own.client_id"
            "  AND other.started_at BETWEEN own.created_at AND own.started_at) AS num_passed"
            " FROM service.generations own WHERE id = $1",
            accepted["id"],
        )
    return Done(told=accepted["eta_s"], **row)


@pytest.mark.long
async def test_a_single_order_waits_for_a_batch_at_most_and_a_line_takes_what_is_told(
    database_url: str, tmp_path: Path
):
    def draws(spec: BaseSpec) -> Engine:
        return Engine(spec, max_rows=PLACES)

    async with open_market(database_url, tmp_path, base="openicons", draws=draws) as market:
        assert market.settings.max_rows == PLACES
        anna, ben = await market.client(cents=1_000_000), await market.client(cents=1_000_000)
        await done(market, anna, await order(market, anna))
        async with market.gateway.pool.acquire() as conn:
            while not (await read_fleet(conn, now=market.gateway.clock(), silence_s=15)).speeds:
                await asyncio.sleep(0.1)
        alone = await done(market, anna, await order(market, anna))

        accepted = [await order(market, anna) for _ in range(MANY)]
        line = [await done(market, anna, one) for one in accepted]
        behind = [await order(market, anna) for _ in range(MANY)]
        singles = []
        for _ in range(SINGLES):
            singles.append(await done(market, ben, await order(market, ben)))
        for one in behind:
            await done(market, anna, one)

    waits = [one.began / statistics.median(other.ended - other.began for other in line) for one in singles]
    figures = [
        Figure(name="orders of one client in the line", value=MANY, unit="orders"),
        Figure(
            name="of them begun before another's single order, most",
            value=max(one.num_passed for one in singles),
            unit="orders",
            goal=PLACES,
            at_most=True,
        ),
        Figure(name="single order begins after, most", value=max(waits), unit="batches", goal=1.0, at_most=True),
        Figure(name="told at a place that rests", value=alone.part, unit="of taken"),
        Figure(name="told to the first of a crowd, middle", value=_middle(line[:PLACES]), unit="of taken"),
        Figure(name="told to those behind them, least", value=min(_parts(line[PLACES:])), unit="of taken"),
        Figure(name="told to those behind them, middle", value=_middle(line[PLACES:]), unit="of taken"),
        Figure(name="told to those behind them, most", value=max(_parts(line[PLACES:])), unit="of taken"),
        Figure(name="told to another's single order, middle", value=_middle(singles), unit="of taken"),
        Figure(name="a picture in a full engine", value=statistics.median(o.ended - o.began for o in line), unit="s"),
    ]
    write(RESULTS, as_document("line", figures, seed=SEED, now=datetime.now(UTC)))
    assert max(one.num_passed for one in singles) <= PLACES


def _parts(orders: list[Done]) -> list[float]:
    return [one.part for one in orders]


def _middle(orders: list[Done]) -> float:
    return statistics.median(_parts(orders))
