"""Payouts: everything free goes out once, to the right place, on its day; and what does not arrive is the creator's."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from licensing import compute, payouts
from licensing.errors import Refusal
from licensing.payees import BankAccount, ProviderAccount
from licensing.payouts import Payout
from licensing.tenancy import HOUSE
from tests.licensing.paying import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SHARE,
    acting,
    end,
    open_one,
    opened,
    put,
    refund,
    reverse,
    sell,
    seller,
    sums,
)
from tests.licensing.world import World, eur, new_id, refused


async def make_run(world: World, run_id: str, currency: str = "EUR") -> Any:
    async with world.pool.acquire() as conn:
        return await payouts.make_run(conn, run_id=run_id, currency=currency, now=world.now)


async def confirm_run(world: World, run_id: str) -> Any:
    async with world.pool.acquire() as conn:
        return await payouts.confirm_run(conn, run_id=run_id, reference="batch 7", now=world.now)


@pytest.fixture
async def no_run_waits(world: World) -> None:
    """Runs take every open payout there is: those of earlier tests end first."""
    async with world.pool.acquire() as conn:
        for payout in await payouts.open_payouts(conn, limit=10_000):
            await payouts.end_payout(conn, payout_id=payout.id, outcome="failed", detail="tidied", now=world.now)


async def test_all_that_is_free_goes_on_its_way_and_then_out(world: World):
    style = await seller(world, pictures=10)

    payout = await opened(world, style.creator_id)
    on_its_way = await sums(world, style.creator_id)
    paid = await end(world, payout.id, "paid", "transfer 4711")

    assert (payout.amount, payout.state, payout.method) == (eur(510), "open", "manual")
    assert on_its_way == (0, 0, 510, 0)
    assert (paid.state, paid.reference, paid.ended_at) == ("paid", "transfer 4711", world.now)
    assert await sums(world, style.creator_id) == (0, 0, 0, 510)


async def test_what_leaves_is_cash_that_leaves(world: World):
    style = await seller(world, pictures=10)
    before = await world.balance("cash:operator:EUR")

    payout = await opened(world, style.creator_id)
    await end(world, payout.id)

    assert await world.balance("cash:operator:EUR") == before + 510
    await reverse(world, payout.id)
    assert await world.balance("cash:operator:EUR") == before


async def test_a_creator_who_never_paid_anything_is_paid_out(world: World):
    """What a creator owes elsewhere, a monthly fee for instance, is never set against what they earned."""
    style = await seller(world, pictures=10)
    creator = style.creator_id
    async with world.pool.acquire() as conn:
        await conn.execute(
            "SELECT licensing.post('creator_fee', $1, '{}', $2, ARRAY[$3, 'fee:operator:EUR'], ARRAY[-9900, 9900])",
            *(new_id("due"), world.now, f"dues:{creator}:EUR"),
        )

    payout = await opened(world, creator)
    await end(world, payout.id)

    assert await world.balance(f"dues:{creator}:EUR") == -9900
    assert await sums(world, creator) == (0, 0, 0, 510)


async def test_a_payout_that_failed_leaves_the_money_the_creators(world: World):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)

    failed = await end(world, payout.id, "failed", "no such account")

    assert (failed.state, failed.reason, failed.reference) == ("failed", "no such account", None)
    assert await sums(world, style.creator_id) == (510, 0, 0, 0)
    assert (await opened(world, style.creator_id)).amount == eur(510)


async def test_a_transfer_that_came_back_is_the_creators_again(world: World):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)
    await end(world, payout.id)
    world.later(days=2)

    back = await reverse(world, payout.id, "the account was closed")

    assert (back.state, back.reference, back.reason) == ("reversed", "transfer 1", "the account was closed")
    assert (back.reversed_at, back.ended_at) == (world.now, world.now - timedelta(days=2))
    assert await sums(world, style.creator_id) == (510, 0, 0, 0)


@pytest.mark.parametrize(
    ("steps", "again"),
    [
        (["failed"], "failed"),
        (["paid"], "paid"),
        (["paid", "reversed"], "reversed"),
        # The word of an earlier step, which came late.
        (["paid", "reversed"], "paid"),
    ],
)
async def test_a_step_that_is_told_twice_happens_once(world: World, steps: list[str], again: str):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)
    for step in steps:
        last = await move(world, payout.id, step)
    before = await sums(world, style.creator_id)
    world.later(days=1)

    repeated = await move(world, payout.id, again)

    assert repeated == last
    assert await sums(world, style.creator_id) == before


@pytest.mark.parametrize(
    ("steps", "other"),
    [
        ([], "reversed"),
        (["paid"], "failed"),
        (["paid"], "paid under another reference"),
        (["failed"], "paid"),
        (["failed"], "reversed"),
        (["failed"], "failed for another reason"),
        (["paid", "reversed"], "failed"),
        (["paid", "reversed"], "reversed for another reason"),
        (["paid", "reversed"], "paid under another reference"),
    ],
)
async def test_a_step_that_cannot_follow_is_refused(world: World, steps: list[str], other: str):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)
    for step in steps:
        await move(world, payout.id, step)
    before = await sums(world, style.creator_id)

    refused(await move(world, payout.id, other), "conflict")

    assert await sums(world, style.creator_id) == before


async def move(world: World, payout_id: str, step: str) -> Any:
    to, *_ = step.split()
    detail = step if step != to else f"as it was {to}"
    return await (reverse(world, payout_id, detail) if to == "reversed" else end(world, payout_id, to, detail))


async def test_what_is_not_there_is_not_found_and_what_says_nothing_is_refused(world: World):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)

    refused(await end(world, "pay_never"), "not_found")
    refused(await reverse(world, "pay_never"), "not_found")
    refused(await confirm_run(world, "run_never"), "not_found")
    refused(await end(world, payout.id, "paid", " "), "invalid_request")
    refused(await reverse(world, payout.id, ""), "invalid_request")


async def test_the_same_payout_again_is_that_payout_and_its_id_is_nobody_elses(world: World):
    style, other = await seller(world, pictures=10), await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)
    await sell(world, style, 3)

    assert await open_one(world, style.creator_id, payout_id=payout.id) == payout
    refused(await open_one(world, other.creator_id, payout_id=payout.id), "conflict")
    paid = await end(world, payout.id)
    assert await open_one(world, style.creator_id, payout_id=payout.id) == paid
    assert await sums(world, style.creator_id) == (3 * SHARE, 0, 0, 510)


async def test_a_creator_has_one_payout_on_its_way(world: World):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)
    await sell(world, style, 10)

    refusal = refused(await open_one(world, style.creator_id), "conflict")
    await end(world, payout.id)

    assert payout.id in refusal.message
    assert (await opened(world, style.creator_id)).amount == eur(510)


async def test_too_little_is_refused_with_what_is_there(world: World):
    style = await seller(world, pictures=1)

    refusal = refused(await open_one(world, style.creator_id, at_least=eur(52)), "conflict")
    nothing = await seller(world, pictures=0)

    assert "0.51 EUR" in refusal.message
    assert "0.52 EUR" in refusal.message
    refused(await open_one(world, nothing.creator_id, at_least=eur(0)), "conflict")
    assert isinstance(await open_one(world, style.creator_id, at_least=eur(51)), Payout)


async def test_who_has_not_said_where_to_is_not_paid_nor_in_another_currency(world: World):
    style, elsewhere = await world.style(), await seller(world, pictures=10, minimum=eur(100))
    await sell(world, style, 10)

    refused(await open_one(world, style.creator_id), "conflict")
    refused(await open_one(world, elsewhere.creator_id, at_least=payouts.Money(1, "USD")), "conflict")

    assert await sums(world, style.creator_id) == (510, 0, 0, 0)


async def test_a_refund_while_a_payout_is_on_its_way_is_filled_up_by_the_next_sales(world: World):
    style = await seller(world, pictures=0)
    order_id = await sell(world, style, 10)
    payout = await opened(world, style.creator_id)

    await refund(world, f"out_{order_id}_0")
    owed = await sums(world, style.creator_id)
    await end(world, payout.id)
    await sell(world, style, 2)

    assert owed == (-SHARE, 0, 510, 0)
    assert await sums(world, style.creator_id) == (SHARE, 0, 0, 510)


async def test_a_training_is_taken_from_earnings_before_a_payout(world: World):
    style = await seller(world, pictures=10)
    async with world.pool.acquire() as conn:
        await compute.charge_training(
            conn,
            training_id=new_id("trn"),
            style_id=style.style_id,
            creator_id=style.creator_id,
            amount=eur(200),
            now=world.now,
        )

    assert (await opened(world, style.creator_id)).amount == eur(310)


async def test_payouts_are_listed_newest_first_page_by_page(world: World):
    style, ids = await seller(world, pictures=0), []
    for _ in range(5):
        await sell(world, style, 2)
        payout = await opened(world, style.creator_id)
        await end(world, payout.id)
        ids.insert(0, payout.id)
        world.later(days=1)

    async with world.pool.acquire() as conn:
        first = await payouts.payouts(conn, creator_id=style.creator_id, limit=2)
        second = await payouts.payouts(conn, creator_id=style.creator_id, limit=2, before=first[-1].id)
        third = await payouts.payouts(conn, creator_id=style.creator_id, limit=2, before=second[-1].id)
        strangers = await payouts.payouts(conn, creator_id=new_id("acc"), before=first[0].id)

    assert [one.id for page in (first, second, third) for one in page] == ids
    assert strangers == []


async def test_all_that_is_on_its_way_is_listed_for_the_operator_oldest_first(world: World, no_run_waits: None):
    by_bank = [await opened(world, (await seller(world)).creator_id) for _ in range(3)]
    stripe = await seller(world, account=ProviderAccount(reference="acct_1234567890"))
    by_stripe = await opened(world, stripe.creator_id)

    async with world.pool.acquire() as conn:
        every = await payouts.open_payouts(conn)
        some = await payouts.open_payouts(conn, limit=2, after=every[0].id)
        banks = await payouts.open_payouts(conn, method="manual")
        found = await payouts.find_payout(conn, by_stripe.id)

    assert every == [*by_bank, by_stripe]
    assert some == by_bank[1:]
    assert banks == by_bank
    assert found == by_stripe


async def test_a_run_holds_what_its_file_said_and_is_confirmed_at_once(world: World, no_run_waits: None):
    sellers = [await seller(world) for _ in range(3)]
    opened_before = [await opened(world, one.creator_id) for one in sellers]
    provider = await seller(world, account=ProviderAccount(reference="acct_1234567890"))
    await opened(world, provider.creator_id)
    run_id = new_id("run")

    made = await make_run(world, run_id)
    late = await opened(world, (await seller(world)).creator_id)
    await end(world, opened_before[0].id, "failed", "the bank refused it")
    confirmed = await confirm_run(world, run_id)

    assert {one.id for one in made} == {one.id for one in opened_before}
    assert {one.run_id for one in made} == {run_id}
    assert {one.id: (one.state, one.reference) for one in confirmed} == {
        opened_before[0].id: ("failed", None),
        opened_before[1].id: ("paid", "batch 7"),
        opened_before[2].id: ("paid", "batch 7"),
    }
    assert await confirm_run(world, run_id) == confirmed
    assert await make_run(world, run_id) == confirmed
    async with world.pool.acquire() as conn:
        still_open = await payouts.find_payout(conn, late.id)
        listed = (await payouts.runs(conn))[0]
        older = await payouts.runs(conn, before=run_id)
    assert still_open is not None
    assert (still_open.state, still_open.run_id) == ("open", None)
    assert (listed.id, listed.payouts, listed.still_open, listed.total) == (run_id, 3, 0, eur(1530))
    assert run_id not in {one.id for one in older}


async def test_each_payout_of_a_run_can_be_ended_alone(world: World, no_run_waits: None):
    payout = await opened(world, (await seller(world)).creator_id)
    run_id = new_id("run")
    await make_run(world, run_id)

    await end(world, payout.id, "paid", "line 1")

    assert [one.reference for one in await confirm_run(world, run_id)] == ["line 1"]


async def test_a_run_of_nothing_and_a_run_whose_id_is_taken_are_refused(world: World, no_run_waits: None):
    run_id = new_id("run")
    refused(await make_run(world, run_id), "conflict")
    await opened(world, (await seller(world)).creator_id)

    assert len(await make_run(world, run_id)) == 1
    refused(await make_run(world, run_id, "USD"), "conflict")
    async with world.pool.acquire() as conn:
        refused(await payouts.confirm_run(conn, run_id=run_id, reference=" ", now=world.now), "invalid_request")


async def test_the_file_for_the_bank_has_the_whole_account_that_each_payout_goes_to(world: World):
    style = await seller(world)
    payout = await opened(world, style.creator_id)
    await put(world, style.creator_id, account=OTHER_ACCOUNT)
    provider = await seller(world, account=ProviderAccount(reference="acct_1234567890"))
    other = await opened(world, provider.creator_id)

    async with world.pool.acquire() as conn:
        found = await payouts.transfers(conn, [payout.id, other.id])

    assert {one.payout.id: one.account for one in found} == {
        payout.id: BankAccount(holder=ACCOUNT.holder, iban=ACCOUNT.iban, bic=None),
        other.id: ProviderAccount(reference="acct_1234567890"),
    }


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE licensing.payout SET amount = amount + 1", asyncpg.RestrictViolationError),
        ("UPDATE licensing.payout SET creator_id = 'me'", asyncpg.RestrictViolationError),
        ("UPDATE licensing.payout SET payee_version = payee_version + 1", asyncpg.RestrictViolationError),
        (
            "UPDATE licensing.payout SET state = 'open', ended_at = NULL WHERE state = 'failed'",
            asyncpg.RestrictViolationError,
        ),
        (
            "UPDATE licensing.payout SET state = 'paid', reference = 'r', reason = NULL WHERE state = 'failed'",
            asyncpg.RestrictViolationError,
        ),
        ("DELETE FROM licensing.payout", asyncpg.RestrictViolationError),
        (
            "INSERT INTO licensing.payout (payout_id, creator_id, payee_version, method, amount, currency, opened_at)"
            " SELECT 'again', creator_id, payee_version, method, amount, currency, opened_at"
            " FROM licensing.payout WHERE state = 'open' LIMIT 1",
            asyncpg.UniqueViolationError,
        ),
        (
            "UPDATE licensing.payout SET state = 'paid', ended_at = now() WHERE state = 'open'",
            asyncpg.CheckViolationError,
        ),
    ],
)
async def test_the_tables_refuse_what_must_never_be(world: World, statement: str, error: type[Exception]):
    failed = await opened(world, (await seller(world)).creator_id)
    await end(world, failed.id, "failed", "r")
    await opened(world, (await seller(world)).creator_id)

    async with world.pool.acquire() as conn:
        with pytest.raises(error):
            await conn.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        (
            "UPDATE licensing.payout SET amount = amount + 1 WHERE payout_id = $1",
            "what is on its way is what open payouts",
        ),
        (
            "UPDATE licensing.payout SET state = 'failed' WHERE payout_id = $1",
            "a payout is posted once for each of its",
        ),
        (
            "INSERT INTO licensing.entry SELECT group_no, 9, 'payable:' || creator_id || ':EUR', 'EUR', 1"
            " FROM licensing.payout JOIN licensing.entry_group ON subject = payout_id WHERE payout_id = $1",
            "what was earned and not paid out is payable, held or on its way",
        ),
    ],
)
async def test_the_check_finds_what_was_tampered_with(world: World, tampering: str, rule: str):
    payout = await opened(world, (await seller(world)).creator_id)

    async with world.undone() as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(
            "ALTER TABLE licensing.payout DROP CONSTRAINT payout_check, DROP CONSTRAINT payout_check1,"
            " DROP CONSTRAINT payout_check2"
        )
        await conn.execute(tampering, payout.id)
        found = [row["rule"] for row in await conn.fetch("SELECT rule FROM licensing.problems()")]

    assert any(one.startswith(rule) for one in found), found


# Races.


async def test_one_payout_asked_for_16_times_at_once_is_one(world: World):
    style = await seller(world, pictures=10)
    payout_id = new_id("pay")

    answers = await asyncio.gather(*(open_one(world, style.creator_id, payout_id=payout_id) for _ in range(16)))

    assert {answer.id for answer in answers} == {payout_id}
    assert await sums(world, style.creator_id) == (0, 0, 510, 0)


async def test_of_16_payouts_at_once_one_goes_on_its_way(world: World):
    style = await seller(world, pictures=10)

    answers = await asyncio.gather(*(open_one(world, style.creator_id) for _ in range(16)))

    assert Counter(type(answer) for answer in answers) == {Payout: 1, Refusal: 15}
    assert await sums(world, style.creator_id) == (0, 0, 510, 0)


async def test_a_second_payout_waits_for_the_first_and_is_refused(world: World):
    style = await seller(world, pictures=10)
    async with world.pool.acquire() as slow, slow.transaction():
        await payouts.open_payout(
            slow, payout_id=new_id("pay"), creator_id=style.creator_id, at_least=eur(1), now=world.now
        )
        second = asyncio.create_task(open_one(world, style.creator_id))
        await asyncio.sleep(0.1)
        assert not second.done()

    refused(await second, "conflict")


async def test_a_payout_beside_sales_takes_no_more_than_is_there(world: World):
    style = await seller(world, pictures=10)

    answers = await asyncio.gather(open_one(world, style.creator_id), *(sell(world, style, 1) for _ in range(10)))
    payable, _, paying, _ = await sums(world, style.creator_id)

    assert isinstance(answers[0], Payout)
    assert paying >= 510
    assert (payable + paying, payable >= 0) == (20 * SHARE, True)


async def test_of_paid_and_failed_at_once_one_happens(world: World):
    style = await seller(world, pictures=10)
    payout = await opened(world, style.creator_id)

    answers = await asyncio.gather(
        *(end(world, payout.id, outcome, "r") for outcome in ("paid", "failed") for _ in range(6))
    )

    states = {answer.state for answer in answers if isinstance(answer, Payout)}
    assert len(states) == 1
    assert Counter(type(answer) for answer in answers) == {Payout: 6, Refusal: 6}
    assert await sums(world, style.creator_id) == ((0, 0, 0, 510) if states == {"paid"} else (510, 0, 0, 0))


async def test_a_refund_and_a_payout_at_once_lose_nothing(world: World):
    for _ in range(8):
        style = await seller(world, pictures=0)
        order_id = await sell(world, style, 10)

        payout, _ = await asyncio.gather(open_one(world, style.creator_id), refund(world, f"out_{order_id}_0"))

        payable, _, paying, _ = await sums(world, style.creator_id)
        assert (payable, paying) in {(0, 459), (-SHARE, 510)}
        assert payout.amount == eur(paying)


async def test_two_runs_at_once_share_the_payouts_without_overlap(world: World, no_run_waits: None):
    expected = {(await opened(world, (await seller(world)).creator_id)).id for _ in range(4)}

    answers = await asyncio.gather(*(make_run(world, new_id("run")) for _ in range(4)))

    runs = [answer for answer in answers if not isinstance(answer, Refusal)]
    assert len(runs) == 1
    assert {one.id for one in runs[0]} == expected


async def test_a_run_confirmed_while_its_payouts_end_alone_ends_each_once(world: World, no_run_waits: None):
    ids = [(await opened(world, (await seller(world)).creator_id)).id for _ in range(6)]
    run_id = new_id("run")
    await make_run(world, run_id)

    await asyncio.gather(
        *(confirm_run(world, run_id) for _ in range(3)), *(end(world, one, "failed", "r") for one in reversed(ids))
    )

    async with world.pool.acquire() as conn:
        states = {one.state for one in await payouts.payouts_of_run(conn, run_id)}
    assert states <= {"paid", "failed"}


# Who may see and do what.


async def test_a_creator_sees_their_own_payouts_and_moves_none(world: World, licensing_url: str):
    style, other = await seller(world), await seller(world)
    mine, theirs = await opened(world, style.creator_id), await opened(world, other.creator_id)

    async with acting(licensing_url, style.creator_id) as conn:
        assert [one.id for one in await payouts.payouts(conn, creator_id=style.creator_id)] == [mine.id]
        assert await payouts.find_payout(conn, theirs.id) is None
        assert await payouts.payouts(conn, creator_id=other.creator_id) == []
        assert await payouts.transfers(conn, [mine.id]) == []
        assert (await payouts.standing(conn, creator_id=style.creator_id)).paying == eur(510)
        assert await conn.fetch("SELECT * FROM licensing.payout_run") == []
        for verb in (
            "open_payout('p', $1, 1, 'EUR', now())",
            "move_payout('p', 'paid', $1, now())",
            "make_run('r', $1, now())",
            "confirm_run('r', $1, now())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.fetch(f"SELECT licensing.{verb}", style.creator_id)
    async with acting(licensing_url, HOUSE) as conn:
        assert len(await payouts.transfers(conn, [mine.id, theirs.id])) == 2
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("UPDATE licensing.payout SET state = 'failed'")
