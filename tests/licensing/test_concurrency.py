"""Many at once: budgets hold to the last picture, repeats charge once, off is off for everybody."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from licensing import gateway, keys
from licensing.errors import Refusal
from licensing.orders import Hold, Replay, Settled
from licensing.payments import manual
from tests.licensing.world import World, eur, new_id, pictures


async def buy_one(world: World, style: Any, client: str, **changes: Any) -> str:
    """Order, make and pay one picture; the name of the answer where it went no further."""
    answer = await world.reserve(style, client, **changes)
    if isinstance(answer, Refusal):
        return answer.slug
    await world.begin(answer)
    settled = await world.settle(answer)
    return "settled" if isinstance(settled, Settled) else settled.slug


@pytest.mark.parametrize("affordable", [1, 7])
async def test_32_clients_of_one_purse_get_exactly_what_it_pays(world: World, affordable: int):
    style, client = await world.style(), await world.client(prepaid=60 * affordable + 59)

    answers = Counter(await asyncio.gather(*(buy_one(world, style, client) for _ in range(32))))

    assert answers == {"settled": affordable, "payment_required": 32 - affordable}
    assert (await world.usage(client)).prepaid == eur(59)


async def test_32_orders_on_a_plan_get_exactly_its_units(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    plan = await world.subscribe(client)
    for _ in range(9):
        await world.sold(style, client, count=10)

    answers = Counter(await asyncio.gather(*(buy_one(world, style, client) for _ in range(32))))

    assert answers == {"settled": 10, "quota_exceeded": 22}
    usage = await world.usage(client)
    assert (usage.used, usage.held, usage.left) == (100, 0, 0)
    assert await world.balance(f"deferred:{plan.id}:EUR") == 0


async def test_32_orders_on_one_key_stop_at_its_cap(world: World):
    style, client = await world.style(), await world.client(prepaid=60_000)
    key = await world.key(client, cap=300)

    answers = Counter(await asyncio.gather(*(buy_one(world, style, client, key_id=key.id) for _ in range(32))))

    assert answers == {"settled": 5, "spend_cap_reached": 27}


async def test_one_request_sent_32_times_at_once_is_one_order(world: World):
    style, client = await world.style(), await world.client(prepaid=60_000)

    answers = await asyncio.gather(*(world.reserve(style, client, idempotency_key="once") for _ in range(32)))

    assert sum(isinstance(answer, Hold) for answer in answers) == 1
    for answer in answers:
        assert isinstance(answer, Hold | Replay) or answer.slug == "idempotency_conflict"
    assert (await world.usage(client)).prepaid_held == eur(60)


async def test_one_attempt_settled_16_times_at_once_is_charged_once(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)

    answers = await asyncio.gather(*(world.settle(hold) for _ in range(16)))

    assert Counter(answer.repeated for answer in answers) == {False: 1, True: 15}
    assert (await world.usage(client)).prepaid == eur(940)


async def test_of_settle_and_void_at_once_exactly_one_happens(world: World):
    style, client = await world.style(), await world.client(prepaid=6000)
    holds = [await world.held(style, client) for _ in range(20)]
    for hold in holds:
        await world.begin(hold)

    answers = await asyncio.gather(*(act(hold) for hold in holds for act in (world.settle, world.void)))

    settled = sum(isinstance(answer, Settled) for answer in answers)
    assert (await world.usage(client)).prepaid == eur(6000 - 60 * settled)


async def test_one_credit_booked_16_times_at_once_counts_once(world: World):
    client = await world.client()

    async def book() -> Any:
        async with world.pool.acquire() as conn:
            return await manual.credit(conn, client, eur(500), "bank line 1", world.now)

    answers = await asyncio.gather(*(book() for _ in range(16)))

    assert Counter(answer.repeated for answer in answers) == {False: 1, True: 15}
    assert (await world.usage(client)).prepaid == eur(500)


async def test_when_off_has_returned_nothing_more_is_sold(world: World):
    style, client = await world.style(), await world.client(prepaid=60_000)
    returned = asyncio.Event()
    settled_after = []

    async def keep_buying() -> None:
        while True:
            over = returned.is_set()
            answer = await buy_one(world, style, client)
            if answer == "style_off":
                return
            if over and answer == "settled":
                settled_after.append(answer)

    async def switch_off() -> None:
        await asyncio.sleep(0.1)
        await world.set_level(style, "off")
        returned.set()

    await asyncio.gather(switch_off(), *(keep_buying() for _ in range(8)))

    assert settled_after == []
    assert (await world.usage(client)).prepaid_held == eur(0)


async def test_off_waits_for_the_sale_that_is_being_committed_and_no_longer(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)
    async with world.pool.acquire() as slow, slow.transaction():
        await gateway.settle(slow, order_id=hold.order_id, fence=1, made=pictures(new_id("out")), now=world.now)
        turning_off = asyncio.create_task(world.set_level(style, "off"))
        await asyncio.sleep(0.05)

        assert not turning_off.done()

    assert (await turning_off).voided == 0
    assert (await world.hold(hold.order_id, client)).state == "settled"


@pytest.mark.parametrize("together", [False, True])
async def test_a_waiting_off_is_not_overtaken_by_new_orders(world: World, together: bool):
    style, client = await world.style(), await world.client(prepaid=1000)
    async with world.pool.acquire() as slow, slow.transaction():
        if together:
            await gateway.reserve_all(slow, [world.order(style, client)], now=world.now)
        else:
            await gateway.reserve(slow, world.order(style, client), now=world.now)
        turning_off = asyncio.create_task(world.set_level(style, "off"))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(world.reserve(style, client))
        await asyncio.sleep(0.05)

        assert not late.done()

    assert (await turning_off).voided == 1
    assert (await late).slug == "style_off"


async def test_a_revoked_key_orders_nothing_even_in_a_race(world: World):
    style, client = await world.style(), await world.client(prepaid=60_000)
    key = await world.key(client)
    async with world.pool.acquire() as slow, slow.transaction():
        await gateway.reserve(slow, world.order(style, client, key_id=key.id), now=world.now)

        async def revoke() -> bool:
            async with world.pool.acquire() as conn:
                return await keys.revoke(conn, key_id=key.id, account_id=client, now=world.now)

        revoking = asyncio.create_task(revoke())
        await asyncio.sleep(0.05)
        assert not revoking.done()

    assert await revoking
    assert (await world.reserve(style, client, key_id=key.id)).slug == "unauthenticated"


async def test_opposite_orders_of_locks_do_not_end_in_a_deadlock(world: World):
    creator = new_id("acc")
    styles = [await world.style(creator) for _ in range(3)]
    clients = [await world.client(prepaid=60_000) for _ in range(3)]

    async def turn(level: str) -> None:
        for _ in range(6):
            await world.set_level(styles[0], level, style_id=None)
            await world.set_level(styles[1], level)

    jobs = [buy_one(world, style, client) for style in styles for client in clients for _ in range(6)]
    answers = await asyncio.gather(turn("off"), turn("live"), *jobs)

    assert set(answers) <= {None, "settled", "style_off", "conflict"}
