"""A flat sum a month: owed once, dearer after a notice alone, and never in the way of what a creator earned."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from licensing import dues, statements
from licensing.analytics.months import statement_months
from licensing.dues import DuesStanding, Posted
from licensing.errors import LedgerBroken, PricesInvalid
from licensing.ledger import check
from licensing.papers.tables import statement_csv
from licensing.prices import load_prices
from licensing.terms import StyleTerms
from tests.licensing.paying import acting, due, end, forget_words, open_one, opened, sell, seller, sums
from tests.licensing.world import PRICES, World, eur, new_id, refused

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONTH = 2500


async def say(world: World, cents: int, now: datetime | None = None) -> bool:
    async with world.pool.acquire() as conn:
        return await dues.say_dues(conn, eur(cents), now=now or world.now)


async def post(world: World, creator_id: str, month: str, **changes: Any) -> Any:
    wanted = {"currency": "EUR", "here_since": LONG_AGO, "now": world.now} | changes
    async with world.pool.acquire() as conn:
        return await dues.post_dues(conn, creator_id=creator_id, month=month, **wanted)


async def let(world: World, creator_id: str, takes: bool) -> bool:
    async with world.pool.acquire() as conn:
        return await dues.let_dues_be_taken(conn, creator_id=creator_id, takes=takes, by=creator_id, now=world.now)


async def lower(world: World, creator_id: str, cents: int, reference: str, how: Any = "paid") -> Any:
    about = {"how": how, "creator_id": creator_id, "amount": eur(cents), "reference": reference, "by": "op"}
    async with world.pool.acquire() as conn:
        return await dues.lower_dues(conn, **about, now=world.now)


async def owed(world: World, creator_id: str) -> int:
    async with world.pool.acquire() as conn:
        return (await dues.dues_standing(conn, creator_id=creator_id)).owed.amount


async def ahead(world: World, now: datetime) -> dict[str, int]:
    async with world.pool.acquire() as conn:
        return {one.month: one.amount.amount for one in await dues.dues_ahead(conn, now=now)}


@pytest.fixture
async def asked(world: World) -> World:
    """A place that has asked for dues long enough; its clock stands at the beginning of a month."""
    await forget_words(world)
    await say(world, MONTH, world.now - timedelta(days=59))
    world.now = datetime(2025, 12, 1, 0, 0, 1, tzinfo=UTC)
    return world


async def earner(world: World, pictures: int = 10) -> StyleTerms:
    """A creator who sold pictures in November and has said where to be paid."""
    begin = world.now
    world.now = begin - timedelta(days=20)
    style = await seller(world, pictures=pictures)
    world.now = begin
    return style


async def test_a_month_is_owed_once_however_often_and_by_however_many_it_is_posted(asked: World):
    creator = new_id("acc")

    answers = await asyncio.gather(*(post(asked, creator, "2025-12") for _ in range(16)))
    later = await post(asked, creator, "2025-12", now=asked.now + timedelta(days=40))
    earlier = await post(asked, creator, "2025-12", now=asked.now - timedelta(seconds=1))

    assert sorted(one.repeated for one in answers) == [False, *[True] * 15]
    assert {one.amount for one in (*answers, later, earlier)} == {eur(MONTH)}
    assert later.repeated
    assert earlier.repeated
    assert await owed(asked, creator) == MONTH
    assert await asked.balance(f"dues:{creator}:EUR") == -MONTH
    async with asked.pool.acquire() as conn:
        assert await check(conn) == []


async def test_months_are_those_of_utc_and_none_is_owed_before_it_begins(asked: World):
    creator, begins = new_id("acc"), datetime(2026, 1, 1, tzinfo=UTC)
    refused(await post(asked, creator, "2026-01", now=begins - timedelta(microseconds=1)), "conflict")

    async with asked.pool.acquire() as conn:
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
            await conn.execute(f"SET timezone = '{zone}'")
            told = [one.amount.amount for one in await dues.dues_ahead(conn, now=begins)]
            assert told == [MONTH] * 4
    done = await post(asked, creator, "2026-01", now=begins)

    assert (done.amount, done.repeated) == (eur(MONTH), False)
    assert await owed(asked, creator) == MONTH


async def test_a_creator_who_never_paid_anything_is_paid_out_in_full_and_in_time(asked: World):
    style = await earner(asked)
    assert isinstance(await post(asked, style.creator_id, "2025-12"), Posted)
    before = await sums(asked, style.creator_id)

    assert style.creator_id in await due(asked), "a payday is a payday"
    payout = await opened(asked, style.creator_id)
    await end(asked, payout.id)
    for month in ("2026-01", "2026-02", "2026-03"):
        asked.now = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        await post(asked, style.creator_id, month)
        await sell(asked, style, 2)
        await end(asked, (await opened(asked, style.creator_id)).id)

    assert before == (510, 0, 0, 0)
    assert payout.amount == eur(510)
    assert await sums(asked, style.creator_id) == (0, 0, 0, 510 + 3 * 102)
    assert await owed(asked, style.creator_id) == 4 * MONTH, "nothing was set against it"


async def test_with_a_yes_it_is_taken_on_the_first_and_never_more_than_is_there(asked: World):
    style = await earner(asked)
    creator = style.creator_id
    assert await let(asked, creator, True)
    assert not await let(asked, creator, True)

    first = await post(asked, creator, "2025-12")
    again = await post(asked, creator, "2025-12")
    taken = await sums(asked, creator)
    await sell(asked, style, 60)
    asked.now = datetime(2026, 1, 1, tzinfo=UTC)
    second = await post(asked, creator, "2026-01")

    assert (first.amount, first.taken) == (eur(MONTH), eur(510))
    assert again.repeated
    assert again.taken == eur(510)
    assert taken == (0, 0, 0, 0), "payable is never below zero for it"
    assert second.taken == eur(60 * 51), "with what was left of the month before"
    assert await owed(asked, creator) == 2 * MONTH - 510 - 60 * 51
    async with asked.pool.acquire() as conn:
        assert await check(conn) == []


async def test_with_a_yes_no_more_is_taken_than_is_owed(asked: World):
    style = await earner(asked, pictures=100)
    await let(asked, style.creator_id, True)

    done = await post(asked, style.creator_id, "2025-12")

    assert done.taken == eur(MONTH)
    assert (await sums(asked, style.creator_id))[0] == 5100 - MONTH
    assert await owed(asked, style.creator_id) == 0


async def test_a_yes_that_was_taken_back_counts_no_more_and_what_is_below_zero_stays_there(asked: World):
    style, poor = await earner(asked), await asked.style()
    await let(asked, style.creator_id, True)
    await let(asked, style.creator_id, False)
    await let(asked, poor.creator_id, True)
    async with asked.pool.acquire() as conn:
        await conn.execute(
            "SELECT licensing.charge_training($1, $2, $3, 400, 'EUR', $4)",
            *(new_id("trn"), poor.style_id, poor.creator_id, asked.now),
        )

    for creator in (style.creator_id, poor.creator_id):
        done = await post(asked, creator, "2025-12")
        assert (done.amount, done.taken) == (eur(MONTH), eur(0))

    assert (await sums(asked, style.creator_id))[0] == 510
    assert (await sums(asked, poor.creator_id))[0] == -400


async def test_of_a_payout_and_the_dues_at_once_each_takes_what_the_other_left(asked: World):
    for _ in range(5):
        style = await earner(asked)
        await let(asked, style.creator_id, True)
        await asyncio.gather(post(asked, style.creator_id, "2025-12"), open_one(asked, style.creator_id))

        payable, _, paying, _ = await sums(asked, style.creator_id)
        taken = MONTH - await owed(asked, style.creator_id)
        assert payable == 0
        assert sorted((paying, taken)) == [0, 510]


async def test_who_is_new_owes_nothing_for_months_that_begin_within_the_notice(asked: World):
    begins = datetime(2025, 12, 1, tzinfo=UTC)
    here = {new_id("acc"): begins - timedelta(days=30), new_id("acc"): begins - timedelta(days=29, hours=23)}

    told = [await post(asked, creator, "2025-12", here_since=since) for creator, since in here.items()]

    assert [one.amount for one in told] == [eur(MONTH), eur(0)]


async def test_a_rise_waits_for_its_notice_and_a_fall_does_not(asked: World):
    december = datetime(2025, 12, 1, tzinfo=UTC)

    # 30 days before January begins, to the microsecond, and one later.
    assert await say(asked, 2900, december + timedelta(days=1))
    assert not await say(asked, 2900, december + timedelta(days=1))
    in_time = await ahead(asked, december + timedelta(days=1))
    await say(asked, 3000, december + timedelta(days=1, microseconds=1))
    risen = await ahead(asked, december + timedelta(days=2))
    await say(asked, 4000, december + timedelta(days=5))
    await say(asked, 2800, december + timedelta(days=6))
    changed = await ahead(asked, december + timedelta(days=6))
    await say(asked, 0, december + timedelta(days=20))
    ended = await ahead(asked, december + timedelta(days=20))
    await say(asked, MONTH, december + timedelta(days=21))

    assert in_time == {"2025-12": MONTH, "2026-01": 2900, "2026-02": 2900, "2026-03": 2900}
    assert risen == {"2025-12": MONTH, "2026-01": 2900, "2026-02": 3000, "2026-03": 3000}
    assert changed == {"2025-12": MONTH, "2026-01": 2800, "2026-02": 2800, "2026-03": 2800}
    assert ended == {"2025-12": MONTH, "2026-01": 0, "2026-02": 0, "2026-03": 0}
    assert await ahead(asked, december + timedelta(days=21)) == {
        "2025-12": MONTH,
        "2026-01": 0,
        "2026-02": MONTH,
        "2026-03": MONTH,
    }


async def test_what_is_paid_or_waived_is_owed_no_more_and_once_a_reference(asked: World):
    creator = new_id("acc")
    await post(asked, creator, "2025-12")
    line, cash = new_id("bank"), await asked.balance("cash:operator:EUR")

    paid = [await lower(asked, creator, 1000, line) for _ in range(2)]
    refused(await lower(asked, creator, 1001, line), "conflict")
    refused(await lower(asked, new_id("acc"), 1000, line), "conflict")
    refused(await lower(asked, creator, 0, new_id("bank")), "invalid_request")
    refused(await lower(asked, creator, 1501, new_id("wvr"), "waived"), "conflict")
    waived = await lower(asked, creator, 500, new_id("wvr"), "waived")
    ahead_of_it = await lower(asked, creator, 1300, new_id("bank"))

    assert all(isinstance(one, DuesStanding) and one.owed == eur(1500) for one in paid)
    assert await asked.balance("cash:operator:EUR") == cash - 2300
    assert waived.owed == eur(1000)
    assert ahead_of_it.owed == eur(-300), "what is paid ahead counts for the next month"
    async with asked.pool.acquire() as conn:
        assert await check(conn) == []


async def test_the_statement_tells_the_debt_beside_the_earnings(asked: World):
    style = await earner(asked)
    creator = style.creator_id
    await let(asked, creator, True)
    await post(asked, creator, "2025-12")
    asked.later(days=3)
    await sell(asked, style, 1)
    await lower(asked, creator, 90, line := new_id("bank"))

    async with asked.pool.acquire() as conn:
        november = await statements.statement(conn, creator_id=creator, month="2025-11")
        found = await statements.statement(conn, creator_id=creator, month="2025-12")
        months = await statement_months(conn, creator_id=creator, now=asked.now)
        assert [month for month, _ in months] == ["2025-12", "2025-11"]

    assert november.dues.is_empty
    assert [(one.kind, one.subject, one.amount.amount) for one in found.dues.lines] == [
        ("dues", "2025-12", MONTH),
        ("dues_taken", "2025-12", -510),
        ("dues_paid", line, -90),
    ]
    assert (found.dues.opening, found.dues.closing) == (eur(0), eur(MONTH - 600))
    assert found.total == eur(51), "what was earned is what it was"
    assert [(one.kind, one.amount.amount) for one in found.movements] == [("dues_taken", -510)]
    assert found.closing == found.opening + found.total - eur(510)
    rows = statement_csv(found).decode().splitlines()
    assert [row.split(",", 1)[1] for row in rows if ",dues" in row] == [
        f"{kind},,,,,,0,0,0,0,0,EUR,{cents}"
        for kind, cents in (("dues", MONTH), ("dues_taken", -510), ("dues_paid", -90))
    ]


async def test_each_creator_sees_their_own_debt_and_answers_for_themselves_alone(asked: World, licensing_url: str):
    mine, other = new_id("acc"), new_id("acc")
    for creator in (mine, other):
        await post(asked, creator, "2025-12")

    async with acting(licensing_url, mine) as conn:
        seen = await conn.fetch("SELECT creator_id FROM licensing.dues")
        assert (await dues.dues_standing(conn, creator_id=mine)).owed == eur(MONTH)
        assert (await dues.dues_standing(conn, creator_id=other)).owed == eur(0)
        assert await dues.let_dues_be_taken(conn, creator_id=mine, takes=True, by=mine, now=asked.now)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dues.let_dues_be_taken(conn, creator_id=other, takes=True, by=mine, now=asked.now)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dues.lower_dues(
                conn, how="paid", creator_id=mine, amount=eur(1), reference="r", by=mine, now=asked.now
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dues.say_dues(conn, eur(1), now=asked.now)

    assert {row["creator_id"] for row in seen} == {mine}


async def test_the_tables_refuse_what_must_never_be(asked: World):
    creator = new_id("acc")
    await post(asked, creator, "2025-12")
    async with asked.pool.acquire() as conn:
        for statement in (
            "UPDATE licensing.dues SET amount = 0 WHERE creator_id = $1",
            "DELETE FROM licensing.dues WHERE creator_id = $1",
            "INSERT INTO licensing.dues VALUES ($1, '2025-12-01', 1, 0, 'EUR', now())",
            "INSERT INTO licensing.dues VALUES ($1, '2026-02-02', 1, 0, 'EUR', now())",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await conn.execute(statement, creator)
    with pytest.raises(LedgerBroken, match="cannot cost"):
        await say(asked, -1)


def test_a_place_asks_for_nothing_unless_its_prices_do(tmp_path: Path):
    shipped = PRICES.read_text()
    without, dear, wrong = tmp_path / "without.toml", tmp_path / "dear.toml", tmp_path / "wrong.toml"
    without.write_text(shipped.replace("[dues]\nmonth = 0\n", ""))
    dear.write_text(shipped.replace("[dues]\nmonth = 0\n", "[dues]\nmonth = 2500\n"))
    wrong.write_text(shipped.replace("[dues]\nmonth = 0\n", "[dues]\nmonth = -1\n"))

    assert load_prices(PRICES).dues == load_prices(without).dues == eur(0)
    assert load_prices(dear).dues == eur(2500)
    with pytest.raises(PricesInvalid, match="month must be"):
        load_prices(wrong)
