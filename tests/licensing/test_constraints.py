"""What the tables themselves refuse, whatever a verb above them gets wrong; and that a link holds the one before it."""

import hashlib

import asyncpg
import pytest

from licensing import gateway, plans
from licensing.errors import Refusal
from tests.licensing.world import World, new_id

_AGAIN = (
    "INSERT INTO licensing.{table} SELECT (jsonb_populate_record(one, jsonb_build_object({members}))).*"
    " FROM licensing.{table} one WHERE {where} LIMIT 1"
)
"""A row that is there already once more, with some of its members changed."""


@pytest.fixture
async def sold(world: World) -> World:
    """A sale of two pictures, a test sale, an open order with an idempotency key, and a plan."""
    client, style = await world.client(prepaid=10_000), await world.style()
    await world.sold(style, client, count=2)
    await world.sold(style, client, test=True)
    await world.held(style, client, idempotency_key=new_id("idem"))
    async with world.pool.acquire() as conn:
        plan = world.prices.plans["studio"]
        bought = await plans.subscribe(conn, client_id=client, plan=plan, now=world.now, new_id=new_id)
        assert not isinstance(bought, Refusal), bought
    return world


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        # A second order under one idempotency key of one client.
        (
            "idempotency_pkey",
            "INSERT INTO licensing.idempotency (client_id, test, key, request_hash, order_id, created_at)"
            " SELECT client_id, test, key, 'another', order_id, created_at FROM licensing.idempotency",
        ),
        # A second running plan of one client.
        (
            "allowance_one_plan",
            _AGAIN.format(table="allowance", where="kind = 'plan'", members="'allowance_id', 'again'"),
        ),
        # The same picture of an order under another name.
        ("output_order_id_position_key", _AGAIN.format(table="output", where="true", members="'output_id', 'again'")),
        # A price of which a cent is nobody's.
        (
            "output_check",
            _AGAIN.format(
                table="output", where="price > 0", members="'output_id', 'odd', 'position', 9, 'share', one.share - 1"
            ),
        ),
        # A test picture that costs.
        (
            "output_check1",
            _AGAIN.format(
                table="output", where="test", members="'output_id', 'dear', 'position', 9, 'price', 1, 'share', 1"
            ),
        ),
        # More charged than held.
        ("hold_check1", "UPDATE licensing.hold SET charged = amount + 1 WHERE state = 'open'"),
    ],
)
async def test_the_tables_refuse_what_must_never_be(sold: World, constraint: str, statement: str):
    async with sold.pool.acquire() as conn:
        undone = conn.transaction()
        await undone.start()

        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await conn.execute(statement)

        await undone.rollback()
    assert refused.value.constraint_name == constraint


async def test_no_picture_takes_the_name_of_one_that_was_sold(sold: World):
    async with sold.pool.acquire() as conn:
        with pytest.raises(asyncpg.RestrictViolationError, match="was sold"):
            await conn.execute("UPDATE licensing.output SET sha256 = repeat('0', 64)")


async def test_a_link_is_the_hash_of_the_one_before_it_and_of_its_groups(sold: World):
    async with sold.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT prev_hash, hash, licensing.commit_content(commit_no) AS content FROM licensing.link"
        )

    assert len(rows) >= 3
    for row in rows:
        assert hashlib.sha256(row["prev_hash"] + row["content"].encode()).digest() == row["hash"]


async def test_an_attempt_that_was_followed_ends_nothing(world: World):
    client, style = await world.client(prepaid=1000), await world.style()
    hold = await world.held(style, client)
    await world.begin(hold)
    await world.begin(hold)

    async with world.pool.acquire() as conn:
        answer = await gateway.void(conn, order_id=hold.order_id, reason="failed", now=world.now, fence=1)

        assert isinstance(answer, Refusal)
        found = await gateway.find_hold(conn, hold.order_id, client_id=client)
    assert found is not None
    assert found.state == "open"
