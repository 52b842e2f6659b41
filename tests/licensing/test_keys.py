"""API keys: shown once, hashed at rest, refused from the moment they are revoked."""

from datetime import timedelta

import pytest

from licensing import keys
from licensing.orders import Hold
from tests.licensing.world import PEPPER, World, eur, new_id, refused


async def authenticate(world: World, token: str, pepper: bytes = PEPPER):
    async with world.pool.acquire() as conn:
        return await keys.authenticate(conn, token, now=world.now, pepper=pepper)


async def revoke(world: World, key_id: str, account_id: str) -> bool:
    async with world.pool.acquire() as conn:
        return await keys.revoke(conn, key_id=key_id, account_id=account_id, now=world.now)


@pytest.mark.parametrize("kind", ["live", "test", "creator", "operator"])
async def test_a_token_says_its_kind_and_opens_its_account(world: World, kind: str):
    account = new_id("acc")
    issued = await world.key(account, kind=kind, scopes=["generate", "read"], cap=500)

    caller = await authenticate(world, issued.token)

    assert issued.token.startswith(f"oh_{kind}_")
    assert caller == keys.Caller(
        key_id=issued.id,
        account_id=account,
        kind=kind,
        scopes=frozenset({"generate", "read"}),
        cap=500,
        is_first_use=True,
    )
    assert caller.test == (kind == "test")


async def test_the_token_is_nowhere_in_the_database(world: World):
    issued = await world.key(new_id("acc"))

    async with world.pool.acquire() as conn:
        row = str(dict(await conn.fetchrow("SELECT * FROM licensing.api_key WHERE key_id = $1", issued.id)))
        listed = await keys.listing(conn, account_id="nobody")

    secret = issued.token.removeprefix("oh_live_")
    assert secret not in row
    assert secret[8:] not in row
    assert listed == []


async def test_a_hash_without_the_pepper_opens_nothing(world: World):
    issued = await world.key(new_id("acc"))

    assert await authenticate(world, issued.token, pepper=b"another") is None


async def test_a_typing_mistake_is_seen_without_the_database(world: World):
    token = (await world.key(new_id("acc"))).token
    swapped = token[:-1] + ("a" if token[-1] != "a" else "b")

    assert keys.well_formed(token)
    for wrong in (
        swapped,
        token[:-1],
        token + "a",
        "oh_live_short",
        "",
        token.replace("oh_live", "oh_root"),
        token + "\n",
    ):
        assert not keys.well_formed(wrong)
        assert await authenticate(world, wrong) is None


async def test_an_expired_key_opens_nothing_and_orders_nothing(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    issued = await world.key(client, expires_at=world.now + timedelta(hours=1))
    assert await authenticate(world, issued.token)

    world.later(hours=1)

    assert await authenticate(world, issued.token) is None
    assert "expired" in refused(await world.reserve(style, client, key_id=issued.id), "unauthenticated").message


async def test_a_revoked_key_opens_nothing_and_orders_nothing(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    issued = await world.key(client)
    assert isinstance(await world.reserve(style, client, key_id=issued.id), Hold)

    assert await revoke(world, issued.id, client)

    assert await authenticate(world, issued.token) is None
    assert "revoked" in refused(await world.reserve(style, client, key_id=issued.id), "unauthenticated").message


async def rotate(world: World, key_id: str, account_id: str):
    async with world.pool.acquire() as conn:
        return await keys.rotate(
            conn,
            key_id=key_id,
            account_id=account_id,
            overlap=timedelta(hours=24),
            new_id=new_id,
            now=world.now,
            pepper=PEPPER,
        )


async def test_a_key_that_is_replaced_works_on_for_a_while(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    ends = world.now + timedelta(days=30)
    old = await world.key(client, scopes=["read"], expires_at=ends)

    new = await rotate(world, old.id, client)

    first, second = await authenticate(world, old.token), await authenticate(world, new.token)
    assert (first.scopes, first.kind) == (second.scopes, second.kind) == (frozenset({"read"}), "live")
    assert isinstance(await world.reserve(style, client, key_id=old.id), Hold)
    world.later(hours=24)
    assert await authenticate(world, old.token) is None
    refused(await world.reserve(style, client, key_id=old.id), "unauthenticated")
    assert await authenticate(world, new.token)
    world.later(days=29)
    assert await authenticate(world, new.token) is None, "it ends when the one before it would have"


async def test_what_is_left_of_a_spending_limit_goes_over_at_once(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    old = await world.key(client, cap=200)
    await world.held(style, client, key_id=old.id)

    new = await rotate(world, old.id, client)

    refused(await world.reserve(style, client, key_id=old.id), "spend_cap_reached")
    await world.held(style, client, key_id=new.id, count=2)
    assert refused(await world.reserve(style, client, key_id=new.id), "spend_cap_reached").detail["left"] == 20


async def test_only_its_owner_replaces_a_key_and_only_one_that_works(world: World):
    client, other = await world.client(), await world.client()
    key = await world.key(client)

    assert await rotate(world, key.id, other) is None
    assert await authenticate(world, key.token)
    await revoke(world, key.id, client)
    assert await rotate(world, key.id, client) is None
    assert await rotate(world, "key_unknown", client) is None


async def test_only_its_owner_revokes_a_key(world: World):
    owner, stranger = new_id("acc"), new_id("acc")
    issued = await world.key(owner)

    assert not await revoke(world, issued.id, stranger)
    assert await authenticate(world, issued.token)


async def test_a_key_orders_only_for_its_account_and_in_its_mode(world: World):
    style, client, stranger = await world.style(), await world.client(prepaid=1000), await world.client(prepaid=1000)
    live, test, creator = [await world.key(client, kind=kind) for kind in ("live", "test", "creator")]

    refused(await world.reserve(style, stranger, key_id=live.id), "unauthenticated")
    refused(await world.reserve(style, client, key_id="key_none"), "unauthenticated")
    refused(await world.reserve(style, client, key_id=live.id, test=True), "unauthenticated")
    refused(await world.reserve(style, client, key_id=test.id), "unauthenticated")
    refused(await world.reserve(style, client, key_id=creator.id), "unauthenticated")
    assert (await world.held(style, client, key_id=test.id, test=True)).pay == "test"


async def test_a_cap_counts_what_is_held_and_gives_back_what_is_not_made(world: World):
    style, client = await world.style(), await world.client(prepaid=10_000)
    issued = await world.key(client, cap=200)
    hold = await world.held(style, client, key_id=issued.id, count=3)

    refusal = refused(await world.reserve(style, client, key_id=issued.id), "spend_cap_reached")
    await world.begin(hold)
    await world.settle(hold, made=1)

    assert "0.20 EUR more of its cap of 2.00 EUR" in refusal.message
    (cap,) = (await world.usage(client)).caps
    assert (cap.cap, cap.spent, cap.held) == (200, 60, 0)
    assert isinstance(await world.reserve(style, client, key_id=issued.id, count=2), Hold)


async def test_a_quota_does_not_count_against_a_cap(world: World):
    style, client = await world.style(), await world.client(prepaid=4900)
    await world.subscribe(client)
    issued = await world.key(client, cap=0)

    assert (await world.held(style, client, key_id=issued.id)).amount == eur(0)


async def test_an_account_sees_its_keys_newest_first_with_their_last_use(world: World):
    account = new_id("acc")
    old = await world.key(account)
    world.later(hours=1)
    new = await world.key(account, cap=5)
    await authenticate(world, old.token)
    await revoke(world, old.id, account)

    async with world.pool.acquire() as conn:
        first, second = await keys.listing(conn, account_id=account)

    assert (first.id, first.cap, first.last_used_at, first.revoked_at) == (new.id, 5, None, None)
    assert (second.id, second.last_used_at, second.revoked_at) == (old.id, world.now, world.now)
    assert old.token.startswith(second.hint)
