"""What a creator earned: every line names its output, and the lines sum to what the ledger posted."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing import plans, statements
from licensing.analytics.totals import earnings, style_earnings
from licensing.errors import LedgerBroken
from licensing.refunds import refund_output
from tests.licensing.world import World, eur, new_id


async def statement_of(world: World, creator_id: str, month: str = "2025-11") -> statements.Statement:
    async with world.pool.acquire() as conn:
        return await statements.statement(conn, creator_id=creator_id, month=month)


async def test_every_line_names_its_output_and_they_sum_to_the_total(world: World):
    creator, client = new_id("acc"), await world.client(prepaid=20_000)
    styles = [await world.style(creator) for _ in range(2)]
    await world.subscribe(client)
    await world.sold(styles[0], client, count=3)
    await world.sold(styles[1], client, tier="exclusive")
    await world.sold(styles[0], client, test=True)

    found = await statement_of(world, creator)

    async with world.pool.acquire() as conn:
        sold = await conn.fetch("SELECT output_id FROM licensing.output WHERE creator_id = $1 AND NOT test", creator)
    assert sorted(str(line.output_id) for line in found.lines) == sorted(row["output_id"] for row in sold)
    assert len(found.lines) == 4
    for line in found.lines:
        assert line.price == line.fee + line.share
    assert found.total.amount == sum(line.share.amount for line in found.lines)
    assert found.total == found.gross - found.fee == eur(3 * 42 + 2465)
    assert await world.balance(f"payable:{creator}:EUR") == found.total.amount


async def test_a_part_of_the_lines_comes_with_the_sums_of_all(world: World):
    style, client = await world.style(), await world.client(prepaid=20_000)
    for count in (1, 2, 4):
        await world.sold(style, client, count=count)
        world.later(hours=1)
    whole = await statement_of(world, style.creator_id)

    async with world.pool.acquire() as conn:
        of = {"creator_id": style.creator_id, "month": "2025-11"}
        parts = [await statements.statement(conn, first=first, at_most=3, **of) for first in (1, 4, 7, 8)]

    assert [len(part.lines) for part in parts] == [3, 3, 1, 0]
    assert tuple(line for part in parts for line in part.lines) == whole.lines
    assert [line.at for line in whole.lines] == sorted(line.at for line in whole.lines)
    for part in parts:
        assert replace(part, lines=whole.lines) == whole
    assert whole.num_lines == 7


async def test_what_is_sold_while_a_statement_is_read_is_in_all_of_it_or_in_none(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.sold(style, client)
    booked = statements._booked

    async def slowly(*asked: Any) -> Any:
        await world.sold(style, client)
        return await booked(*asked)

    monkeypatch.setattr(statements, "_booked", slowly)
    found = await statement_of(world, style.creator_id)

    assert (found.num_lines, found.total, found.closing) == (1, eur(51), eur(51))
    monkeypatch.undo()
    assert (await statement_of(world, style.creator_id)).num_lines == 2


async def test_a_refund_is_a_line_of_its_own_in_the_month_it_happened(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    world.now = datetime(2025, 12, 24, tzinfo=UTC)
    async with world.pool.acquire() as conn:
        await refund_output(conn, output_id=f"out_{sale.order_id}_0", reason="r", by="op", now=world.now)

    november = await statement_of(world, style.creator_id)
    december = await statement_of(world, style.creator_id, "2025-12")

    assert [(line.kind, line.share) for line in november.lines] == [("sale", eur(51))]
    assert [(line.kind, line.share) for line in december.lines] == [("refund", eur(-51))]


async def test_what_a_licence_left_unused_is_a_line_without_an_output(world: World):
    style, client = await world.style(), await world.client(prepaid=1200)
    await world.buy_licence(style, client)
    await world.sold(style, client, count=10)
    world.later(days=31)
    async with world.pool.acquire() as conn:
        for due in await plans.due_periods(conn, now=world.now):
            await plans.roll_over(conn, due, now=world.now, new_id=new_id)

    found = await statement_of(world, style.creator_id, "2025-12")

    assert [(line.kind, line.output_id, line.price, line.share) for line in found.lines] == [
        ("unused", None, eur(800), eur(680))
    ]
    assert found.lines[0].style_id == style.style_id


async def test_earnings_show_a_sale_at_once_and_by_style(world: World):
    creator, client = new_id("acc"), await world.client(prepaid=10_000)
    good, bad = await world.style(creator), await world.style(creator)
    await world.sold(bad, client)
    world.now = datetime(2025, 12, 1, tzinfo=UTC)
    await world.sold(good, client, tier="commercial", count=2)

    async with world.pool.acquire() as conn:
        found = await earnings(conn, creator_id=creator, now=world.now)

    assert (found.payable, found.month, found.pictures) == (eur(51 + 2 * 383), eur(2 * 383), 3)
    assert [(line.style_id, line.pictures, line.share) for line in found.by_style] == [
        (good.style_id, 2, eur(766)),
        (bad.style_id, 1, eur(51)),
    ]
    async with world.pool.acquire() as conn:
        which = {"creator_id": creator, "now": world.now}
        assert await style_earnings(conn, style_id=good.style_id, **which) == found.by_style[0]
        assert await style_earnings(conn, style_id="sty_none", **which) is None


async def test_nobody_sees_anothers_earnings_in_theirs(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)

    found = await statement_of(world, new_id("acc"))

    assert (found.lines, found.total) == ((), eur(0))


@pytest.mark.parametrize("month", ["2025-13", "november", "2025-11-01", ""])
async def test_a_month_that_is_none_is_refused(world: World, month: str):
    with pytest.raises(ValueError, match=r"does not match|unconverted"):
        await statement_of(world, "acc_1", month)


async def test_a_statement_that_the_ledger_contradicts_is_not_given_out(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)

    async with world.undone() as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(
            "UPDATE licensing.output SET price = 100, share = 85 + 15 - fee WHERE style_id = $1", style.style_id
        )
        with pytest.raises(LedgerBroken, match="the ledger posted 51"):
            await statements.statement(conn, creator_id=style.creator_id, month="2025-11")
