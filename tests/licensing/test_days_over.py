"""Days that are over are summed once, by one process, and held against their lines every night."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from licensing.analytics.earned import earned
from licensing.analytics.over import ON_ITS_WAY, close_days, differences
from licensing.analytics.spans import Span
from licensing.analytics.spent import spent
from licensing.analytics.totals import earnings
from licensing.compute import charge_training
from licensing.ledger import SUMMED
from tests.licensing.test_analytics import many_sales, read_here
from tests.licensing.world import World, eur, new_id

NOVEMBER = Span(first=date(2025, 11, 1), last=date(2025, 11, 30))
TABLES = ("earned_day", "earned_month", "priced_day", "spent_day")


async def sums(conn: asyncpg.Connection) -> dict[str, int]:
    return {table: await conn.fetchval(f"SELECT count(*) FROM licensing.{table}") for table in TABLES}


async def test_a_day_is_over_some_hours_after_it_ended(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)
    ended = datetime(2025, 11, 4, tzinfo=UTC)
    async with world.undone() as conn:
        assert await close_days(conn, now=ended) == date(2025, 11, 3)
        assert await close_days(conn, now=ended + ON_ITS_WAY - timedelta(seconds=1)) is None
        assert (await sums(conn))["earned_day"] == 0
        assert await close_days(conn, now=ended + ON_ITS_WAY) == date(2025, 11, 4)
        assert await sums(conn) == {"earned_day": 1, "earned_month": 0, "priced_day": 1, "spent_day": 1}
        assert await close_days(conn, now=ended + timedelta(days=3)) == date(2025, 11, 6)
        assert await close_days(conn, now=datetime(2025, 12, 1, 12, tzinfo=UTC)) == date(2025, 12, 1)
        assert await sums(conn) == {"earned_day": 1, "earned_month": 1, "priced_day": 1, "spent_day": 1}
        assert await differences(conn) == []


async def test_of_many_that_come_at_once_one_sums(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)
    world.later(days=2)

    async def close(days: int) -> date | None:
        async with world.pool.acquire() as conn:
            return await close_days(conn, now=world.now + timedelta(days=days))

    try:
        done = await asyncio.gather(*(close(number % 2) for number in range(6)))
        assert sorted({day for day in done if day}) in ([date(2025, 11, 5), date(2025, 11, 6)], [date(2025, 11, 6)])
        assert len([day for day in done if day]) == len({day for day in done if day}), "no day was summed twice"
        async with world.pool.acquire() as conn:
            assert await differences(conn) == []
    finally:
        async with world.pool.acquire() as conn:
            await conn.execute("DELETE FROM licensing.closing")


async def test_a_line_that_comes_after_its_day_was_summed_is_found_and_summed_by_making_the_sums_anew(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)
    async with world.undone() as conn:
        await close_days(conn, now=datetime(2025, 11, 10, tzinfo=UTC))
        await close_days(conn, now=datetime(2025, 12, 10, tzinfo=UTC))
        assert await differences(conn) == []
        # A machine whose clock is a day behind.
        about = {"training_id": new_id("trn"), "style_id": style.style_id, "creator_id": style.creator_id}
        await charge_training(conn, **about, amount=eur(20), now=datetime(2025, 12, 8, tzinfo=UTC))

        (problem,) = await differences(conn)
        assert problem.rule == SUMMED
        assert problem.place == f"earned_day: {style.creator_id} EUR 2025-12-08 {style.style_id} training"
        assert problem.detail == "lines (0,0,-20,0)"
        await conn.execute("DELETE FROM licensing.closing WHERE until > '2025-12-08'")
        await close_days(conn, now=datetime(2025, 12, 10, tzinfo=UTC))
        assert await differences(conn) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE licensing.earned_day SET share = share + 1",
        "UPDATE licensing.earned_month SET sales = 7",
        "UPDATE licensing.priced_day SET pictures = 2",
        "UPDATE licensing.spent_day SET net = net - 1",
        "DELETE FROM licensing.spent_day",
    ],
)
async def test_a_sum_that_somebody_changed_is_found(world: World, change: str):
    style, client = await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)
    async with world.undone() as conn:
        await close_days(conn, now=world.now + timedelta(days=40))
        await conn.execute(change)
        found = await differences(conn)

    assert found
    assert {problem.rule for problem in found} == {SUMMED}


async def test_sums_are_their_partys_and_nobodys_to_write(world: World):
    style, other, client = await world.style(), await world.style(), await world.client(prepaid=1000)
    await world.sold(style, client)
    await world.sold(other, client)
    async with world.undone() as conn:
        await close_days(conn, now=world.now + timedelta(days=40))
        await conn.execute("SET LOCAL ROLE ownhand_app")
        await conn.execute("SELECT set_config('ownhand.acting', $1, true)", style.creator_id)
        assert await sums(conn) == {"earned_day": 1, "earned_month": 1, "priced_day": 1, "spent_day": 0}
        await conn.execute("SELECT set_config('ownhand.acting', $1, true)", client)
        assert await sums(conn) == {"earned_day": 0, "earned_month": 0, "priced_day": 0, "spent_day": 2}
        for statement in (
            "INSERT INTO licensing.closing (until, at) VALUES ('2030-01-01', now())",
            "UPDATE licensing.spent_day SET net = 0",
            "DELETE FROM licensing.closing",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with conn.transaction():
                    await conn.execute(statement)


async def test_what_was_summed_is_not_read_again(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    now = world.now + timedelta(days=60)
    years = replace(NOVEMBER, last=now.date())
    async with world.undone() as conn:
        await many_sales(conn, f"out_{sale.order_id}_0", style.creator_id, 10_000)
        await conn.execute("ANALYZE licensing.output, licensing.entry, licensing.entry_group")
        who = {"creator_id": style.creator_id, "now": now}
        unsummed = await earned(conn, days=years, **who), await earnings(conn, **who)
        await close_days(conn, now=now)
        before = await read_here(conn)
        summed = await earned(conn, days=years, **who), await earnings(conn, **who)
        after = await read_here(conn)

    assert summed == unsummed
    assert summed[0].pictures == summed[1].pictures == 10_001
    assert after["output"] - before["output"] < 20
    # The account is looked at one group in a thousand, to find the stretch.
    assert after["entry_group"] - before["entry_group"] < 3_000


async def test_what_a_client_spent_is_summed_by_what_has_no_style_and_no_key_too(world: World):
    style, client = await world.style(), await world.client(prepaid=50_000)
    await world.sold(style, client)
    await world.subscribe(client)
    world.later(days=1)
    await world.refund((await world.sold(style, client, count=2)).order_id.join(("out_", "_0")))
    async with world.undone() as conn:
        plain = await spent(conn, client_id=client, days=NOVEMBER)
        await close_days(conn, now=world.now + timedelta(days=2))
        assert await spent(conn, client_id=client, days=NOVEMBER) == plain
        assert await conn.fetchval("SELECT count(*) FROM licensing.spent_day WHERE style_id IS NULL") >= 1
