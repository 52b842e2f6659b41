"""Where a creator is paid: checked, shown in part, never changed without a trace, and safe against a stolen session."""

from datetime import timedelta

import asyncpg
import pytest

from licensing import payees
from licensing.payees import BankAccount, Payee, ProviderAccount
from licensing.tenancy import HOUSE
from tests.licensing.paying import ACCOUNT, IBAN, OTHER_ACCOUNT, acting, end, open_one, opened, put, seller
from tests.licensing.world import World, eur, new_id, refused


async def history(world: World, creator_id: str) -> list[Payee]:
    async with world.pool.acquire() as conn:
        return await payees.payee_history(conn, creator_id)


async def test_an_account_is_shown_in_part_and_never_whole(world: World):
    creator = new_id("acc")

    said = await put(world, creator)

    assert isinstance(said, Payee)
    assert (said.account, said.holder, said.version) == ("DE••••3000", "Ada Ink", 1)
    assert IBAN not in repr(said)


async def test_an_account_at_a_provider_is_shown_in_part(world: World):
    said = await put(world, new_id("acc"), account=ProviderAccount(reference="acct_1032D82eZvKYlo2C"))

    assert isinstance(said, Payee)
    assert (said.method, said.account) == ("stripe", "••••lo2C")


@pytest.mark.parametrize(
    "account",
    [
        BankAccount(holder="Ada Ink", iban="DE89370400440532013001"),
        BankAccount(holder="Ada Ink", iban="XX89370400440532013000"),
        BankAccount(holder="Ada Ink", iban=""),
        BankAccount(holder="  ", iban=IBAN),
        BankAccount(holder="A" * 71, iban=IBAN),
        BankAccount(holder="Ada\x07", iban=IBAN),
        BankAccount(holder="Ada Ink", iban=IBAN, bic="NOBIC"),
        ProviderAccount(reference="abc"),
        ProviderAccount(reference="a" * 201),
    ],
)
async def test_an_account_that_cannot_be_one_is_refused(world: World, account: payees.Account):
    creator = new_id("acc")

    refused(await put(world, creator, account=account), "invalid_request")

    assert await history(world, creator) == []


@pytest.mark.parametrize(
    "written", ["DE89 3704 0044 0532 0130 00", "de89370400440532013000", " DE89-3704-0044-0532-0130-00"]
)
async def test_an_iban_is_read_as_people_write_it(world: World, written: str):
    creator = new_id("acc")
    await put(world, creator)

    await put(world, creator, account=BankAccount(holder=" Ada  Ink ", iban=written, bic=" "))

    assert len(await history(world, creator)) == 1


async def test_a_minimum_below_the_operators_smallest_is_refused_with_the_smallest(world: World):
    refusal = refused(await put(world, new_id("acc"), minimum=eur(99)), "invalid_request")

    assert "1.00 EUR" in refusal.message
    refused(await put(world, new_id("acc"), minimum=eur(0), smallest=eur(0)), "invalid_request")
    refused(await put(world, new_id("acc"), schedule="daily"), "invalid_request")


async def test_the_same_again_changes_nothing_and_a_wish_delays_nothing(world: World):
    creator = new_id("acc")
    first = await put(world, creator)
    world.later(days=10)

    again = await put(world, creator)
    wish = await put(world, creator, minimum=eur(5000), schedule="monthly")

    assert again == first
    assert isinstance(first, Payee)
    assert isinstance(wish, Payee)
    assert (wish.version, wish.pays_from, wish.minimum, wish.schedule) == (2, first.pays_from, eur(5000), "monthly")


async def test_another_account_pays_nothing_for_three_days(world: World):
    style = await seller(world)
    changed_at = world.now

    await put(world, style.creator_id, account=OTHER_ACCOUNT, by="acc_thief")
    refusal = refused(await open_one(world, style.creator_id), "conflict")
    world.now = changed_at + timedelta(hours=72) - timedelta(seconds=1)
    refused(await open_one(world, style.creator_id), "conflict")
    world.later(seconds=1)

    assert (await opened(world, style.creator_id)).payee_version == 2
    assert "2025-11-10 12:00 UTC" in refusal.message
    assert [(one.version, one.by) for one in await history(world, style.creator_id)] == [
        (2, "acc_thief"),
        (1, style.creator_id),
    ]


async def test_back_to_the_old_account_is_a_change_too(world: World):
    style = await seller(world)
    await put(world, style.creator_id, account=OTHER_ACCOUNT)

    back = await put(world, style.creator_id, account=ACCOUNT)

    assert isinstance(back, Payee)
    assert back.pays_from == world.now + payees.CHANGE_DELAY
    refused(await open_one(world, style.creator_id), "conflict")


async def test_what_is_on_its_way_goes_where_it_was_to_go(world: World):
    style = await seller(world)
    payout = await opened(world, style.creator_id)

    await put(world, style.creator_id, account=OTHER_ACCOUNT)

    assert (await end(world, payout.id)).payee_version == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing.payee SET account = 'mine'",
        "UPDATE licensing.payee SET actor = 'nobody'",
        "DELETE FROM licensing.payee",
    ],
)
async def test_nobody_rewrites_where_money_went(world: World, statement: str):
    await put(world, new_id("acc"))

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await conn.execute(statement)
        await conn.execute("SELECT set_config('licensing.replacing', 'yes', false)")
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute("UPDATE licensing.payee SET account = '', holder = '', bic = NULL, actor = 'nobody'")
        await conn.execute("RESET licensing.replacing")


async def test_somebody_who_leaves_is_forgotten_but_for_what_is_on_its_way(world: World):
    style = await seller(world)
    payout = await opened(world, style.creator_id)
    await put(world, style.creator_id, account=OTHER_ACCOUNT)

    async def forget() -> list[str]:
        async with world.pool.acquire() as conn:
            await payees.forget_payee(conn, style.creator_id)
            rows = await conn.fetch(
                "SELECT account FROM licensing.payee WHERE creator_id = $1 ORDER BY version", style.creator_id
            )
        return [row["account"] for row in rows]

    assert await forget() == [IBAN, ""]
    await end(world, payout.id)
    assert await forget() == ["", ""]
    refused(await open_one(world, style.creator_id), "conflict")
    assert [one.account for one in await history(world, style.creator_id)] == ["••••"] * 2


async def test_a_creator_sees_and_changes_their_own_account_alone(world: World, licensing_url: str):
    mine, other = new_id("acc"), new_id("acc")
    await put(world, mine)
    await put(world, other)
    wanted = {"account": OTHER_ACCOUNT, "minimum": eur(100), "schedule": "weekly", "smallest": eur(100)}

    async with acting(licensing_url, mine) as conn:
        assert [one.version for one in await payees.payee_history(conn, mine)] == [1]
        assert await conn.fetch("SELECT * FROM licensing.payee") == []
        changed = await payees.put_payee(conn, creator_id=mine, **wanted, by=mine, now=world.now)
        assert isinstance(changed, Payee)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await payees.payee_history(conn, other)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await payees.put_payee(conn, creator_id=other, **wanted, by=mine, now=world.now)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await payees.forget_payee(conn, mine)
    async with acting(licensing_url, HOUSE) as conn:
        assert await conn.fetchval("SELECT account FROM licensing.payee WHERE creator_id = $1", other) == IBAN
