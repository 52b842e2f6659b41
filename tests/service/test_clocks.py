"""A machine whose clock is wrong: the place goes by the database's time, and it is said."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from inference.pace import Speed
from service.clock import MachineClock, utc_now
from service.clocks import put_right, sentence
from service.doctor import examine
from service.gauges import read_gauges
from service.heartbeats import beating
from service.resources import open_gateway, open_worker_resources
from tests.service.conftest import Place

TEN_MINUTES = timedelta(minutes=10)


def wrong_by(ahead: timedelta) -> Callable[[], datetime]:
    return lambda: utc_now() + ahead


def is_now(when: datetime) -> bool:
    return abs(when - utc_now()) < timedelta(seconds=5)


@pytest.mark.parametrize(("ahead", "way"), [(TEN_MINUTES, "ahead of"), (-TEN_MINUTES, "behind")])
async def test_a_clock_that_is_wrong_goes_by_the_databases(
    place: Place, caplog: pytest.LogCaptureFixture, ahead: timedelta, way: str
):
    clock = MachineClock(machine=wrong_by(ahead))
    assert not is_now(clock())
    async with place.gateway.house() as conn:
        with caplog.at_level(logging.WARNING, "ownhand.clocks"):
            difference = await put_right(conn, clock)
            await put_right(conn, clock)
        assert is_now(clock())
        assert difference == pytest.approx(ahead.total_seconds(), abs=1)
        [said] = caplog.records
        assert f"600.0 s {way} the database's" in said.getMessage()

        clock.machine = utc_now
        await put_right(conn, clock)
    assert clock.ahead_s == 0.0, "the machine was set, so nothing is put right any more"


async def test_clocks_that_differ_by_less_than_a_second_are_left_alone(place: Place):
    clock = MachineClock(machine=wrong_by(timedelta(seconds=0.5)))
    async with place.gateway.house() as conn:
        difference = await put_right(conn, clock)
    assert clock.ahead_s == 0.0
    assert difference == pytest.approx(0.5, abs=0.4)


async def test_a_question_that_took_long_says_nothing_of_the_clock(place: Place):
    # Half a minute is lost while the database is asked, as where it or this process was stopped.
    told = iter([timedelta(0), timedelta(seconds=30)])
    clock = MachineClock(machine=lambda: utc_now() + next(told))
    async with place.gateway.house() as conn:
        difference = await put_right(conn, clock)
    assert (difference, clock.ahead_s) == (0.0, 0.0)


async def test_every_process_is_right_before_it_writes_anything(place: Place):
    for opening in (open_gateway, open_worker_resources):
        async with opening(
            place.settings, place.database_url, clock=MachineClock(machine=wrong_by(-TEN_MINUTES))
        ) as opened:
            assert is_now(opened.clock())


async def test_who_looks_after_the_place_is_told_whose_clock_is_wrong(place: Place):
    clock = MachineClock(machine=wrong_by(-TEN_MINUTES))
    async with open_worker_resources(place.settings, place.database_url, clock=clock) as opened:
        no_speeds = dict[str, Speed]
        async with beating(opened, executor="worker-slow", role="worker", speeds=no_speeds):
            gauges = {gauge.name: dict(gauge.values) for gauge in await read_gauges(place.gateway)}
            settings = replace(place.settings, database_url=place.database_url)
            [found] = [one for one in await examine(settings) if one.subject == "clocks"]
    async with place.gateway.house() as conn:
        seen_at, machine = await conn.fetchrow(
            "DELETE FROM service.executors WHERE id = 'worker-slow' RETURNING seen_at, machine"
        )

    assert is_now(seen_at), "nobody takes it for dead"
    assert json.loads(machine)["ahead_s"] == pytest.approx(-600, abs=1)
    assert gauges["ownhand_clock_difference_seconds"]["worker-slow"] == pytest.approx(600, abs=1)
    assert not found.is_well
    assert found.sentence.startswith(sentence(0.0) + "; worker-slow on ")
    assert "-600.0 s off" in found.sentence
