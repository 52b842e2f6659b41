"""Sums of what was earned and spent agree with statements and invoices, and let nobody watch a single client."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import asyncpg
import pytest

from licensing import plans, statements
from licensing.analytics.earned import FEWEST_CLIENTS, Earned, earned
from licensing.analytics.erosion import PriceWatch, price_watch
from licensing.analytics.forecasts import Forecast, earnings_forecast, forecast, spend_forecast
from licensing.analytics.months import statement_months
from licensing.analytics.over import close_days, differences
from licensing.analytics.spans import DAYS_MOST, Span, months_over, span
from licensing.analytics.spent import Spent, spent
from licensing.analytics.totals import earnings
from licensing.charges import charges, purses
from licensing.compute import charge_training
from licensing.errors import Refusal
from licensing.money import Money
from licensing.refunds import refund_output
from licensing.terms import StyleTerms, put_terms
from tests.licensing.world import World, eur, new_id, refused

Answer = TypeVar("Answer")
NOVEMBER = Span(first=date(2025, 11, 1), last=date(2025, 11, 30))
DECEMBER_1 = datetime(2025, 12, 1, 9, tzinfo=UTC)


async def earned_in(world: World, creator_id: str, days: Span = NOVEMBER) -> Earned:
    """The same, whatever days were summed before."""

    async def ask(conn: asyncpg.Connection) -> Earned:
        return await earned(conn, creator_id=creator_id, days=days, now=world.now)

    return await whatever_is_summed(world, ask)


async def spent_in(world: World, client_id: str, days: Span = NOVEMBER) -> Spent:
    """The same, whatever days were summed before."""

    async def ask(conn: asyncpg.Connection) -> Spent:
        return await spent(conn, client_id=client_id, days=days)

    return await whatever_is_summed(world, ask)


async def whatever_is_summed(world: World, ask: Callable[[asyncpg.Connection], Awaitable[Answer]]) -> Answer:
    async with world.pool.acquire() as conn:
        answer = await ask(conn)
    for days_ago in (0, 1, 12, 31, 45):
        async with world.undone() as conn:
            await close_days(conn, now=world.now - timedelta(days=days_ago))
            assert await ask(conn) == answer
            await close_days(conn, now=world.now)
            assert await ask(conn) == answer
            assert await differences(conn) == []
    return answer


async def sold_to(world: World, style: StyleTerms, num_clients: int, **changes: object) -> list[str]:
    clients = [await world.client(prepaid=10_000) for _ in range(num_clients)]
    for client in clients:
        await world.sold(style, client, **changes)
    return clients


async def months_of(world: World, creator_id: str) -> list[tuple[str, Money]]:
    """The same, whatever days were summed before."""

    async def ask(conn: asyncpg.Connection) -> list[tuple[str, Money]]:
        return await statement_months(conn, creator_id=creator_id, now=world.now)

    return await whatever_is_summed(world, ask)


async def test_each_month_since_the_first_has_a_statement_whose_total_is_told(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    world.now = datetime(2026, 1, 24, tzinfo=UTC)
    async with world.pool.acquire() as conn:
        await refund_output(conn, output_id=f"out_{sale.order_id}_0", reason="r", by="op", now=world.now)

    found = await months_of(world, style.creator_id)

    assert found == [("2026-01", eur(-51)), ("2025-12", eur(0)), ("2025-11", eur(51))]
    async with world.pool.acquire() as conn:
        for month, total in found:
            statement = await statements.statement(conn, creator_id=style.creator_id, month=month)
            assert statement.total == total
        assert await statement_months(conn, creator_id=new_id("acc"), now=world.now) == []


def test_a_range_of_days_has_both_ends_and_at_most_four_hundred():
    longest = span(date(2025, 1, 1), date(2025, 1, 1) + timedelta(days=DAYS_MOST - 1))

    assert isinstance(longest, Span)
    assert len(longest.days) == DAYS_MOST
    assert (longest.until - longest.since).days == DAYS_MOST
    assert "400 days" in refused(span(longest.first, longest.last + timedelta(days=1)), "invalid_request").message
    refused(span(date(2025, 1, 2), date(2025, 1, 1)), "invalid_request")
    refused(span(date(9999, 12, 31), date(9999, 12, 31)), "invalid_request")


@pytest.mark.parametrize(
    ("first", "last", "today", "found"),
    [
        ("2025-11-01", "2025-11-30", "2025-12-01", ("2025-11-01", "2025-11-30")),
        ("2025-11-01", "2025-11-30", "2025-11-30", None),
        ("2025-11-02", "2025-12-31", "2026-01-05", ("2025-12-01", "2025-12-31")),
        ("2025-10-15", "2025-12-30", "2026-01-05", ("2025-11-01", "2025-11-30")),
        ("2025-10-01", "2025-12-31", "2025-12-31", ("2025-10-01", "2025-11-30")),
        ("2025-11-02", "2025-12-30", "2026-01-05", None),
    ],
)
def test_of_some_days_the_whole_months_that_are_over(first: str, last: str, today: str, found: tuple[str, str] | None):
    days = Span(first=date.fromisoformat(first), last=date.fromisoformat(last))

    months = months_over(days, date.fromisoformat(today))

    assert (months and (months.first.isoformat(), months.last.isoformat())) == found


async def test_earnings_by_day_style_and_tier_each_sum_to_the_statement(world: World):
    creator, client = new_id("acc"), await world.client(prepaid=20_000)
    ink, oil = await world.style(creator), await world.style(creator)
    await world.tax(client, 1900)
    first = await world.sold(ink, client, count=3)
    world.now = datetime(2025, 11, 5, 23, 59, 59, tzinfo=UTC)
    await world.sold(oil, client, tier="commercial")
    world.now = datetime(2025, 11, 6, tzinfo=UTC)
    await world.refund(f"out_{first.order_id}_0")
    async with world.pool.acquire() as conn:
        await charge_training(
            conn, training_id=new_id("trn"), style_id=oil.style_id, creator_id=creator, amount=eur(70), now=world.now
        )
    await world.sold(ink, client, test=True)

    found = await earned_in(world, creator)
    async with world.pool.acquire() as conn:
        statement = await statements.statement(conn, creator_id=creator, month="2025-11")

    assert found.share == statement.total == eur(3 * 51 + 383 - 51 - 70)
    assert len(found.by_day) == 30
    assert {day.day.day: (day.pictures, day.share.amount) for day in found.by_day if day.share.amount} == {
        3: (3, 153),
        5: (1, 383),
        6: (-1, -121),
    }
    assert [(part.of, part.pictures, part.share) for part in found.by_style] == [
        (oil.style_id, 1, eur(313)),
        (ink.style_id, 2, eur(102)),
    ]
    assert {part.of: part.share.amount for part in found.by_tier} == {
        "commercial": 383,
        "personal": 102,
        "training": -70,
    }


async def test_nine_clients_are_not_told_apart_and_ten_are(world: World):
    hidden, told = await world.style(), await world.style()
    await sold_to(world, hidden, FEWEST_CLIENTS - 1, count=2)
    clients = await sold_to(world, told, FEWEST_CLIENTS)
    await world.sold(told, clients[3], tier="commercial")
    world.now = DECEMBER_1

    nine, ten = await earned_in(world, hidden.creator_id), await earned_in(world, told.creator_id)

    assert FEWEST_CLIENTS == 10
    assert nine.share == eur(9 * 102)
    assert nine.by_client is None
    assert nine.why is not None
    assert "at least 10 clients" in nine.why
    assert ten.why is None
    assert ten.by_client is not None
    assert ten.by_client.months == ("2025-11",)
    assert {part.of for part in ten.by_client.clients} == set(clients)
    assert (ten.by_client.clients[0].of, ten.by_client.clients[0].share) == (clients[3], eur(51 + 383))


async def test_one_client_who_buys_ten_times_is_one(world: World):
    style = await world.style()
    (client,) = await sold_to(world, style, 1, count=10)
    for _ in range(9):
        await world.sold(style, client)
    world.now = DECEMBER_1

    assert (await earned_in(world, style.creator_id)).by_client is None


async def test_no_two_ranges_tell_by_subtraction_what_one_client_did(world: World):
    style = await world.style()
    clients = await sold_to(world, style, FEWEST_CLIENTS)
    world.now = datetime(2025, 11, 20, tzinfo=UTC)
    await world.sold(style, clients[0], tier="commercial")
    assert (await earned_in(world, style.creator_id)).by_client is None, "the month is not over"
    world.now = datetime(2025, 12, 3, tzinfo=UTC)
    await world.sold(style, clients[1], tier="commercial")
    await world.refund(await newest_output(world, clients[2]))
    world.now = datetime(2026, 1, 2, tzinfo=UTC)

    whole = await earned_in(world, style.creator_id)
    shorter = await earned_in(world, style.creator_id, replace(NOVEMBER, last=date(2025, 11, 19)))
    longer = await earned_in(world, style.creator_id, replace(NOVEMBER, last=date(2025, 12, 31)))

    assert shorter.by_client is None
    assert whole.by_client is not None
    assert longer.by_client == whole.by_client, "in December one client bought and one gave back"
    assert longer.share != whole.share


async def newest_output(world: World, client_id: str) -> str:
    async with world.pool.acquire() as conn:
        found: str = await conn.fetchval("SELECT max(output_id) FROM licensing.output WHERE client_id = $1", client_id)
    return found


async def test_spend_by_day_style_key_and_tier_each_sum_to_what_left_the_purse(world: World):
    style, other, client = await world.style(), await world.style(), await world.client(prepaid=50_000)
    await world.tax(client, 1900)
    key = await world.key(client)
    await world.sold(style, client, count=2, key_id=key.id)
    sale = await world.sold(style, client, tier="commercial")
    await world.subscribe(client)
    await world.sold(style, client)
    world.later(days=1)
    licence = await world.buy_licence(other, client)
    assert isinstance(licence, plans.Allowance)
    await world.sold(other, client, count=4)
    world.later(days=1)
    await world.refund(f"out_{sale.order_id}_0")
    papers = await world.invoice(client)

    found = await spent_in(world, client)

    plan = world.prices.plans["studio"].price.amount
    offer = style.tiers["personal"].offer
    assert offer is not None
    bought = offer.price.amount
    assert found.net == eur(120 + plan + bought) == papers[0].net
    assert found.net + found.tax == eur(50_000) - (await world.usage(client)).prepaid == papers[0].total
    assert found.tax == papers[0].tax
    assert {part.of: (part.pictures, part.net.amount) for part in found.by_style} == {
        style.style_id: (2, 120),
        other.style_id: (0, bought),
        None: (0, plan),
    }
    assert {part.of: part.net.amount for part in found.by_key} == {key.id: 120, None: plan + bought}
    assert {part.of: part.net.amount for part in found.by_tier} == {
        "personal": 120 + bought,
        "commercial": 0,
        None: plan,
    }
    for parts in (found.by_day, found.by_style, found.by_key, found.by_tier):
        assert sum(part.net.amount for part in parts) == found.net.amount
        assert sum(part.tax.amount for part in parts) == found.tax.amount
    assert [day.net.amount for day in found.by_day[2:5]] == [120 + 450 + plan, bought, -450]
    assert len(found.by_day) == 30


async def test_what_comes_on_account_is_spent_when_it_is_made_and_not_when_it_is_paid(world: World):
    style, client = await world.style(), await world.client(prepaid=10_000)
    plan = replace(world.prices.plans["studio"], units=1, price=eur(100))
    await world.subscribe(client, plan=plan)
    await world.cap_overage(client, 500)
    await world.sold(style, client)
    world.later(days=1)
    await world.sold(style, client)
    (paper,) = await world.invoice(client)

    found = await spent_in(world, client)

    assert paper.due > eur(0)
    assert found.net == eur(100) + paper.due
    assert (await spent_in(world, new_id("acc"))).net == eur(0)


MONDAY = date(2025, 11, 17)


def course(**weeks: list[int]) -> dict[date, int]:
    """Minor units by day: `weeks` from Monday to Sunday, w1 for the week before MONDAY, w2 for the one before."""
    return {
        MONDAY - timedelta(weeks=int(name[1:])) + timedelta(days=number): amount
        for name, amounts in weeks.items()
        for number, amount in enumerate(amounts)
    }


def test_a_forecast_is_what_is_booked_and_the_mean_of_the_last_weeks_courses():
    by_day = course(w1=[10, 0, 0, 0, 0, 0, 100], w2=[20, 0, 0, 5, 0, 0, 50]) | {MONDAY: 4}

    found = forecast(by_day, booked=500, known=30, since=MONDAY - timedelta(days=14), on=MONDAY)

    # Of this Monday what goes beyond 4; one more Monday, two Thursdays, two Sundays until the 30th.
    nearer, farther = (10 - 4) + 10 + 2 * 100, (20 - 4) + 20 + 2 * 5 + 2 * 50
    assert found == Forecast(
        month="2025-11",
        booked=eur(500),
        known=eur(30),
        expected=eur(530 + (nearer + farther) // 2),
        low=eur(530 + farther),
        high=eur(530 + nearer),
        weeks=2,
    )


def test_a_day_that_brought_more_than_its_weekday_takes_nothing_from_the_days_to_come():
    by_day = course(w1=[10] * 7, w2=[10] * 7) | {MONDAY: 1000}

    found = forecast(by_day, booked=1000, known=0, since=date(2025, 1, 1), on=MONDAY)

    assert found is not None
    assert found.weeks == 8
    assert (found.low, found.expected, found.high) == (eur(1000), eur(1000 + 2 * 130 // 8), eur(1130))


def test_there_is_no_forecast_before_two_full_weeks_and_one_on_a_months_last_day():
    last = date(2025, 11, 30)

    assert forecast({}, booked=5, known=0, since=last - timedelta(days=13), on=last) is None
    found = forecast({}, booked=5, known=0, since=last - timedelta(days=14), on=last)
    assert found is not None
    assert (found.low, found.expected, found.high) == (eur(5), eur(5), eur(5))


async def test_forecasts_of_both_sides_go_by_what_was_sold(world: World):
    style, client = await world.style(), await world.client(prepaid=100_000)
    await world.tax(client, 1900)
    world.now = datetime(2025, 9, 1, 12, tzinfo=UTC)
    async with world.pool.acquire() as conn:
        assert await earnings_forecast(conn, creator_id=style.creator_id, now=world.now) is None
    for _ in range(10):
        await world.sold(style, client)
        world.later(days=7)
    async with world.pool.acquire() as conn:
        await charge_training(
            conn,
            **{"training_id": new_id("trn"), "style_id": style.style_id, "creator_id": style.creator_id},
            **{"amount": eur(20), "now": world.now},
        )
    await world.subscribe(client, plan=replace(world.prices.plans["studio"], price=eur(777)))
    world.later(days=1)

    async def ask(conn: asyncpg.Connection) -> list[Forecast | None]:
        return [
            await earnings_forecast(conn, creator_id=style.creator_id, now=world.now),
            await spend_forecast(conn, client_id=client, now=world.now),
            await spend_forecast(conn, client_id=client, now=world.now + timedelta(days=22)),
        ]

    earning, spending, later = await whatever_is_summed(world, ask)

    # Of the Mondays from 1 September on the last sale was on 3 November; it is Tuesday the 11th.
    assert earning is not None
    assert (earning.month, earning.weeks, earning.booked) == ("2025-11", 8, eur(51 - 20))
    assert (earning.low, earning.expected, earning.high) == (eur(31), eur(31 + 7 * 2 * 51 // 8), eur(31 + 2 * 51))
    assert spending is not None
    assert (spending.booked, spending.known) == (eur(60 + 777), eur(0))
    assert spending.expected == eur(837 + 7 * 2 * 60 // 8)
    assert later is not None
    assert (later.month, later.known) == ("2025-12", eur(777)), "the plan renews on 10 December"


async def test_a_price_that_fell_is_told_on_the_day_its_median_fell_by_more_than_the_percent(world: World):
    style, client = await world.style(), await world.client(prepaid=100_000)
    start = world.now = datetime(2025, 1, 1, 12, tzinfo=UTC)
    # 100 a picture until the 120th day, and 80 from then on, one a day.
    for number in range(260):
        if number in (0, 120):
            style = await priced(world, style, 100 if number == 0 else 80)
        await world.sold(style, client)
        world.later(days=1)

    watches = [await watch(world, style, start + timedelta(days=number)) for number in range(1, 261)]
    strict = [await watch(world, style, start + timedelta(days=number), percent=20) for number in (165, 180, 230)]

    # The 90 days before day n have 80 as their lower median once at least 45 of them cost that: days 120 to 164.
    assert next(number for number, one in enumerate(watches, 1) if one.is_alert) == 165
    assert [one.is_alert for one in watches[164:]] == [True] * 90 + [False] * 6
    tripped = watches[164].tiers[0]
    assert (tripped.tier, tripped.before, tripped.after) == ("personal", eur(100), eur(80))
    assert (tripped.pictures_before, tripped.pictures_after) == (75, 90)
    assert not any(one.is_alert for one in strict), "a fall by 20 % is not one by more than 20 %"
    assert (watches[0].tiers[0].before, watches[0].tiers[0].after) == (None, eur(100))


async def priced(world: World, style: StyleTerms, amount: int) -> StyleTerms:
    tiers = {**style.tiers, "personal": replace(style.tiers["personal"], price=eur(amount), offer=None)}
    async with world.pool.acquire() as conn:
        stored = await put_terms(conn, replace(style, tiers=tiers), by=style.creator_id, now=world.now)
    assert isinstance(stored, StyleTerms)
    return stored


async def watch(world: World, style: StyleTerms, now: datetime, **given: int) -> PriceWatch:
    """The same, whichever days were summed before."""
    async with world.undone() as conn:
        found = await price_watch(conn, creator_id=style.creator_id, now=now, **given)
        await close_days(conn, now=now - timedelta(days=now.day))
        assert await price_watch(conn, creator_id=style.creator_id, now=now, **given) == found
        return found


async def test_a_picture_that_was_taken_back_has_no_price(world: World):
    style, client = await world.style(), await world.client(prepaid=10_000)
    sale = await world.sold(style, client)
    async with world.undone() as conn:
        await close_days(conn, now=world.now + timedelta(days=2))
        # Taken back after its day was summed.
        await refund_output(conn, output_id=f"out_{sale.order_id}_0", reason="broken", by="test", now=world.now)
        watched = await price_watch(conn, creator_id=style.creator_id, now=world.now + timedelta(days=3))
        assert watched.tiers == ()
    await world.refund(f"out_{sale.order_id}_0")

    assert (await watch(world, style, world.now + timedelta(days=1))).tiers == ()


async def test_ten_thousand_sales_are_summed_by_one_query_over_an_index(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    async with world.undone() as conn:
        await many_sales(conn, f"out_{sale.order_id}_0", style.creator_id, 10_000)
        for _ in range(10):
            await many_sales(conn, f"out_{sale.order_id}_0", new_id("acc"), 1_000)
        await conn.execute("ANALYZE licensing.output, licensing.entry, licensing.entry_group")
        await conn.execute("SET LOCAL ROLE ownhand_app")
        await conn.execute("SELECT set_config('ownhand.acting', $1, true)", style.creator_id)
        start = datetime.now(UTC)
        found = await earned(conn, creator_id=style.creator_id, days=NOVEMBER, now=world.now)
        seconds = (datetime.now(UTC) - start).total_seconds()
        plan = await conn.fetch("EXPLAIN " + statements.LINES, style.creator_id, "EUR", NOVEMBER.since, NOVEMBER.until)

    assert found.pictures == 10_001
    assert found.share == Money(10_001 * 51, "EUR")
    assert "output_by_creator" in "\n".join(row[0] for row in plan)
    assert not any("Seq Scan on output" in row[0] or "Seq Scan on entry" in row[0] for row in plan)
    assert seconds < 3, "about 0.07 on a quiet machine; a page waits for it"


async def test_a_month_reads_nothing_of_the_months_before_it(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    later = world.now + timedelta(days=60)
    async with world.undone() as conn:
        await many_sales(conn, f"out_{sale.order_id}_0", style.creator_id, 10_000)
        await conn.execute("ANALYZE licensing.output, licensing.entry, licensing.entry_group")
        before = await read_here(conn)
        found = await statements.statement(conn, creator_id=style.creator_id, month=f"{later:%Y-%m}")
        after = await read_here(conn)

    assert (found.lines, found.opening) == ((), Money(10_001 * 51, "EUR"))
    # What was payable before is a sum over an index; of what is older hardly a group is read: a stretch of a thousand
    # for each of the statement's questions.
    assert after["entry_group"] - before["entry_group"] < 6_000
    assert after["output"] - before["output"] < 100


async def test_what_a_client_spent_is_found_without_reading_what_others_bought(world: World):
    style, client = await world.style(), await world.client(prepaid=10_000)
    sales = [await world.sold(style, client) for _ in range(5)]
    await world.refund(f"out_{sales[0].order_id}_0")
    async with world.undone() as conn:
        await many_sales(conn, f"out_{sales[1].order_id}_0", style.creator_id, 10_000)
        await conn.execute("ANALYZE licensing.output, licensing.entry, licensing.entry_group")
        await conn.execute("SET LOCAL ROLE ownhand_app")
        await conn.execute("SELECT set_config('ownhand.acting', $1, true)", client)
        before = await read_here(conn)
        found = await spent(conn, client_id=client, days=NOVEMBER)
        page = await charges(conn, client_id=client, limit=50)
        after = await read_here(conn)

    assert (found.pictures, found.net) == (4, eur(4 * 60))
    assert not isinstance(page, Refusal)
    assert len(page) == 6
    assert after["output"] - before["output"] < 20
    assert after["entry_group"] - before["entry_group"] < 100


async def test_all_that_was_ever_earned_is_the_sum_of_all_lines(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    sale = await world.sold(style, client)
    later = world.now + timedelta(days=60)
    async with world.undone() as conn:
        await many_sales(conn, f"out_{sale.order_id}_0", style.creator_id, 3_000)
        found = await earnings(conn, creator_id=style.creator_id, now=later)
        before = await earnings(conn, creator_id=style.creator_id, now=world.now)
        lines = await conn.fetchrow(
            f"SELECT count(*) AS pictures, sum(share)::bigint AS share FROM ({statements.LINES}) AS lines",
            *(style.creator_id, "EUR", world.now - timedelta(days=1), later),
        )

    assert (
        (found.pictures, found.by_style[0].share.amount) == (lines["pictures"], lines["share"]) == (3_001, 3_001 * 51)
    )
    assert (before.pictures, before.by_style[0].share) == (1, eur(51))


async def read_here(conn: asyncpg.Connection) -> dict[str, int]:
    """By table, what this transaction read of it so far."""
    rows = await conn.fetch(
        "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS num FROM pg_stat_xact_user_tables"
        " WHERE schemaname = 'licensing'"
    )
    return {row["relname"]: row["num"] for row in rows}


async def many_sales(conn: asyncpg.Connection, output_id: str, creator_id: str, count: int) -> None:
    """A sale as often again as a creator's, one a minute, with groups and entries as the ledger has them."""
    await conn.execute("SET LOCAL session_replication_role = replica")
    await conn.execute(
        """
        WITH made AS (
            INSERT INTO licensing.output SELECT (jsonb_populate_record(o, jsonb_build_object(
                'output_id', concat_ws('-', $2::text, o.output_id, n), 'creator_id', $2::text,
                'order_id', concat_ws('-', $2::text, o.order_id, n),
                'settled_at', o.settled_at + make_interval(mins => n)))).*
            FROM licensing.output o, generate_series(1, $3) n WHERE o.output_id = $1
            RETURNING order_id, settled_at
        ), posted AS (
            INSERT INTO licensing.entry_group (kind, subject, body, at, commit_no)
            SELECT 'sale', order_id, '{}', settled_at, 0 FROM made RETURNING group_no
        )
        INSERT INTO licensing.entry (group_no, line, account_id, unit, amount)
            SELECT group_no, 1, 'payable:' || $2 || ':EUR', 'EUR', 51 FROM posted
        """,
        *(output_id, creator_id, count),
    )


async def test_charges_one_by_one_sum_to_what_was_spent_and_come_by_pages(world: World):
    world.now = datetime(2025, 11, 3, 9, tzinfo=UTC)
    style, client = await world.style(), await world.client(prepaid=50_000)
    await world.tax(client, 1900)
    await world.subscribe(client)
    for count in (3, 1, 2):
        await world.sold(style, client, count=count, tier="commercial")
        world.later(hours=1)
    async with world.pool.acquire() as conn:
        whole = await charges(conn, client_id=client, limit=100)
        pages, before = [], None
        while page := await charges(conn, client_id=client, limit=2, before=before):
            pages += page
            before = page[-1].id
        unknown = await charges(conn, client_id=client, limit=2, before="sale:nothing")
        theirs = await charges(conn, client_id=await world.client(), limit=2)
        found = await spent(conn, client_id=client, days=NOVEMBER)

    assert pages == whole
    assert whole[-1].kind == "plan"
    assert [one.at for one in whole] == sorted((one.at for one in whole), reverse=True)
    assert sum(one.net.amount for one in whole) == found.net.amount
    assert sum(one.tax.amount for one in whole) == found.tax.amount
    assert sum(one.pictures for one in whole) == found.pictures
    assert "There is no charge sale:nothing" in refused(unknown, "invalid_request").message
    assert theirs == []


@pytest.mark.parametrize("stride", [1, 2, 3, 100])
async def test_of_a_long_purse_only_the_days_that_are_asked_for_are_read(world: World, stride: int):
    world.now = datetime(2025, 11, 1, 9, tzinfo=UTC)
    style, client = await world.style(), await world.client(prepaid=50_000)
    for _ in range(12):
        await world.sold(style, client)
        world.later(days=2)
    since, until = datetime(2025, 11, 10, tzinfo=UTC), datetime(2025, 11, 16, tzinfo=UTC)
    accounts = purses(client, "EUR")
    async with world.pool.acquire() as conn:
        parts = await conn.fetch("SELECT * FROM licensing.stretch_of($1, $2, $3, $4)", accounts, since, until, stride)
        rows = await conn.fetch(
            "SELECT e.account_id, e.group_no, g.at FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)"
            " WHERE e.account_id = ANY ($1)",
            accounts,
        )

    read = {
        row["at"]
        for row in rows
        for part in parts
        if part["account_id"] == row["account_id"] and part["after"] < row["group_no"] < part["upto"]
    }
    assert {part["account_id"] for part in parts} == set(accounts)
    assert {row["at"] for row in rows if since <= row["at"] < until} <= read
    assert (len(read) < len({row["at"] for row in rows})) is (stride < 100)
    if stride == 1:
        assert min(read) >= since - timedelta(days=1)
        assert max(read) <= until + timedelta(days=1)
