"""An idle process is woken by a notice, and finds what nobody told it of."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack

from dbos._dbos import _get_dbos_instance

from service import workflows
from service.generation import tell_generation
from service.queues import Doorbell
from service.resources import Resources
from tests.service.market import Market


def test_a_ring_ends_the_sleep_and_the_next_ones_are_short():
    bell = Doorbell(attentive_poll_s=0.01)
    threading.Timer(0.05, bell.ring).start()
    began = time.monotonic()

    is_over = bell.wait(60)
    again = bell.wait(60)

    assert (is_over, again) == (False, False)
    assert time.monotonic() - began < 30


def test_a_ring_while_nobody_sleeps_is_not_lost():
    bell = Doorbell(attentive_poll_s=60)
    bell.ring()

    assert bell.wait(60) is False


def test_who_was_taken_has_time_to_come_before_the_next_is_looked_for():
    bell = Doorbell(attentive_poll_s=60, before_look=lambda: True)
    bell.ring()
    assert bell.wait(60) is False

    bell.ring()
    began = time.monotonic()
    bell.wait(60)
    waited_s = time.monotonic() - began
    threading.Timer(0.01, bell.ring_for_room).start()
    bell.wait(60)

    assert waited_s >= 0.09


def test_the_end_is_heard_by_who_sleeps_and_by_who_comes_later():
    bell = Doorbell(attentive_poll_s=60)
    threading.Timer(0.05, bell.set).start()

    assert bell.wait(60) is True
    assert bell.wait(60) is True
    assert bell.is_set()


async def test_work_that_nobody_was_told_of_is_found(market: Market, monkeypatch):
    client = await market.client()
    silent: list[str] = []

    async def say_nothing(opened: Resources, name: str) -> None:
        silent.append(name)

    monkeypatch.setattr(workflows, "ring", say_nothing)
    monkeypatch.setattr(workflows, "CHANNEL", "nobody_listens")
    await asyncio.sleep(1.5)

    made = (await market.order(client)).json()

    assert made["state"] == "settled"
    assert silent == ["render", f"{made['id']}.1.render"], "a queue, and the end that is waited for"


async def test_a_story_is_started_on_the_connection_that_its_caller_holds(market: Market):
    pool, id_ = market.gateway.pool, market.gateway.new_id("gen")
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.acquire()) for _ in range(pool.get_max_size())]
        async with asyncio.timeout(5):
            await workflows.start("nowhere", id_, tell_generation, id_, conn=held[0])
        async with held[1].transaction():
            await workflows.start("nowhere", f"{id_}.2", tell_generation, id_, conn=held[1])
            before = await held[0].fetchval(
                "SELECT count(*) FROM dbos.workflow_status WHERE starts_with(workflow_uuid, $1)", id_
            )

    assert before == 1, "what is not committed is not there"
    assert set(await workflows.states_of([id_, f"{id_}.2"])) == {id_, f"{id_}.2"}


async def test_stories_run_on_the_loop_of_their_connections_even_while_it_rests(market: Market):
    loop = asyncio.get_running_loop()
    engine = _get_dbos_instance()._background_event_loop
    resting = asyncio.new_event_loop()
    try:
        # As between two tests, when nobody runs the loop and a queue's thread has found a story.
        engine._main_loop, kept = resting, engine._main_loop
        assert not resting.is_running()
        found = engine.target_loop()
        engine._main_loop = kept
    finally:
        resting.close()

    assert found is loop
