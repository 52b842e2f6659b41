"""Several authors of one style: each has a part of every share, to the minor unit, in sales, refunds and statements."""

import pytest

from licensing import statements
from licensing.analytics.totals import earnings
from licensing.errors import Refusal
from tests.licensing.world import World, eur, new_id


async def test_authors_share_every_sale_and_every_refund(world: World):
    mara, colourist = new_id("acc"), new_id("acc")
    style = await world.style(mara, fee_bps=1000, authors={mara: 2, colourist: 1})
    client = await world.client(prepaid=1000)

    sale = await world.sold(style, client, count=2)
    assert sale.share == eur(108)
    assert [await world.balance(f"payable:{who}:EUR") for who in (mara, colourist)] == [72, 36]

    await world.refund(f"out_{sale.order_id}_0")
    assert [await world.balance(f"payable:{who}:EUR") for who in (mara, colourist)] == [36, 18]


async def test_each_author_has_a_statement_whose_lines_add_up(world: World):
    mara, colourist = new_id("acc"), new_id("acc")
    style = await world.style(mara, fee_bps=1500, authors={mara: 2, colourist: 1})
    client = await world.client(prepaid=20_000)
    await world.tax(client, 1900)
    first = await world.sold(style, client, count=3)
    await world.refund(f"out_{first.order_id}_1")
    await world.buy_licence(style, client)
    await world.sold(style, client, count=2)
    world.later(days=31)
    await world.roll_over()

    async with world.pool.acquire() as conn:
        for who in (mara, colourist):
            for month in ("2025-11", "2025-12"):
                found = await statements.statement(conn, creator_id=who, month=month)
                assert found.lines
                for line in found.lines:
                    assert line.price == line.tax + line.fee + line.share + line.others
            earned = await earnings(conn, creator_id=who, now=world.now)
            assert earned.payable.amount == await world.balance(f"payable:{who}:EUR")
            assert earned.pictures == 4
    assert await world.balance(f"payable:{mara}:EUR") > await world.balance(f"payable:{colourist}:EUR") > 0


async def test_a_sale_keeps_the_authors_of_its_terms(world: World):
    mara, colourist = new_id("acc"), new_id("acc")
    style = await world.style(mara, authors={mara: 1, colourist: 1})
    client = await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.style(mara, style_id=style.style_id)
    await world.begin(hold)

    await world.settle(hold)

    assert await world.balance(f"payable:{colourist}:EUR") > 0


@pytest.mark.parametrize("weight", [0, -1, 10_001])
async def test_a_part_that_cannot_be_is_refused(world: World, weight: int):
    from licensing import terms

    wanted = world.prices.default_terms(style_id=new_id("sty"), creator_id=new_id("acc"))
    async with world.pool.acquire() as conn:
        answer = await terms.put_terms(
            conn,
            terms.replace(wanted, authors={wanted.creator_id: weight}),
            by=wanted.creator_id,
            now=world.now,
        )

    assert isinstance(answer, Refusal)
    assert "Parts of authors" in answer.message
