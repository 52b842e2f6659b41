"""Refunds by transfer: listed with where they go, in one bank file each, sent once, and back by the bank alone."""

import asyncio
from typing import Any

import asyncpg
import pytest

from licensing.billing import payments, transfers_back
from licensing.billing.payments import Payment
from licensing.billing.transfers_back import Refund
from licensing.ledger import check
from licensing.payments import Charge, ChargeRefund
from licensing.payments.manual import code_of
from tests.licensing.paying import IBAN, acting
from tests.licensing.test_bank_booking import asked, book, line, match, refunded
from tests.licensing.world import World, eur, new_id, refused


async def arrived(world: World, *, iban: str = IBAN, cents: int = 5000) -> Payment:
    """A payment that came by a bank's line, from an account or from none that is known."""
    payment = await asked(world, await world.client(), cents)
    await book(world, line(cents, str(payment.reference), holder="Studio North", iban=iban))
    return payment


async def send(world: World, refund_id: str, by: str = "op") -> Any:
    async with world.pool.acquire() as conn:
        return await transfers_back.send_refund(conn, refund_id=refund_id, by=by, now=world.now)


async def came_back(world: World, refund_id: str, reason: str = "account closed") -> Any:
    async with world.pool.acquire() as conn:
        return await transfers_back.return_refund(conn, refund_id=refund_id, reason=reason, now=world.now)


async def gather(world: World, file_id: str | None = None) -> Any:
    async with world.pool.acquire() as conn, conn.transaction():
        return await transfers_back.make_refund_file(
            conn, file_id=file_id or new_id("rff"), currency="EUR", by="op", now=world.now
        )


async def send_file(world: World, file_id: str) -> Any:
    async with world.pool.acquire() as conn, conn.transaction():
        return await transfers_back.send_refund_file(conn, file_id=file_id, by="op", now=world.now)


async def listed(world: World, **wanted: Any) -> dict[str, Refund]:
    async with world.pool.acquire() as conn:
        return {one.refund.id: one for one in await transfers_back.refunds(conn, limit=1000, **wanted)}


async def where(world: World, client: str) -> tuple[int, int]:
    """prepaid, returning."""
    return await world.balance(f"prepaid:{client}:EUR"), await world.balance(f"returning:{client}:EUR")


async def test_a_refund_that_is_owed_is_listed_with_where_it_goes(world: World):
    known, unknown = await arrived(world), await arrived(world, iban="DE00")
    one, other = await refunded(world, known, 1200), await refunded(world, unknown, 700)

    waiting = await listed(world, state="pending", provider="manual")

    assert (waiting[one.id].holder, waiting[one.id].iban) == ("Studio North", IBAN)
    assert waiting[one.id].refund.reference == code_of(one.id, "OR")
    assert (waiting[other.id].iban, waiting[other.id].refund.amount) == ("", eur(700))
    assert one.id not in await listed(world, state="succeeded")


async def test_it_is_sent_once_whoever_says_so_and_the_first_one_stays(world: World):
    payment = await arrived(world)
    refund = await refunded(world, payment, 1200)
    cash = await world.balance("cash:operator:EUR")

    answers = await asyncio.gather(*(send(world, refund.id, by=f"op {number}") for number in range(8)))
    world.later(hours=1)
    late = await send(world, refund.id, by="somebody else")

    assert len({one.sent_by for one in (*answers, late)}) == 1
    assert late.sent_by.startswith("op ")
    assert late.refund.ended_at == answers[0].refund.ended_at
    assert await world.balance("cash:operator:EUR") == cash + 1200
    assert await where(world, payment.client_id) == (3800, 0)
    refused(await send(world, "rfd_none"), "not_found")


async def test_it_comes_back_by_the_banks_word_alone_and_once(world: World):
    payment = await arrived(world)
    refund = await refunded(world, payment, 1200)

    refused(await came_back(world, refund.id), "conflict")
    await send(world, refund.id)
    refused(await came_back(world, refund.id, " "), "invalid_request")
    back, again = await came_back(world, refund.id), await came_back(world, refund.id, "once more")
    refused(await send(world, refund.id), "conflict")

    assert (back.refund.state, back.refund.reason, back.sent_by) == ("failed", "account closed", "op")
    assert again.refund.reason == "account closed"
    assert await where(world, payment.client_id) == (5000, 0)
    async with world.pool.acquire() as conn:
        assert await check(conn) == []


async def test_a_file_has_what_waits_and_is_known_and_nothing_joins_it(world: World):
    payment = await arrived(world)
    first, blind = await refunded(world, payment, 100), await refunded(world, await arrived(world, iban=""), 100)
    file_id = new_id("rff")

    made = await gather(world, file_id)
    later = await refunded(world, payment, 200)
    again = await gather(world, file_id)
    second = await gather(world)
    refused(await gather(world), "conflict")
    sent = await send_file(world, file_id)
    refused(await send_file(world, "rff_none"), "not_found")

    assert {one.refund.id for one in made} >= {first.id}
    assert not {one.refund.id for one in made} & {blind.id, later.id}
    assert [one.refund.id for one in again] == [one.refund.id for one in made]
    assert [one.refund.id for one in second] == [later.id]
    assert {one.refund.state for one in sent} == {"succeeded"}
    assert (await listed(world))[later.id].refund.state == "pending"
    async with world.pool.acquire() as conn:
        [newest, known, *_] = await transfers_back.refund_files(conn, limit=1000)
        assert [one.id for one in await transfers_back.refund_files(conn, limit=1, before=newest.id)] == [known.id]
    by_id = {one.id: one for one in (newest, known)}
    assert (by_id[file_id].still_open, by_id[second[0].file_id].still_open) == (0, 1)


async def test_the_banks_statement_and_a_persons_word_agree_whichever_comes_first(world: World):
    payment = await arrived(world)
    by_hand, by_bank = await refunded(world, payment, 100), await refunded(world, payment, 200)
    await gather(world, file_id := new_id("rff"))
    in_file = line(-300, f"batch {file_id.replace('_', '-')}")

    await send(world, by_hand.id)
    [known] = await match(world, line(-100, str(by_hand.reference)))
    [booked] = await book(world, line(-200, str(by_bank.reference)))
    [whole] = await match(world, in_file)
    told = await send(world, by_bank.id, by="somebody")

    assert (known.does, booked.is_booked, whole.does) == ("known", True, "known")
    assert whole.about == "refund_file"
    assert told.sent_by is None, "the bank had said it first"
    assert await where(world, payment.client_id) == (4700, 0)


async def test_a_file_that_the_bank_booked_as_one_sum_is_sent(world: World):
    payment = await arrived(world)
    refunds = [await refunded(world, payment, cents) for cents in (100, 200)]
    made = await gather(world, file_id := new_id("rff"))
    total = sum(one.refund.amount.amount for one in made)

    [wrong] = await match(world, line(1 - total, file_id.replace("_", "-")))
    [done] = await book(world, line(-total, file_id.replace("_", "-")))

    assert wrong.does == "nothing"
    assert done.is_booked
    after = await listed(world)
    assert {after[one.id].refund.state for one in refunds} == {"succeeded"}


async def test_what_a_provider_sends_is_not_said_by_a_person(world: World):
    about = {"client_id": await world.client(), "provider": "stripe", "purpose": "prepaid", "subject": None}
    async with world.pool.acquire() as conn:
        paid = await payments.begin_payment(
            conn, payment_id=new_id("pay"), amount=eur(900), method="m", now=world.now, **about
        )
        assert isinstance(paid, Payment)
        charge = Charge(payment_id=paid.id, reference=new_id("pi"), state="succeeded", amount=eur(900))
        await payments.end_payment(conn, "stripe", charge, now=world.now)
        refund_id = new_id("rfd")
        await payments.begin_refund(
            conn, refund_id=refund_id, payment_id=paid.id, amount=eur(900), why="w", by="op", now=world.now
        )
        refused(await send(world, refund_id), "conflict")
        made = ChargeRefund(refund_id=refund_id, reference=new_id("re"), state="succeeded", amount=eur(900))
        await payments.end_refund(conn, "stripe", made, now=world.now)

    refused(await came_back(world, refund_id), "conflict")
    assert refund_id not in await listed(world, provider="manual")


async def test_no_statement_takes_a_refund_back_and_accounts_are_the_houses_alone(world: World, licensing_url: str):
    payment = await arrived(world)
    refund = await refunded(world, payment, 100)
    await gather(world)
    await send(world, refund.id)

    async with world.pool.acquire() as conn:
        for change in ("state = 'pending', ended_at = NULL", "sent_by = 'x'", "file_id = NULL", "amount = amount + 1"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await conn.execute(f"UPDATE licensing.payment_refund SET {change} WHERE refund_id = $1", refund.id)
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute("DELETE FROM licensing.payment_refund WHERE refund_id = $1", refund.id)
    async with acting(licensing_url, payment.client_id) as conn:
        assert await conn.fetch("SELECT * FROM licensing.payer") == []
        assert await conn.fetchval("SELECT count(*) FROM licensing.payment_refund") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await transfers_back.send_refund(conn, refund_id=refund.id, by="me", now=world.now)


async def test_where_an_erased_client_paid_from_is_forgotten_unless_money_is_on_its_way_there(world: World):
    gone, waits = await arrived(world), await arrived(world)
    refund = await refunded(world, waits, 100)
    async with world.pool.acquire() as conn:
        for payment in (gone, waits):
            await conn.execute("SELECT licensing.forget_payer($1)", payment.client_id)
        ibans = {
            row["payment_id"]: row["iban"]
            for row in await conn.fetch(
                "SELECT payment_id, iban FROM licensing.payer WHERE payment_id = ANY ($1)", [gone.id, waits.id]
            )
        }

    assert ibans == {gone.id: "", waits.id: IBAN}
    assert (await listed(world))[refund.id].iban == IBAN
