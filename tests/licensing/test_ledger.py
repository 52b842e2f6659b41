"""The ledger keeps itself: rows that may not change, a chain that shows who changed them all the same."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import create_engine, inspect, make_url

import licensing
from licensing import checkpoints, tables
from licensing.ledger import RULES, SUMMED, balance, check, entries
from licensing.migrate import migrate
from licensing.payments import manual
from tests.licensing.world import World, eur, new_id, refused
from tests.postgres import Server


@pytest_asyncio.fixture
async def own_world(postgres: Server, migrated_template: str) -> AsyncIterator[World]:
    """A world in a database of its own, which a test may damage."""
    name = postgres.create_database(template=migrated_template)
    async with asyncpg.create_pool(postgres.url(name), min_size=1, max_size=8) as pool:
        yield World(pool=pool)
    postgres.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def busy_world(postgres: Server, migrated_template: str) -> AsyncIterator[World]:
    """A world in which a little of everything has happened, for tests that leave it as they found it."""
    name = postgres.create_database(template=migrated_template)
    async with asyncpg.create_pool(postgres.url(name), min_size=1, max_size=2) as pool:
        world = World(pool=pool)
        await live_a_little(world)
        yield world
    postgres.drop_database(name)


async def live_a_little(world: World) -> None:
    style, client = await world.style(), await world.client(prepaid=20_000)
    await world.subscribe(client)
    await world.sold(style, client, count=3)
    await world.sold(style, client, tier="exclusive")
    await world.buy_licence(style, client)
    await world.sold(style, client, count=2)
    await world.held(style, client)
    await world.set_level(await world.style(style.creator_id), "off")


async def test_all_that_happens_keeps_every_rule(own_world: World):
    await live_a_little(own_world)

    async with own_world.pool.acquire() as conn:
        assert await check(conn) == []
        events = [row["kind"] for row in await conn.fetch("SELECT kind FROM licensing.entry_group ORDER BY group_no")]
        assert events == ["credit", "plan", "sale", "sale", "licence", "sale"]
        assert await conn.fetchval("SELECT sum(groups) FROM licensing.link") == len(events)
        assert (
            await conn.fetchval(
                "SELECT count(*) FROM (SELECT sum(amount) FROM licensing.entry GROUP BY group_no, unit"
                " HAVING sum(amount) <> 0) uneven"
            )
            == 0
        )


async def test_entries_of_an_account_are_read_in_order_and_sum_to_its_balance(world: World):
    client, style = await world.client(prepaid=500), await world.style()
    await world.sold(style, client, count=2)

    async with world.pool.acquire() as conn:
        lines = await entries(conn, f"prepaid:{client}:EUR")
        rest = await entries(conn, f"prepaid:{client}:EUR", after=lines[0].group_no)
        total = await balance(conn, f"prepaid:{client}:EUR")

    assert [(line.kind, line.amount) for line in lines] == [("credit", 500), ("sale", -120)]
    assert rest == lines[1:]
    assert total == 380


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing.entry SET amount = amount + 1",
        "DELETE FROM licensing.entry",
        "TRUNCATE licensing.entry",
        "UPDATE licensing.entry_group SET body = '{}'",
        "DELETE FROM licensing.link",
        "TRUNCATE licensing.checkpoint",
        "UPDATE licensing.switch_event SET actor = 'me'",
        "UPDATE licensing.terms SET fee_bps = 0",
        "UPDATE licensing.tier SET price = 0",
        "UPDATE licensing.hold SET charged = 0 WHERE state = 'settled'",
        "DELETE FROM licensing.hold",
        "UPDATE licensing.output SET price = 0, share = 0, fee = 0",
        "DELETE FROM licensing.output",
        "UPDATE licensing.budget SET posted = granted + 1 WHERE kind = 'prepaid'",
        "UPDATE licensing.budget SET pending = -1",
    ],
)
async def test_no_statement_rewrites_what_happened(busy_world: World, statement: str):
    async with busy_world.pool.acquire() as conn:
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            await conn.execute(statement)
        assert await check(conn) == []


async def test_a_group_that_does_not_sum_to_zero_cannot_be_committed(busy_world: World):
    uneven = "SELECT licensing.post('gift', 'g', '{}', now(), ARRAY['cash:operator:EUR', 'gift:a:EUR'], ARRAY[-1, 2])"

    async with busy_world.pool.acquire() as conn:
        with pytest.raises(asyncpg.CheckViolationError, match="sum to 1 EUR"):
            await conn.fetchval(uneven)

        assert await balance(conn, "gift:a:EUR") == 0


async def test_one_event_is_posted_once_whoever_posts_it(busy_world: World):
    again = """SELECT licensing.post(kind, subject, body, at, ARRAY['cash:operator:EUR', 'prepaid:a:EUR'], ARRAY[-1, 1])
               FROM licensing.entry_group WHERE kind = $1 LIMIT 1"""

    async with busy_world.pool.acquire() as conn:
        for kind in ("credit", "sale", "plan", "licence"):
            with pytest.raises(asyncpg.UniqueViolationError, match="entry_group_once"):
                await conn.fetchval(again, kind)


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        ("UPDATE licensing.entry SET amount = amount * 2 WHERE group_no = 2", "every link is the hash of its groups"),
        (
            "UPDATE licensing.entry_group SET subject = 'other' WHERE group_no = 2",
            "every link is the hash of its groups",
        ),
        ("UPDATE licensing.entry_group SET body = body || '{\"a\": 1}' WHERE group_no = 2", "every link is the hash"),
        (
            "UPDATE licensing.entry_group SET at = at + interval '1 microsecond' WHERE group_no = 2",
            "every link is the hash",
        ),
        ("DELETE FROM licensing.entry WHERE group_no = 2", "every link is the hash of its groups"),
        ("DELETE FROM licensing.link WHERE seq = 1", "every link follows the one before it"),
        ("UPDATE licensing.link SET hash = sha256('x') WHERE seq = 1", "every link follows the one before it"),
        (
            "UPDATE licensing.budget SET granted = granted + 1 WHERE kind = 'prepaid'",
            "a budget has left what its account has",
        ),
        (
            "UPDATE licensing.budget SET pending = pending + 1 WHERE kind = 'units'",
            "what is pending is what open orders hold",
        ),
        ("DELETE FROM licensing.output WHERE tier = 'exclusive'", "a settled order has its outputs and its price"),
        (
            "UPDATE licensing.output SET price = 1, share = 1, fee = 0 WHERE tier = 'exclusive'",
            "a sale posts to the creator",
        ),
        ("DELETE FROM licensing.account", "every entry is in the account it names"),
        ("UPDATE licensing.output SET revoked_at = now(), revoked_reason = 'x'", "a revoked output was refunded"),
    ],
)
async def test_the_check_finds_what_an_administrator_changed(busy_world: World, tampering: str, rule: str):
    async with busy_world.pool.acquire() as conn:
        undone = conn.transaction()
        await undone.start()
        await conn.execute("SET LOCAL session_replication_role = replica")  # triggers and foreign keys off
        await conn.execute(tampering)
        problems = await check(conn)
        await undone.rollback()

    assert any(problem.rule.startswith(rule) for problem in problems), problems


async def test_commits_at_the_same_time_do_not_wait_for_one_chain(own_world: World):
    async def credit_and_linger() -> None:
        async with own_world.pool.acquire() as conn, conn.transaction():
            await manual.credit(conn, new_id("acc"), eur(1), new_id("ref"), own_world.now)
            await conn.execute(
                "SET CONSTRAINTS ALL IMMEDIATE"
            )  # makes the link now and keeps its lane until the commit
            started.append(1)
            while len(started) < 4:
                await asyncio.sleep(0.005)

    await own_world.client(prepaid=1)  # the operator's cash account is made by the first credit
    started: list[int] = []
    await asyncio.wait_for(asyncio.gather(*(credit_and_linger() for _ in range(4))), 5)

    async with own_world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(DISTINCT lane) FROM licensing.link WHERE commit_no > 1") == 4
        assert await check(conn) == []


async def test_one_transaction_is_one_link_however_much_it_does(own_world: World):
    async with own_world.pool.acquire() as conn:
        async with conn.transaction():
            for _ in range(5):
                await manual.credit(conn, new_id("acc"), eur(1), new_id("ref"), own_world.now)

        assert [tuple(row) for row in await conn.fetch("SELECT seq, groups FROM licensing.link")] == [(1, 5)]
        assert await check(conn) == []


async def test_a_credit_is_booked_once_and_never_for_somebody_else(world: World):
    client, other = await world.client(), await world.client()

    async with world.pool.acquire() as conn:
        first = await manual.credit(conn, client, eur(100), "receipt 7", world.now)
        again = await manual.credit(conn, client, eur(100), "receipt 7", world.now)
        changed = await manual.credit(conn, other, eur(100), "receipt 7", world.now)
        nothing = await manual.credit(conn, client, eur(0), "receipt 8", world.now)

    assert (first.repeated, again.repeated, again.balance) == (False, True, eur(100))
    refused(changed, "conflict")
    refused(nothing, "invalid_request")


def test_migrating_twice_and_at_once_is_harmless(database_url: str):
    threads = [threading.Thread(target=migrate, args=(database_url,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    migrate(database_url)

    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    found = inspect(engine)
    for table in tables.metadata.tables.values():
        columns = {column["name"]: column["type"] for column in found.get_columns(table.name, schema="licensing")}
        for column in table.columns:
            assert type(columns[column.name]).__name__.upper() == type(column.type).__name__.upper() or isinstance(
                columns[column.name], type(column.type)
            ), (table.name, column.name, columns[column.name])
    engine.dispose()


async def test_a_commit_reads_its_own_groups_however_many_there_are(own_world: World):
    commits = 300
    async with own_world.pool.acquire() as conn:
        before = await rows_read(conn)
        for number in range(commits):
            await post_credit(conn, number)
        after = await rows_read(conn)

    read = {table: (after[table] - before[table]) / commits for table in after}
    assert read.keys() == {"entry_group", "entry", "link"}
    assert all(0 < num < 20 for num in read.values()), read


async def rows_read(conn: asyncpg.Connection) -> dict[str, int]:
    """By table, what was read of it so far."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    rows = await conn.fetch(
        "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS num FROM pg_stat_user_tables"
        " WHERE schemaname = 'licensing' AND relname IN ('entry_group', 'entry', 'link')"
    )
    return {row["relname"]: row["num"] for row in rows}


async def post_credit(conn: asyncpg.Connection, number: int) -> None:
    await conn.execute(
        "SELECT licensing.post('credit', $1, '{}', now(), ARRAY['cash:operator:EUR', 'prepaid:somebody:EUR'],"
        " ARRAY[-100, 100])",
        f"payment {number}",
    )


def test_the_list_of_rules_names_every_rule_that_is_recomputed():
    found = set()
    for file in (Path(licensing.__file__).parent / "sql").glob("*.sql"):
        for body in re.findall(r"FUNCTION licensing\.problems\w*\(\).*?\$\$(.*?)\$\$", file.read_text(), re.DOTALL):
            rules = re.findall(r"^ +SELECT '((?:[^']|'')+)',", body, re.MULTILINE)
            found |= {rule.replace("''", "'") for rule in rules}
    of_checkpoints = set(re.findall(r'rule="([^"]+)"', Path(checkpoints.__file__).read_text()))

    assert found | of_checkpoints | {SUMMED} == set(RULES)
    assert len(RULES) == len(set(RULES))
