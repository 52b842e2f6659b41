"""The switch: each level's row of the table, at each scope, and what it does to orders, licences and money."""

import asyncio
from typing import Any

import pytest

from licensing import gateway, switch
from licensing.orders import Hold, Settled
from licensing.reach import Reach, reach_of
from licensing.switch import SwitchChange
from tests.licensing.world import World, eur, new_id, refused

REFUSES_NEW = {"closed": "style_closed", "paused": "style_paused", "wind_down": "style_closed", "off": "style_off"}
REFUSES_KNOWN = {"paused": "style_paused", "off": "style_off"}


async def known_client(world: World, style: Any, *, prepaid: int = 10_000) -> str:
    client = await world.client(prepaid=prepaid)
    await world.sold(style, client)
    return client


@pytest.mark.parametrize("scope", ["style", "creator", "client"])
@pytest.mark.parametrize("level", ["live", "closed", "paused", "wind_down", "off"])
async def test_each_level_serves_exactly_whom_it_should(world: World, level: str, scope: str):
    style = await world.style()
    known, new = await known_client(world, style), await world.client(prepaid=10_000)
    for client in (known, new) if scope == "client" else (None,):
        where = {"creator": {"style_id": None}, "style": {}, "client": {"client_id": client}}[scope]
        assert isinstance(await world.set_level(style, level, **where), SwitchChange)

    for client, refusals in ((known, REFUSES_KNOWN), (new, REFUSES_NEW)):
        answer = await world.reserve(style, client)
        if level in refusals:
            refused(answer, refusals[level])
        else:
            assert isinstance(answer, Hold)


@pytest.mark.parametrize("level", ["live", "closed", "paused", "wind_down"])
async def test_what_is_running_finishes_and_is_delivered(world: World, level: str):
    style = await world.style()
    client = await known_client(world, style)
    hold = await world.held(style, client)
    await world.begin(hold)

    change = await world.set_level(style, level)

    assert (change.stopped, change.voided) == (0, 0)
    assert isinstance(await world.settle(hold), Settled)


@pytest.mark.parametrize("level", ["live", "closed", "wind_down"])
async def test_what_is_queued_begins(world: World, level: str):
    style = await world.style()
    client = await known_client(world, style)
    hold = await world.held(style, client)

    await world.set_level(style, level)

    assert isinstance(await world.begin(hold), Hold)


@pytest.mark.parametrize("level", ["off", "destroyed"])
async def test_off_ends_queued_and_running_orders_and_gives_the_money_back(world: World, level: str):
    style, client = await world.style(), await world.client(prepaid=1000)
    queued, running = await world.held(style, client), await world.held(style, client, count=2)
    begun = await world.begin(running)

    change = await world.set_level(style, level, reason="changed my mind")

    assert (change.level, change.epoch, change.stopped, change.voided) == (level, 1, 1, 2)
    assert set(change.order_ids) == {queued.order_id, running.order_id}
    refused(await world.settle(running, fence=begun.fence), "style_off")
    refused(await world.begin(queued), "style_off")
    async with world.pool.acquire() as conn:
        standing = await gateway.standing(conn, [queued.order_id, running.order_id])
    assert {state.reason for state in standing.values()} == {"withdrawn"}
    usage = await world.usage(client)
    assert (usage.prepaid, usage.prepaid_held) == (eur(1000), eur(0))


async def test_on_does_not_revive_what_off_ended(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)
    await world.set_level(style, "off")

    change = await world.set_level(style, "live")

    assert (change.level, change.epoch) == ("live", 2)
    refused(await world.settle(hold), "style_off")
    assert isinstance(await world.reserve(style, client), Hold)


async def test_a_hold_from_before_an_off_cannot_settle_even_if_nobody_voided_it(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)
    async with world.pool.acquire() as conn:
        await conn.execute(
            """INSERT INTO licensing.switch (creator_id, style_id, level, epoch, cut, actor, at)
               VALUES ($1, $2, 'live', 2, 1, 'a bug', $3)""",
            *(style.creator_id, style.style_id, world.now),
        )

    refused(await world.settle(hold), "style_off")

    await world.void(hold, "withdrawn")


async def test_units_of_a_plan_come_back_when_off_ends_an_order(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    await world.subscribe(client)
    await world.held(style, client, count=5)

    change = await world.set_level(style, "off")

    assert (change.voided, change.refunded) == (1, eur(0))
    usage = await world.usage(client)
    assert (usage.used, usage.held, usage.left) == (0, 0, 100)


async def test_paused_holds_queued_orders_for_a_day_and_then_lets_them_go(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client, hold_s=60)
    await world.set_level(style, "paused")

    refused(await world.begin(hold), "style_paused")
    async with world.pool.acquire() as conn:
        assert (await gateway.standing(conn, [hold.order_id]))[hold.order_id].reason == "paused"
        await gateway.renew(conn, [hold.order_id], world.later(hours=23))
        assert hold.order_id not in await gateway.expire_due(conn, now=world.later(minutes=59), limit=1000)
        assert hold.order_id in await gateway.expire_due(conn, now=world.later(minutes=2), limit=1000)
    assert (await world.usage(client)).prepaid == eur(1000)


async def test_a_queued_order_goes_on_after_the_pause(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client, hold_s=60)
    await world.set_level(style, "paused")
    world.later(hours=5)

    await world.set_level(style, "live")

    resumed = await world.hold(hold.order_id, client)
    assert (resumed.lease_until - world.now).total_seconds() == 60
    assert isinstance(await world.begin(hold), Hold)
    assert isinstance(await world.settle(hold), Settled)


async def test_an_order_stays_held_while_any_switch_above_it_is_paused(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.set_level(style, "paused")
    await world.set_level(style, "paused", style_id=None)

    change = await world.set_level(style, "live")

    assert (change.level, change.governing) == ("live", "paused")
    refused(await world.begin(hold), "style_paused")
    await world.set_level(style, "live", style_id=None)
    assert isinstance(await world.begin(hold), Hold)


async def test_the_strictest_switch_governs_and_the_widest_keeps_the_others(world: World):
    creator = new_id("acc")
    one, other = await world.style(creator), await world.style(creator)
    await world.set_level(one, "closed")

    await world.set_level(one, "off", style_id=None)
    async with world.pool.acquire() as conn:
        during = await switch.states(conn, style_ids=[one.style_id, other.style_id], now=world.now)
    await world.set_level(one, "live", style_id=None)
    async with world.pool.acquire() as conn:
        after = await switch.states(conn, style_ids=[one.style_id, other.style_id], now=world.now)

    assert {(found.level, found.scope) for found in during.values()} == {("off", "creator")}
    assert [after[style.style_id].level for style in (one, other)] == ["closed", "live"]


async def test_one_client_alone_is_switched_off(world: World):
    style = await world.style()
    unwanted, wanted = await known_client(world, style), await known_client(world, style)
    hold, other = await world.held(style, unwanted), await world.held(style, wanted)

    change = await world.set_level(style, "off", client_id=unwanted)

    assert change.order_ids == (hold.order_id,)
    refused(await world.reserve(style, unwanted), "style_off")
    assert isinstance(await world.begin(other), Hold)


async def test_all_of_a_creators_styles_stop_in_one_commit(world: World):
    creator, client = new_id("acc"), await world.client(prepaid=10_000)
    styles = [await world.style(creator) for _ in range(10)]
    for style in styles:
        await world.held(style, client)
    foreign = await world.held(await world.style(), client)

    change = await world.set_level(styles[0], "off", style_id=None)

    assert (change.voided, change.governing) == (10, "off")
    assert (await world.hold(foreign.order_id, client)).state == "open"


async def test_the_same_level_again_changes_nothing(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.held(style, client)
    first = await world.set_level(style, "off")

    again = await world.set_level(style, "off")

    assert (first.voided, again.voided, again.epoch) == (1, 0, first.epoch)


async def test_only_the_owner_sets_a_switch(world: World):
    style, stranger = await world.style(), new_id("acc")

    answer = await world.set_level(style, "off", creator_id=stranger)

    refused(answer, "not_found")
    async with world.pool.acquire() as conn:
        assert (await switch.state(conn, style_id=style.style_id, now=world.now)).level == "live"


async def test_impossible_switches_are_refused_in_words(world: World):
    style = await world.style()

    refused(await world.set_level(style, "asleep"), "invalid_request")
    refused(await world.set_level(style, "off", style_id=None, client_id="acc_1"), "invalid_request")
    refused(await world.set_level(style, "destroyed", client_id="acc_1"), "invalid_request")


async def test_destroyed_is_for_ever(world: World):
    style = await world.style()
    client = await known_client(world, style)
    await world.set_level(style, "destroyed")

    refused(await world.reserve(style, client), "style_destroyed")
    refused(await world.set_level(style, "live"), "style_destroyed")
    refused(await world.set_level(style, "live", client_id=client), "style_destroyed")
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM licensing.output WHERE style_id = $1", style.style_id) == 1


async def test_destroying_everything_leaves_the_creator_free_to_begin_again(world: World):
    creator = new_id("acc")
    styles = [await world.style(creator) for _ in range(2)]
    client = await world.client(prepaid=1000)

    change = await world.set_level(styles[0], "destroyed", style_id=None)

    assert change.level == "destroyed"
    for style in styles:
        refused(await world.reserve(style, client), "style_destroyed")
    assert isinstance(await world.reserve(await world.style(creator), client), Hold)


async def test_a_wind_down_serves_its_clients_until_the_date_and_then_is_off(world: World):
    style = await world.style(notice_days=30)
    client = await known_client(world, style)
    change = await world.set_level(style, "wind_down")
    assert (change.ends_at - world.now).days == 30
    world.later(days=29)
    assert isinstance(await world.reserve(style, client), Hold)

    world.later(days=1)
    refused(await world.reserve(style, client), "style_off")
    async with world.pool.acquire() as conn:
        due = await switch.due_notices(conn, now=world.now)
        changes = [await switch.end_notice(conn, notice, now=world.now) for notice in due]

    ended = [change for change in changes if change.order_ids]
    assert [(change.level, change.voided) for change in ended] == [("off", 1)]
    async with world.pool.acquire() as conn:
        assert await switch.due_notices(conn, now=world.now) == []
        assert [await switch.end_notice(conn, notice, now=world.now) for notice in due] == [None] * len(due)
        assert (await switch.state(conn, style_id=style.style_id, now=world.now)).level == "off"


async def test_a_wind_down_whose_date_has_come_is_off_before_anything_else(world: World):
    """Also where nobody has come by since: switching on revives no order from before, and buyers get their money."""
    style = await world.style(notice_days=10)
    client = await known_client(world, style, prepaid=20_000)
    await world.buy_licence(style, client, renews=True)
    await world.set_level(style, "wind_down")
    world.later(days=9)
    hold = await world.held(style, client, tier="commercial")
    world.later(days=2)

    change = await world.set_level(style, "live")

    assert (change.level, change.voided, change.order_ids) == ("live", 1, (hold.order_id,))
    assert change.refunded.amount > 0
    assert (await world.hold(hold.order_id, client)).reason == "withdrawn"
    async with world.pool.acquire() as conn:
        found = await switch.history(conn, creator_id=style.creator_id)
    assert [(event.level, event.by) for event in found[:2]] == [("live", style.creator_id), ("off", "notice")]
    assert isinstance(await world.reserve(style, client), Hold)


async def test_a_wind_down_keeps_the_longest_notice_that_was_promised(world: World):
    style, client = await world.style(notice_days=60), await world.client(prepaid=10_000)
    await world.buy_licence(style, client)
    await world.style(style.creator_id, style_id=style.style_id, notice_days=7)

    change = await world.set_level(style, "wind_down")

    assert (change.ends_at - world.now).days == 60


async def test_a_change_is_announced_once_it_is_committed(world: World):
    style, heard = await world.style(), asyncio.Queue()

    def hear(*news: Any) -> None:
        heard.put_nowait(news[-1])

    async with world.pool.acquire() as listener:
        await listener.add_listener(switch.CHANNEL, hear)

        await world.set_level(style, "off")
        one = await asyncio.wait_for(heard.get(), 5)
        await world.set_level(style, "off", style_id=None)
        everything = await asyncio.wait_for(heard.get(), 5)
        await listener.remove_listener(switch.CHANNEL, hear)

    assert (one, everything) == (style.style_id, style.creator_id)


async def test_the_history_names_who_when_and_what_it_did(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.held(style, client)
    await world.set_level(style, "off", reason="holiday")
    await world.set_level(style, "live", by="acc_operator")

    async with world.pool.acquire() as conn:
        events = await switch.history(conn, creator_id=style.creator_id, style_id=style.style_id)

    assert [(event.level_before, event.level, event.epoch, event.voided) for event in events] == [
        ("off", "live", 2, 0),
        ("live", "off", 1, 1),
    ]
    assert (events[0].by, events[1].reason) == ("acc_operator", "holiday")


async def test_a_style_without_terms_has_no_state(world: World):
    async with world.pool.acquire() as conn:
        assert await switch.state(conn, style_id="sty_none", now=world.now) is None


async def reach(world: World, style: Any, **given: Any) -> Reach | None:
    async with world.pool.acquire() as conn:
        asked = {"creator_id": style.creator_id, "style_id": style.style_id, "now": world.now} | given
        return await reach_of(conn, **asked)


async def test_whom_off_would_reach_is_whom_it_reaches(world: World):
    style, other = await world.style(), await world.style()
    licensed, ordering, elsewhere = [await world.client(prepaid=10_000) for _ in range(3)]
    await world.buy_licence(style, licensed)
    waiting = await world.held(style, ordering)
    await world.begin(await world.held(style, licensed))
    await world.held(other, elsewhere)

    told = await reach(world, style)
    change = await world.set_level(style, "off")
    after = await reach(world, style)

    assert told is not None
    assert after is not None
    assert (told.clients, told.waiting, told.running, told.licences) == (2, 1, 1, 1)
    assert (told.waiting + told.running, told.running, told.refund) == (change.voided, change.stopped, change.refunded)
    assert waiting.order_id in change.order_ids
    assert (after.clients, after.refund) == (0, eur(0))


async def test_nobody_is_told_whom_the_switch_of_another_would_reach(world: World):
    style, other = await world.style(), await world.style()

    assert await reach(world, style, creator_id=other.creator_id) is None
