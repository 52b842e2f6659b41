"""How many replicas a worker wants."""

import asyncio
import itertools
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from licensing.database import Connection
from service.fleet import scaling as scaling_room
from service.fleet.scaling import Scaler, row_steps_left, scaling
from service.resources import open_worker_resources
from service.turns import InLine, Line
from tests.stories.town import open_town


def order(state: str, *, work: int, step: int = 0, steps: int | None = None, turn: int | None = 1) -> InLine:
    return InLine(
        id="gen_1",
        client_id="client",
        creator_id="creator",
        base="tiny",
        state=state,
        turn=turn,
        work=work,
        count=1,
        step=step,
        steps=steps,
    )


def test_as_many_are_wanted_as_draw_what_waits_in_time():
    scaler = Scaler(least=1, most=10, within_s=60.0)
    # One draws 600 row-steps in that time.
    assert scaler.wanted(600.0, 10.0, now_s=0.0) == 1
    assert scaler.wanted(601.0, 10.0, now_s=1.0) == 2
    assert scaler.wanted(3_000.0, 10.0, now_s=2.0) == 5


def test_there_are_never_fewer_or_more_than_was_set():
    scaler = Scaler(least=2, most=4, within_s=60.0)
    assert scaler.wanted(0.0, 10.0, now_s=0.0) == 2
    assert scaler.wanted(1e9, 10.0, now_s=1.0) == 4


def test_those_that_were_needed_stay_for_a_while():
    scaler = Scaler(least=1, most=10, within_s=60.0, rest_s=100.0)
    assert scaler.wanted(3_000.0, 10.0, now_s=0.0) == 5
    assert scaler.wanted(0.0, 10.0, now_s=50.0) == 5
    assert scaler.wanted(1_200.0, 10.0, now_s=99.0) == 5
    assert scaler.wanted(0.0, 10.0, now_s=101.0) == 2
    assert scaler.wanted(0.0, 10.0, now_s=200.0) == 1


def test_nobody_guesses_before_a_speed_was_measured():
    assert Scaler(least=1, most=10, within_s=60.0).wanted(1e6, 0.0, now_s=0.0) == 1


def test_what_waits_counts_whole_and_what_is_drawn_by_what_is_left():
    line = [
        order("queued", work=100),
        order("queued", work=1_000, turn=None),
        order("running", work=100, step=15, steps=20),
        order("running", work=40),
        order("settled", work=500),
    ]
    assert row_steps_left(line) == pytest.approx(100 + 25 + 40)


class ReplicasAsked:
    """A fleet that draws twenty row-steps a second on each replica, and notes how many are asked of it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def row_steps_per_s(self) -> float:
        return 20.0

    def resize(self, size: int) -> None:
        self.sizes.append(size)


async def until_asked(fleet: ReplicasAsked, sizes: list[int]) -> None:
    async with asyncio.timeout(20):
        while fleet.sizes != sizes:
            await asyncio.sleep(0.02)


async def test_a_fleet_grows_with_the_line_and_shrinks_when_it_has_rested(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scaling_room, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(scaling_room, "Scaler", partial(Scaler, rest_s=0.5))
    looks, read_line = itertools.count(), scaling_room.read_line

    async def sometimes(conn: Connection) -> Line:
        if next(looks) % 5 == 3:
            raise ConnectionResetError("the database restarts")
        return await read_line(conn)

    monkeypatch.setattr(scaling_room, "read_line", sometimes)
    fleet: Any = ReplicasAsked()
    async with open_town(database_url, tmp_path, has_worker=False) as town:
        settings = replace(town.web.settings, ray_replicas=1, ray_replicas_max=3, ray_within_s=1.0)
        async with open_worker_resources(settings, database_url) as worker, scaling(worker, fleet):
            await asyncio.sleep(0.5)
            assert fleet.sizes == [], "nothing waits, and one replica is there"

            orders = [await town.ask(uuid.uuid4().hex, wait=0, count=4) for _ in range(2)]
            async with worker.pool.acquire() as conn:
                waiting = row_steps_left((await read_line(conn)).orders)
            await until_asked(fleet, [3])
            for order in orders:
                assert order is not None
                await town.client.http.post(f"/v1/generations/{order['id']}/cancel")
            await until_asked(fleet, [3, 1])

    assert waiting > 2 * fleet.row_steps_per_s() * settings.ray_within_s, "more than two replicas draw in that time"
    assert next(looks) > 8
