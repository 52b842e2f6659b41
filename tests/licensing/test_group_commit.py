"""Many orders in one commit are held and paid as each would be by itself, and nobody waits in a circle."""

import asyncio
import random
from typing import Any

from licensing import gateway
from licensing.errors import Refusal
from licensing.orders import Hold, Replay, Reserve, Settle, Settled
from tests.licensing.world import World, eur, pictures, refused


async def reserve_all(world: World, orders: list[Reserve]) -> list[Any]:
    async with world.pool.acquire() as conn, conn.transaction():
        return await gateway.reserve_all(conn, orders, now=world.now)


async def settle_all(world: World, holds: list[Hold], *, fence: int = 1) -> list[Any]:
    for hold in holds:
        await world.begin(hold)
    sales = [
        Settle(order_id=hold.order_id, fence=fence, made=tuple(pictures(f"out_{hold.order_id}"))) for hold in holds
    ]
    async with world.pool.acquire() as conn, conn.transaction():
        return await gateway.settle_all(conn, sales, now=world.now)


async def test_each_order_gets_the_answer_that_it_would_get_alone(world: World):
    style, other = await world.style(), await world.style()
    rich, poor = await world.client(prepaid=1000), await world.client(prepaid=10)
    await world.set_level(other, "off")
    key = await world.key(rich, cap=130)
    orders = [
        world.order(style, rich, idempotency_key="a"),
        world.order(style, poor),
        world.order(other, rich),
        world.order(style, rich, idempotency_key="a"),
        world.order(style, rich, idempotency_key="a", request_hash="another body"),
        world.order(style, rich, key_id=key.id),
        world.order(style, rich, key_id=key.id, count=2),
        world.order(style, rich, key_id="key_unknown"),
        world.order(style, rich, count=2),
    ]

    answers = await reserve_all(world, orders)

    kinds = [answer.slug if isinstance(answer, Refusal) else type(answer).__name__ for answer in answers]
    assert kinds == [
        "Hold",
        "payment_required",
        "style_off",
        "Replay",
        "idempotency_mismatch",
        "Hold",
        "spend_cap_reached",
        "unauthenticated",
        "Hold",
    ]
    assert [answer.order_id for answer in answers if isinstance(answer, Hold)] == [
        orders[n].order_id for n in (0, 5, 8)
    ]
    assert isinstance(answers[3], Replay)
    assert answers[3].hold.order_id == orders[0].order_id
    assert (await world.usage(rich)).prepaid_held == eur(4 * 60)


async def test_a_budget_is_not_overspent_within_one_commit(world: World):
    style, client = await world.style(), await world.client(prepaid=60 * 5 + 59)

    answers = await reserve_all(world, [world.order(style, client) for _ in range(8)])

    assert [isinstance(answer, Hold) for answer in answers] == [True] * 5 + [False] * 3
    for answer in answers[5:]:
        refused(answer, "payment_required")


async def test_many_are_paid_in_one_commit_and_one_link(world: World):
    style, clients = await world.style(), [await world.client(prepaid=600) for _ in range(4)]
    holds = await reserve_all(world, [world.order(style, client, count=2) for client in clients])
    gone = await world.held(style, clients[0])
    await world.void(gone)

    *answers, late = await settle_all(world, [*holds, gone])

    assert all(isinstance(answer, Settled) for answer in answers)
    assert [answer.amount for answer in answers] == [eur(60)] * 4
    refused(late, "conflict")
    async with world.pool.acquire() as conn:
        commits = await conn.fetchval(
            "SELECT count(DISTINCT commit_no) FROM licensing.entry_group WHERE subject = ANY ($1)",
            [hold.order_id for hold in holds],
        )
    assert commits == 1
    again = await settle_all(world, holds)
    assert [answer.repeated for answer in again] == [True] * 4


async def test_batches_single_orders_and_switches_never_wait_in_a_circle(world: World):
    """Six at once, each with the same accounts and styles in an order of its own: Postgres would end a circle."""
    styles = [await world.style() for _ in range(3)]
    clients = [await world.client(prepaid=100_000) for _ in range(4)]
    keys = {client: (await world.key(client, cap=90_000)).id for client in clients}

    def some(dice: random.Random) -> list[Reserve]:
        pairs = [(dice.choice(styles), dice.choice(clients)) for _ in range(12)]
        return [world.order(style, client, key_id=keys[client]) for style, client in pairs]

    async def order(seed: int) -> int:
        dice, paid = random.Random(seed), 0
        for _ in range(6):
            held = [one for one in await reserve_all(world, some(dice)) if isinstance(one, Hold)]
            dice.shuffle(held)
            paid += sum(isinstance(one, Settled) for one in await settle_all(world, held))
        return paid

    async def alone(seed: int) -> int:
        dice, paid = random.Random(seed), 0
        for wish in [one for _ in range(3) for one in some(dice)]:
            async with world.pool.acquire() as conn:
                answer = await gateway.reserve(conn, wish, now=world.now)
            if isinstance(answer, Hold):
                await world.begin(answer)
                paid += isinstance(await world.settle(answer), Settled)
        return paid

    async def flip() -> int:
        for number in range(12):
            await world.set_level(styles[number % 3], "off" if number % 2 else "live")
            await asyncio.sleep(0.01)
        return 0

    async with asyncio.timeout(60):
        paid = await asyncio.gather(order(1), order(2), order(3), alone(4), alone(5), flip())

    assert sum(paid[:3]) > 0
