"""Rules are kept by version, for one style or for all; what is stored is never changed."""

import asyncpg
import pytest

from licensing.rulebooks import Rulebook, current_rules, put_rules
from licensing.rules import Category, Rules
from tests.licensing.world import World, new_id, refused

CATEGORIES = {"sea": Category(id="sea", name="The sea", meaning="Ships.", terms=("ship*",))}


async def put(world: World, creator_id: str, style_id: str | None, rules: Rules | None):
    async with world.pool.acquire() as conn:
        return await put_rules(
            conn, CATEGORIES, creator_id=creator_id, style_id=style_id, rules=rules, by=creator_id, now=world.now
        )


async def holding(world: World, creator_id: str, style_id: str | None) -> Rulebook:
    async with world.pool.acquire() as conn:
        return await current_rules(conn, creator_id=creator_id, style_id=style_id)


async def test_where_nothing_was_set_nothing_is_refused(world: World):
    assert await holding(world, new_id("acc"), new_id("sty")) == Rulebook(rules=Rules(), version=0, is_own=False)


async def test_a_style_has_its_own_rules_or_those_for_all(world: World):
    creator, style, other = new_id("acc"), new_id("sty"), new_id("sty")
    for_all = Rules(refuse=("gun*",), categories=("sea",), only_clients=("a@b.org",), blocked_clients=("acc_9",))
    own = Rules(refuse=("boat",))

    first = await put(world, creator, None, for_all)
    second = await put(world, creator, style, own)

    assert first == Rulebook(rules=for_all, version=1, is_own=False)
    assert second == await holding(world, creator, style) == Rulebook(rules=own, version=2, is_own=True)
    assert await holding(world, creator, other) == await holding(world, creator, None) == first

    third = await put(world, creator, style, None)

    assert third == first
    assert await holding(world, creator, style) == first


async def test_empty_rules_of_its_own_free_a_style_from_those_for_all(world: World):
    creator, style = new_id("acc"), new_id("sty")
    await put(world, creator, None, Rules(refuse=("gun",)))

    await put(world, creator, style, Rules())

    assert (await holding(world, creator, style)).rules == Rules()


async def test_the_same_again_is_no_new_version(world: World):
    creator, style = new_id("acc"), new_id("sty")
    rules = Rules(refuse=("gun",))

    versions = [(await put(world, creator, style, wanted)).version for wanted in (rules, rules, Rules(), rules)]
    nothing_to_take_away = await put(world, creator, new_id("sty"), None)

    assert versions == [1, 1, 2, 3]
    assert nothing_to_take_away.version == 0


async def test_rules_that_cannot_judge_are_not_stored(world: World):
    creator = new_id("acc")

    refused(await put(world, creator, None, Rules(refuse=("*",))), "invalid_request")
    refused(await put(world, creator, None, Rules(categories=("sky",))), "invalid_request")

    assert (await holding(world, creator, None)).version == 0


async def test_a_version_stays_as_it_judged(world: World):
    creator = new_id("acc")
    await put(world, creator, None, Rules(refuse=("gun",)))

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute("UPDATE licensing.rules SET rules = '{}' WHERE creator_id = $1", creator)
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute("DELETE FROM licensing.rules WHERE creator_id = $1", creator)
