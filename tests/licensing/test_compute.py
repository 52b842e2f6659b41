"""What a training costs its creator is known before, taken once, and comes out of earnings."""

import pytest

from licensing import statements
from licensing.analytics.totals import earnings
from licensing.compute import charge_training, training_price
from licensing.errors import LedgerBroken
from licensing.ledger import check
from tests.licensing.world import World, eur, new_id


async def charge(world: World, style, cents: int, training_id: str = "trn_1"):
    async with world.pool.acquire() as conn:
        return await charge_training(
            conn,
            training_id=training_id,
            style_id=style.style_id,
            creator_id=style.creator_id,
            amount=eur(cents),
            now=world.now,
        )


@pytest.mark.parametrize(("seconds", "cents"), [(0, 0), (0.1, 7), (60, 7), (60.5, 14), (600, 70)])
def test_every_begun_minute_counts(seconds: float, cents: int):
    assert training_price(eur(7), seconds) == eur(cents)


async def test_a_training_is_a_line_of_the_statement_and_taken_from_earnings(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client, count=2)

    charged = await charge(world, style, 36, training_id := new_id("trn"))

    async with world.pool.acquire() as conn:
        found = await statements.statement(conn, creator_id=style.creator_id, month="2025-11")
        assert not await check(conn)
    assert (charged.amount, charged.repeated) == (eur(36), False)
    [line] = [line for line in found.lines if line.kind == "compute"]
    assert (line.price, line.fee, line.share) == (eur(0), eur(36), eur(-36))
    assert line.style_id == style.style_id
    assert found.total == eur(2 * 51 - 36)
    assert await world.balance(f"payable:{style.creator_id}:EUR") == 2 * 51 - 36
    assert (await charge(world, style, 36, training_id)).repeated


async def test_a_training_is_taken_once_and_at_its_first_price(world: World):
    style, training_id = await world.style(), new_id("trn")

    await charge(world, style, 36, training_id)
    again = await charge(world, style, 90, training_id)

    assert (again.amount, again.repeated) == (eur(36), True)
    assert await world.balance(f"payable:{style.creator_id}:EUR") == -36


async def test_the_first_sales_fill_up_what_computing_took(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await charge(world, style, 60, new_id("trn"))

    await world.sold(style, client, count=2)

    async with world.pool.acquire() as conn:
        earned = await earnings(conn, creator_id=style.creator_id, now=world.now)
    assert earned.payable == eur(2 * 51 - 60)
    assert earned.by_style[0].share == eur(2 * 51 - 60)


async def test_a_training_never_pays_its_creator(world: World):
    style = await world.style()

    with pytest.raises(LedgerBroken, match="cannot cost"):
        await charge(world, style, -1, new_id("trn"))
