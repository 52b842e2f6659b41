"""What each line of a bank's statement would do, and does: once, whichever files it comes with."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing import bank_booking, dues
from licensing.bank_booking import Booked, Match
from licensing.bank_statements import BankLine
from licensing.billing import payments
from licensing.billing.reconciliation import reconcile
from licensing.errors import Refusal
from licensing.ledger import check
from licensing.payments.manual import Manual, code_of
from licensing.payouts import make_run
from tests.licensing.paying import opened, reverse, seller, sums
from tests.licensing.world import World, eur, new_id

DAY = datetime(2025, 11, 5, tzinfo=UTC)


def line(cents: int, text: str, **changes: Any) -> BankLine:
    return BankLine(**{"id": new_id("L"), "at": DAY, "amount": eur(cents), "text": text} | changes)


async def match(world: World, *lines: BankLine, earlier: Sequence[BankLine] = ()) -> list[Match]:
    async with world.pool.acquire() as conn:
        return await bank_booking.match_lines(conn, lines, earlier=earlier)


async def book(world: World, *lines: BankLine, earlier: Sequence[BankLine] = ()) -> list[Booked]:
    """As a confirmation does: all in one transaction."""
    async with world.pool.acquire() as conn, conn.transaction():
        found = await bank_booking.match_lines(conn, lines, earlier=earlier)
        return [await bank_booking.book(conn, one, by="op", now=world.now) for one in found]


async def asked(world: World, client: str, cents: int, **changes: Any) -> payments.Payment:
    """A payment that waits for its transfer."""
    about: dict[str, Any] = {"purpose": "prepaid", "subject": None} | changes
    async with world.pool.acquire() as conn:
        begun = await payments.begin_payment(
            conn,
            payment_id=new_id("pay"),
            client_id=client,
            provider="manual",
            amount=eur(cents),
            **about,
            now=world.now,
        )
        assert isinstance(begun, payments.Payment), begun
        waiting = await payments.pay(conn, Manual(), begun, now=world.now)
    assert isinstance(waiting, payments.Payment), waiting
    return waiting


async def refunded(world: World, payment: payments.Payment, cents: int) -> payments.PaymentRefund:
    async with world.pool.acquire() as conn:
        begun = await payments.begin_refund(
            conn, refund_id=new_id("rfd"), payment_id=payment.id, amount=eur(cents), why="w", by="op", now=world.now
        )
        assert isinstance(begun, payments.PaymentRefund), begun
        made = await payments.give_back(conn, Manual(), begun, now=world.now)
    assert isinstance(made, payments.PaymentRefund), made
    return made


async def state_of(world: World, payment: payments.Payment) -> str:
    async with world.pool.acquire() as conn:
        found = await payments.find_payment(conn, payment.id)
    assert found is not None
    return found.state


async def books_balance(world: World) -> bool:
    async with world.pool.acquire() as conn:
        return await check(conn) == []


async def test_a_transfer_with_its_code_pays_what_was_asked_for_and_once(world: World):
    client = await world.client()
    payment = await asked(world, client, 5000)
    code = str(payment.reference)
    came = line(5000, f"money {code.lower().replace('-', ' ')} thanks")

    [told] = await match(world, came)
    nothing_yet = await world.balance(f"prepaid:{client}:EUR")
    [done] = await book(world, came)
    [again] = await book(world, came, earlier=[came])
    [by_another_name] = await match(world, line(5000, code), earlier=[came])

    assert (told.about, told.subject, told.party, told.does) == ("payment", payment.id, client, "books")
    assert nothing_yet == 0, "looking at it books nothing"
    assert done.is_booked
    assert (again.is_booked, again.match.does) == (False, "known")
    assert by_another_name.does == "nothing"
    assert "send back what is too much" in by_another_name.sentence
    assert await world.balance(f"prepaid:{client}:EUR") == 5000
    assert await books_balance(world)


async def test_parts_wait_for_the_rest_also_over_files(world: World):
    payment = await asked(world, await world.client(), 5000)
    first, second = line(2000, str(payment.reference)), line(3000, str(payment.reference))

    [waits] = await book(world, first)
    state = await state_of(world, payment)
    [whole] = await book(world, second, earlier=[first])

    assert (waits.is_booked, waits.match.does, state) == (False, "waits", "pending")
    assert "20.00 EUR of 50.00 EUR" in waits.sentence
    assert whole.is_booked
    assert await state_of(world, payment) == "succeeded"


async def test_two_parts_in_one_file_and_a_line_that_stands_there_twice(world: World):
    payment = await asked(world, await world.client(), 5000)
    first, second = line(2000, str(payment.reference)), line(3000, str(payment.reference))

    done = await book(world, first, second, second)

    assert [(one.is_booked, one.match.does) for one in done] == [(True, "books"), (True, "books"), (False, "known")]
    assert await state_of(world, payment) == "succeeded"


async def test_what_was_booked_by_hand_is_known_and_more_than_was_asked_is_a_persons_to_see(world: World):
    payment, other = [await asked(world, await world.client(), 5000) for _ in range(2)]
    await book(world, line(5000, str(payment.reference)))

    [known] = await match(world, line(5000, str(payment.reference)))
    [dear] = await book(world, line(5001, str(other.reference)))

    assert known.does == "known"
    assert not dear.is_booked
    assert "50.01 EUR where 50.00 EUR" in dear.sentence
    assert await state_of(world, other) == "pending"


async def test_an_invoices_number_pays_it_and_what_is_beyond_is_prepaid(world: World):
    style, client = await world.style(), await world.client(prepaid=100)
    number = await _owing_invoice(world, style, client)
    open_ = await _open_of(world, number)
    came = line(open_ + 700, f"Rechnung {number}, Kai 1")
    [elsewhere] = await match(world, line(100, f"Rechnung {number}7"))

    [told] = await match(world, came)
    before = await world.balance(f"prepaid:{client}:EUR")
    [done] = await book(world, came)
    [late] = await book(world, came)

    assert elsewhere.about == "nothing"
    assert (told.about, told.subject, told.does) == ("invoice", number, "books")
    assert "becomes prepaid money" in told.sentence
    assert done.is_booked
    assert not late.is_booked
    assert await _open_of(world, number) == 0
    assert await world.balance(f"prepaid:{client}:EUR") == before + 700
    assert await books_balance(world)


async def test_a_refund_goes_out_by_its_code_or_its_id_and_may_come_back(world: World):
    payment = await asked(world, await world.client(), 5000)
    await book(world, line(5000, str(payment.reference)))
    by_code, by_id = await refunded(world, payment, 1000), await refunded(world, payment, 700)
    texts = {by_code.id: str(by_code.reference), by_id.id: f"NOTHING {by_id.id.upper().replace('_', '-')}"}

    sent = await book(world, line(-1000, texts[by_code.id]), line(-700, texts[by_id.id]))
    known = await match(world, line(-1000, texts[by_code.id]))
    [wrong] = await match(world, line(-999, texts[by_code.id]))
    back = await book(world, line(1000, texts[by_code.id]))
    again = await match(world, line(1000, texts[by_code.id]))

    assert [(one.is_booked, one.match.about) for one in sent] == [(True, "refund")] * 2
    assert [one.does for one in (*known, wrong, *again)] == ["known", "nothing", "known"]
    assert back[0].is_booked
    assert await world.balance(f"prepaid:{payment.client_id}:EUR") == 5000 - 700
    assert await world.balance(f"returning:{payment.client_id}:EUR") == 0
    assert await books_balance(world)


async def test_payouts_are_carried_out_one_by_one_or_by_the_file_and_come_back(world: World):
    one, other = await seller(world), await seller(world)
    first = await opened(world, one.creator_id)
    name = first.id.replace("_", "-")
    [paid] = await book(world, line(-510, f"pictures sold {name}"))
    [back] = await book(world, line(510, f"RETURN {name} account closed"))
    second = await opened(world, other.creator_id)
    async with world.pool.acquire() as conn:
        run = new_id("run")
        assert not isinstance(await make_run(conn, run_id=run, currency="EUR", now=world.now), Refusal)
    [wrong] = await match(world, line(-509, run.replace("_", "-")))
    [whole] = await book(world, line(-510, run.replace("_", "-")))
    [known] = await match(world, line(-510, second.id))

    assert [one.is_booked for one in (paid, back, whole)] == [True, True, True]
    assert await sums(world, one.creator_id) == (510, 0, 0, 0)
    assert await sums(world, other.creator_id) == (0, 0, 0, 510)
    assert (wrong.about, wrong.does, known.does) == ("payout_run", "nothing", "known")
    await reverse(world, second.id)
    [odd] = await match(world, line(-510, second.id))
    assert (odd.does, "paid again" in odd.sentence) == ("nothing", True)


async def test_dues_are_paid_by_their_code_and_what_nobody_knows_is_named(world: World):
    creator = new_id("acc")
    async with world.pool.acquire() as conn:
        await conn.execute(
            "SELECT licensing.post('dues', $1, '{}', $2, ARRAY['dues:' || $3 || ':EUR', 'fee:operator:EUR'],"
            " ARRAY[-2500, 2500])",
            *(f"{creator}/2025-11", world.now, creator),
        )
        await conn.execute(
            "INSERT INTO licensing.dues VALUES ($1, '2025-11-01', 2500, 0, 'EUR', $2)", creator, world.now
        )
    came, rent = line(1000, dues.dues_code(creator)), line(-90_000, "rent")

    done = await book(world, came, rent)
    again = await book(world, came)

    assert [(one.is_booked, one.match.about) for one in done] == [(True, "dues"), (False, "nothing")]
    assert done[1].sentence == "Nothing here goes by what it says; look at it by hand."
    assert again[0].is_booked, "told again it is the same booking"
    async with world.pool.acquire() as conn:
        assert (await dues.dues_standing(conn, creator_id=creator)).owed == eur(1500)
    assert await books_balance(world)


async def test_another_line_under_a_name_that_was_there_is_not_taken_for_it(world: World):
    payment = await asked(world, await world.client(), 5000)
    known = line(100, "tea")

    [told] = await book(world, line(5000, str(payment.reference), id=known.id), earlier=[known])

    assert (told.is_booked, told.match.does) == (False, "nothing")
    assert "Another line" in told.sentence
    assert await state_of(world, payment) == "pending"


async def test_what_was_booked_and_the_providers_list_agree(world: World):
    payment = await asked(world, await world.client(), 5000)
    lines = [line(5000, str(payment.reference))]
    await book(world, *lines)
    refund = await refunded(world, payment, 1200)
    lines.append(line(-1200, str(refund.reference)))
    await book(world, lines[1], earlier=lines[:1])

    async with world.pool.acquire() as conn:
        found = await reconcile(conn, Manual(lines=tuple(lines)), since=world.now, now=world.now)

    returned = line(1200, f"RETURN {refund.reference}")
    await book(world, returned, earlier=lines)
    async with world.pool.acquire() as conn:
        after = await reconcile(conn, Manual(lines=(*lines, returned)), since=world.now, now=world.now)

    mine = {payment.id, refund.id, str(payment.reference), str(refund.reference)}
    for one in (found, after):
        assert not [finding for finding in one.findings if finding.id in mine]
        assert not mine & set(one.ended)


@pytest.mark.parametrize("text", ["", code_of("pay_unknown"), "OH-123", "pay_x run_y", "2025-00001"])
async def test_what_looks_like_something_and_is_nothing_here_does_nothing(world: World, text: str):
    for cents in (100, -100):
        [told] = await match(world, line(cents, text))
        assert told.does == "nothing"


async def _owing_invoice(world: World, style: Any, client: str) -> str:
    """An invoice over pictures that came on account; its number."""
    plan = next(iter(world.prices.plans.values()))
    await world.credit(client, 10_000)
    await world.subscribe(client, plan=plan)
    await world.cap_overage(client, 5000)
    await world.sold(style, client, count=plan.units)
    await world.sold(style, client, count=5)
    papers = await world.invoice(client)
    return papers[0].number


async def _open_of(world: World, number: str) -> int:
    async with world.pool.acquire() as conn:
        cents: int = await conn.fetchval("SELECT due - settled FROM licensing.invoice WHERE number = $1", number)
    return cents
