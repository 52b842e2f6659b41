"""Who owns the database can make its rows agree with each other again; not with what was signed before."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest_asyncio

from licensing.audits import begin_audit, end_audit, last_audit
from licensing.authority import Authority, open_authority, sign_document
from licensing.checkpoints import Checkpoint, compare, kept_checkpoints, make_checkpoint, read_checkpoint
from licensing.ledger import Problem, check
from tests.licensing.world import World
from tests.postgres import Server


@pytest_asyncio.fixture
async def own_world(postgres: Server, migrated_template: str) -> AsyncIterator[World]:
    """A world in a database of its own, which a test may damage."""
    name = postgres.create_database(template=migrated_template)
    async with asyncpg.create_pool(postgres.url(name), min_size=1, max_size=4) as pool:
        yield World(pool=pool)
    postgres.drop_database(name)


async def live_and_sign(world: World, authority: Authority, *, times: int = 2) -> list[Checkpoint]:
    """Some sales, a checkpoint, and so on: one connection, so one lane."""
    style, client = await world.style(), await world.client(prepaid=10_000)
    made = []
    async with world.pool.acquire() as conn:
        for _ in range(times):
            await world.sold(style, client)
            await world.credit(client, 100)
            world.later(days=1)
            made.append(await make_checkpoint(conn, authority, now=world.now))
    return made


async def tamper(conn: asyncpg.Connection, *statements: str) -> None:
    """As the owner of the database may: with triggers and foreign keys off."""
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await conn.execute(statement)


async def forge_links(conn: asyncpg.Connection) -> None:
    """Every link anew from what the entries say now, as the chain itself makes them."""
    rows = await conn.fetch("SELECT lane, seq, commit_no FROM licensing.link ORDER BY lane, seq")
    before: dict[int, bytes] = {}
    for lane, seq, commit_no in rows:
        first = await conn.fetchval("SELECT sha256(convert_to('licensing lane ' || $1::int, 'UTF8'))", lane)
        prev = before.get(lane, first)
        before[lane] = await conn.fetchval("SELECT licensing.link_hash($1, $2)", prev, commit_no)
        async with conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")
            await conn.execute(
                "UPDATE licensing.link SET prev_hash = $3, hash = $4 WHERE lane = $1 AND seq = $2",
                *(lane, seq, prev, before[lane]),
            )


async def judged(conn: asyncpg.Connection, authority: Authority, made: list[Checkpoint]) -> list[Problem]:
    return await compare(conn, authority, [one.document for one in made])


async def test_a_checkpoint_says_where_every_lane_stands(own_world: World, authority: Authority):
    made = await live_and_sign(own_world, authority)

    async with own_world.pool.acquire() as conn:
        counted = await conn.fetchval("SELECT count(*) FROM licensing.entry")
        links = await conn.fetchval("SELECT count(*) FROM licensing.link")
        kept = await kept_checkpoints(conn)

        assert await judged(conn, authority, made) == []
    last = read_checkpoint(authority, made[-1].document)
    assert last == made[-1]
    assert (sum(head.entries for head in last.heads), sum(head.links for head in last.heads)) == (counted, links)
    assert kept == [one.document for one in made]


async def test_a_ledger_that_has_only_grown_agrees(own_world: World, authority: Authority):
    made = await live_and_sign(own_world, authority)

    await live_and_sign(own_world, authority)

    async with own_world.pool.acquire() as conn:
        assert await judged(conn, authority, made) == []


async def test_a_lane_whose_end_was_cut_off_is_named_though_all_rows_agree(own_world: World, authority: Authority):
    made = await live_and_sign(own_world, authority)
    async with own_world.pool.acquire() as conn:
        lane, seq, commit_no = await conn.fetchrow(
            "SELECT lane, seq, commit_no FROM licensing.link ORDER BY commit_no DESC LIMIT 1"
        )

        await tamper(
            conn,
            "UPDATE licensing.budget SET granted = granted - 100 WHERE kind = 'prepaid'",
            f"DELETE FROM licensing.entry e USING licensing.entry_group g WHERE e.group_no = g.group_no"
            f" AND g.commit_no = {commit_no}",
            f"DELETE FROM licensing.entry_group WHERE commit_no = {commit_no}",
            f"DELETE FROM licensing.link WHERE commit_no = {commit_no}",
        )

        assert await check(conn) == [], "the rows alone show nothing"
        (problem,) = await judged(conn, authority, made)
    assert problem.rule == "no lane of the chain is shorter than it was"
    assert problem.place == f"lane {lane}"
    assert f"checkpoint 2 of 2025-11-05 12:00 UTC counted {seq} links, {seq - 1} are left" in problem.detail
    assert "agrees with checkpoint 1 of 2025-11-04 12:00 UTC before" in problem.detail


async def test_an_entry_that_was_rewritten_with_its_links_is_found(own_world: World, authority: Authority):
    made = await live_and_sign(own_world, authority, times=3)
    async with own_world.pool.acquire() as conn:
        lane, seq, commit_no = await conn.fetchrow(
            "SELECT lane, seq, commit_no FROM licensing.link ORDER BY commit_no DESC OFFSET 2 LIMIT 1"
        )

        await tamper(conn, f"UPDATE licensing.entry_group SET at = at - interval '1 day' WHERE commit_no = {commit_no}")
        assert [problem.rule for problem in await check(conn)] == ["every link is the hash of its groups"]
        await forge_links(conn)

        assert await check(conn) == [], "the rows alone show nothing"
        (problem,) = await judged(conn, authority, made)
    assert problem.rule == "no lane of the chain was rewritten"
    assert problem.place == f"lane {lane}, link {seq} or before"
    assert problem.detail.startswith("checkpoint 2 of")
    assert "agrees with checkpoint 1 of" in problem.detail


async def test_a_lane_that_grew_again_after_it_was_cut_is_not_the_same(own_world: World, authority: Authority):
    made = await live_and_sign(own_world, authority)
    async with own_world.pool.acquire() as conn:
        await tamper(conn, "TRUNCATE licensing.entry, licensing.entry_group, licensing.link CASCADE")

    await live_and_sign(own_world, authority, times=3)

    async with own_world.pool.acquire() as conn:
        problems = await judged(conn, authority, made)
    assert {problem.rule for problem in problems} == {"no lane of the chain was rewritten"}


async def test_a_checkpoint_that_was_changed_or_comes_from_elsewhere_is_named(
    own_world: World, authority: Authority, tmp_path
):
    made = await live_and_sign(own_world, authority, times=1)
    header, payload, signature = made[0].document.split(".")
    strange = sign_document(open_authority(tmp_path / "other"), {"kind": "ownhand.checkpoint.v1"})
    receipt = sign_document(authority, {"receipt": 1})

    async with own_world.pool.acquire() as conn:
        problems = await compare(conn, authority, [f"{header}.{payload}A.{signature}", strange, receipt, ""])

    assert [problem.rule for problem in problems] == ["checkpoints are signed here"] * 4


async def test_an_audit_is_done_once_a_day_and_again_where_its_process_died(own_world: World):
    night = own_world.now.replace(hour=2, minute=0)
    problem = Problem(rule="r", place="p", detail="d")
    async with own_world.pool.acquire() as conn:

        async def begin(**later: float):
            return await begin_audit(conn, now=night + timedelta(**later))

        days = [await begin(), await begin(hours=1), await begin(hours=5, minutes=59)]
        assert await last_audit(conn) is None
        again = await begin(hours=6, minutes=1)
        await end_audit(conn, again, [problem], now=night + timedelta(hours=7))
        done = [await begin(hours=20), await begin(hours=23, minutes=59), await begin(hours=24)]
        last = await last_audit(conn)

    assert days == [night.date(), None, None]
    assert again == night.date()
    assert done == [None, None, (night + timedelta(days=1)).date()]
    assert (last.day, last.problems, last.seconds) == (night.date(), (problem,), 59 * 60)
