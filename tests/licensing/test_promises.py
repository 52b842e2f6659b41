"""What is promised of the switch in figures: nothing is settled after off, however often; everything stops in one
commit, soon. The few repeats of every run show that it holds, the many of `make test-long` how fast it is."""

import asyncio
import random
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from licensing.terms import StyleTerms
from tests.benchmarks.figures import Figure, as_document, write
from tests.licensing.world import World, new_id

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "stop_all.json"
SEED = 20261128
BUYERS, STYLES = 6, 50
STOPS_LONG, GOAL_MS = 200, 100.0


@pytest.mark.parametrize("offs", [15, pytest.param(1000, marks=pytest.mark.long)])
async def test_after_an_off_has_returned_nothing_is_settled_under_any_load(world: World, offs: int):
    style, client = await world.style(), await world.client(prepaid=10_000_000)
    dice, sold = random.Random(SEED), 0

    for _ in range(offs):
        holds = [await world.held(style, client) for _ in range(BUYERS)]
        await asyncio.gather(*(world.begin(hold) for hold in holds))
        settling = [asyncio.create_task(world.settle(hold)) for hold in holds]
        await asyncio.sleep(dice.random() * 0.02)
        await world.set_level(style, "off")
        at_off = await _num_settled(world, style)
        await asyncio.gather(*settling)

        assert await _num_settled(world, style) == at_off
        sold = at_off
        await world.set_level(style, "live")

    usage = await world.usage(client)
    assert usage.prepaid_held.amount == 0
    assert usage.prepaid.amount == 10_000_000 - 60 * sold


@pytest.mark.parametrize("stops", [3, pytest.param(STOPS_LONG, marks=pytest.mark.long)])
async def test_all_of_fifty_styles_stop_in_one_commit_and_soon(world: World, stops: int):
    creator, client, took_ms = new_id("acc"), await world.client(prepaid=10_000_000), list[float]()
    styles = [await world.style(creator) for _ in range(STYLES)]

    for _ in range(stops):
        holds = [await world.held(style, client) for style in styles]
        began = time.perf_counter()
        change = await world.set_level(styles[0], "off", style_id=None)
        took_ms.append((time.perf_counter() - began) * 1000)

        assert change.voided == STYLES
        assert await _num_commits(world, [hold.order_id for hold in holds]) == 1
        await world.set_level(styles[0], "live", style_id=None)

    # So much that only a loop over styles, or a wait for somebody, would reach it on a busy machine.
    assert statistics.median(took_ms) < 20 * GOAL_MS
    if stops == STOPS_LONG:
        _write_results(took_ms)


async def _num_settled(world: World, style: StyleTerms) -> int:
    async with world.pool.acquire() as conn:
        return int(
            await conn.fetchval(
                "SELECT count(*) FROM licensing.hold WHERE style_id = $1 AND state = 'settled'", style.style_id
            )
        )


async def _num_commits(world: World, order_ids: list[str]) -> int:
    """How many transactions ended these orders."""
    async with world.pool.acquire() as conn:
        return int(
            await conn.fetchval(
                "SELECT count(DISTINCT xmin::text) FROM licensing.hold"
                " WHERE order_id = ANY ($1) AND state = 'voided' AND reason = 'withdrawn'",
                order_ids,
            )
        )


def _write_results(took_ms: list[float]) -> None:
    ordered = sorted(took_ms)
    figures = [
        Figure(name=f"{STYLES} styles off in one commit: median", value=statistics.median(ordered), unit="ms"),
        Figure(
            name=f"{STYLES} styles off in one commit: 99th percentile",
            value=ordered[int(len(ordered) * 0.99)],
            unit="ms",
            goal=GOAL_MS,
            at_most=True,
        ),
    ]
    write(RESULTS, as_document("stop_all", figures, seed=SEED, now=datetime.now(UTC)))
