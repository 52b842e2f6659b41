"""What a client saves to pay by: the last saved counts, and what is forgotten does not come back."""

from licensing.authority import Authority
from licensing.billing import methods
from licensing.erasure import forget_account
from tests.licensing.paying import saved, setup, setup_ended
from tests.licensing.world import World, new_id, refused


async def test_of_two_setups_the_one_begun_later_counts_whichever_is_told_of_first(world: World):
    client = await world.client()
    first, second = new_id("set"), new_id("set")
    await setup(world, client, first)
    world.later(minutes=5)
    await setup(world, client, second)

    await setup_ended(world, second)
    await setup_ended(world, first)
    await setup_ended(world, second)

    assert await saved(world, client) == f"Visa ending {second}"


async def test_what_a_client_forgets_is_not_saved_again_by_what_comes_late(world: World):
    client = await world.client()
    done, late = new_id("set"), new_id("set")
    await setup(world, client, done)
    await setup(world, client, late)
    await setup_ended(world, done)

    async with world.pool.acquire() as conn:
        forgotten = await methods.forget_method(conn, client_id=client, now=world.now)
        again = await methods.forget_method(conn, client_id=client, now=world.now)
    await setup_ended(world, late)
    await setup_ended(world, done)

    assert forgotten is not None
    assert (forgotten.method.label, again) == (f"Visa ending {done}", None)
    assert await saved(world, client) is None


async def test_a_setup_that_failed_saves_nothing_and_one_that_nobody_knows_is_refused(world: World):
    client, failed = await world.client(), new_id("set")
    await setup(world, client, failed)

    await setup_ended(world, failed, "failed")
    await setup_ended(world, failed)

    assert await saved(world, client) is None
    refused(await setup_ended(world, "nobody"), "not_found")


async def test_who_leaves_is_charged_by_nothing_any_more(world: World, authority: Authority):
    client, setup_id = await world.client(), new_id("set")
    await setup(world, client, setup_id)
    await setup_ended(world, setup_id)

    async with world.pool.acquire() as conn:
        await forget_account(conn, authority, account_id=client, email="client@example.org", now=world.now)

    assert await saved(world, client) is None
