"""What clients paid, what goes back and what banks take back: each booked once, in whatever order it is told."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from licensing.billing import methods, payments
from licensing.billing.payments import Payment, PaymentRefund
from licensing.billing.provider_events import take_event
from licensing.payments import Charge, Chargeback, ChargeRefund, Event, News, Transfer
from licensing.tenancy import ACTING, APPLICATION
from tests.licensing.paying import saved, setup, setup_ended
from tests.licensing.world import NOW, World, eur, new_id, refused

CASH = "cash:operator:EUR"
_CHANGE = "UPDATE licensing.payment SET {} WHERE state = 'succeeded'"
_INSERT = (
    "INSERT INTO licensing.payment (payment_id, client_id, provider, purpose, amount, currency, created_at, {more})"
)


async def begun(world: World, client_id: str, amount: int = 9000, **given: Any) -> Any:
    about = {"payment_id": new_id("pay"), "provider": "stripe", "purpose": "prepaid", "subject": None} | given
    async with world.pool.acquire() as conn:
        return await payments.begin_payment(conn, client_id=client_id, amount=eur(amount), now=world.now, **about)


def told(payment: Payment, state: Any, **changes: Any) -> Charge:
    about = {"payment_id": payment.id, "reference": f"pi_{payment.id}", "amount": payment.amount}
    return Charge(**about | changes, state=state, reason="the card's bank declined it" if state == "failed" else "")


async def ended(world: World, charge: Charge) -> Any:
    async with world.pool.acquire() as conn:
        return await payments.end_payment(conn, "stripe", charge, now=world.now)


async def arrived(world: World, client_id: str, amount: int = 9000, **given: Any) -> Payment:
    payment = await begun(world, client_id, amount, **given)
    found = await ended(world, told(payment, "succeeded"))
    assert isinstance(found, Payment), found
    return found


async def refund(world: World, payment: Payment, amount: int, **given: Any) -> Any:
    about = {"refund_id": new_id("ref"), "why": "asked for", "by": "acc_operator"} | given
    async with world.pool.acquire() as conn:
        return await payments.begin_refund(conn, payment_id=payment.id, amount=eur(amount), now=world.now, **about)


async def refund_ended(world: World, one: PaymentRefund, state: Any) -> Any:
    made = ChargeRefund(
        refund_id=one.id, reference=f"re_{one.id}", state=state, amount=one.amount, reason="closed card"
    )
    async with world.pool.acquire() as conn:
        return await payments.end_refund(conn, "stripe", made, now=world.now)


async def charged_back(world: World, payment: Payment, state: Any, amount: int | None = None, **given: Any) -> Any:
    about = {"reference": f"du_{payment.id}", "charge": payment.reference or f"pi_{payment.id}"} | given
    taken = Chargeback(**about, state=state, amount=eur(amount or payment.amount.amount), reason="fraudulent")
    async with world.pool.acquire() as conn:
        return await payments.note_chargeback(conn, "stripe", taken, now=world.now)


async def owed(world: World, client_id: str) -> int:
    return -await world.balance(f"receivable:{client_id}:EUR")


async def owe(world: World, client_id: str, amount: int) -> None:
    """The client has had pictures on account."""
    async with world.pool.acquire() as conn:
        await conn.execute(
            "SELECT licensing.post('on_account', $1, '{}', $2, ARRAY[$3, 'fee:operator:EUR'], ARRAY[-$4::bigint, $4])",
            *(new_id("inv"), world.now, f"receivable:{client_id}:EUR", amount),
        )


async def free(world: World, client_id: str) -> int:
    return (await world.usage(client_id)).prepaid.amount


async def test_a_payment_begun_twice_is_one_and_another_under_its_id_is_a_conflict(world: World):
    client = await world.client()

    first = await begun(world, client, payment_id="pay_same", method="cus_1/pm_1")
    again = await begun(world, client, payment_id="pay_same", method="cus_1/pm_2")

    assert again == first
    assert again.method == "cus_1/pm_1"
    for changed in ({"amount": 9001}, {"provider": "manual"}, {"purpose": "invoice", "subject": "inv_1"}):
        refused(await begun(world, client, payment_id="pay_same", **changed), "conflict")
    refused(await begun(world, await world.client(), payment_id="pay_same"), "conflict")
    refused(await begun(world, client, 0), "invalid_request")
    refused(await begun(world, client, -5), "invalid_request")


@pytest.mark.parametrize("states", list(itertools.product(("pending", "succeeded", "failed"), repeat=4)), ids="-".join)
async def test_in_whatever_order_it_is_told_a_payment_goes_forwards_only(world: World, states: tuple[str, ...]):
    client, cash = await world.client(), await world.balance(CASH)
    payment = await begun(world, client)
    reached = "pending"

    for state in states:
        reached = max(reached, state, key=("pending", "failed", "succeeded").index)
        found = await ended(world, told(payment, state))

        assert found.state == reached
        assert (found.reason is not None) == (reached == "failed")

    arrived_money = 9000 if reached == "succeeded" else 0
    assert await free(world, client) == arrived_money
    assert cash - await world.balance(CASH) == arrived_money


async def test_of_all_who_tell_of_a_payment_at_once_one_books_it(world: World):
    client = await world.client()
    payment = await begun(world, client)

    async with world.pool.acquire() as conn:
        async with conn.transaction():
            await conn.execute("SELECT FROM licensing.payment WHERE payment_id = $1 FOR UPDATE", payment.id)
            telling = [asyncio.create_task(ended(world, told(payment, "succeeded"))) for _ in range(8)]
            # All of them have come as far as they come before the others are done.
            await asyncio.sleep(0.5)
        answers = await asyncio.gather(*telling)

    assert [answer.state for answer in answers] == ["succeeded"] * 8
    assert await free(world, client) == 9000


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"payment_id": "pay_unknown"}, "not_found"),
        ({"payment_id": None, "reference": "pi_unknown"}, "not_found"),
        ({"amount": eur(8999)}, "conflict"),
        ({"reference": "pi_another"}, "conflict"),
    ],
)
async def test_what_does_not_fit_a_payment_books_nothing(world: World, changes: dict[str, Any], slug: str):
    client = await world.client()
    payment = await begun(world, client)
    await ended(world, told(payment, "pending"))

    refused(await ended(world, told(payment, "succeeded", **changes)), slug)

    assert await free(world, client) == 0


async def test_another_provider_cannot_end_a_payment(world: World):
    payment = await begun(world, await world.client())

    async with world.pool.acquire() as conn:
        answer = await payments.end_payment(conn, "manual", told(payment, "succeeded"), now=world.now)

    refused(answer, "not_found")


async def test_a_pack_brings_its_bonus_from_the_operator_and_takes_it_back_with_a_refund(world: World):
    client, promo = await world.client(), await world.balance("promo:operator:EUR")
    pack = await arrived(world, client, 9000, purpose="pack", subject="pack_100", bonus=eur(1000))
    assert await free(world, client) == 10_000
    assert await world.balance("promo:operator:EUR") == promo - 1000

    parts = [await refund(world, pack, amount) for amount in (4, 4496, 4500)]

    # Rounded up in sum: 1/9 of 4 is a cent, of 4,500 it is 500, of all 1,000.
    assert [part.bonus for part in parts] == [eur(1), eur(499), eur(500)]
    for part in parts:
        await refund_ended(world, part, "succeeded")
    assert await free(world, client) == 0
    assert await world.balance("promo:operator:EUR") == promo


async def test_taking_a_bonus_spending_it_and_asking_for_the_money_back_earns_nothing(world: World):
    client, style = await world.client(), await world.style()
    pack = await arrived(world, client, 9000, purpose="pack", subject="pack_100", bonus=eur(1000))
    await world.sold(style, client, count=16)
    assert await free(world, client) == 10_000 - 960

    refused(await refund(world, pack, 9000), "conflict")
    most = max(amount for amount in range(8000, 9001) if amount + -(-1000 * amount // 9000) <= 10_000 - 960)
    assert isinstance(await refund(world, pack, most), PaymentRefund)

    # Pictures for 9.60 cost what a pack asks for them, 9/10.
    assert 9000 - most >= 960 * 9 // 10


async def test_of_an_invoice_s_payment_the_account_takes_what_is_owed_and_the_rest_is_prepaid(world: World):
    client = await world.client()
    await owe(world, client, 5000)

    first = await arrived(world, client, 4000, purpose="invoice", subject="inv_1")
    second = await arrived(world, client, 4000, purpose="invoice", subject="inv_1")

    assert (first.state, second.state) == ("succeeded", "succeeded")
    assert await owed(world, client) == 0
    assert await free(world, client) == 3000
    async with world.pool.acquire() as conn:
        found = await payments.payments(conn, client_id=client, subject="inv_1")
    assert {one.id for one in found} == {first.id, second.id}


async def test_only_what_is_neither_spent_nor_held_goes_back(world: World):
    client, style = await world.client(), await world.style()
    payment = await arrived(world, client, 1000)
    await world.sold(style, client, count=5)
    await world.held(style, client, count=5)

    too_much = refused(await refund(world, payment, 401), "conflict")
    one = await refund(world, payment, 400)

    assert "400 EUR minor units of prepaid money are free" in too_much.message
    assert isinstance(one, PaymentRefund)
    refused(await world.reserve(style, client), "payment_required")


async def test_nothing_goes_back_of_what_has_not_arrived(world: World):
    client = await world.client(prepaid=9000)
    waiting, failed = await begun(world, client), await begun(world, client)
    await ended(world, told(failed, "failed"))

    for payment in (waiting, failed):
        assert "nothing arrived" in refused(await refund(world, payment, 100), "conflict").message
    unknown = await refund(world, waiting, 100, refund_id="ref_x", by="acc_operator")
    refused(unknown, "conflict")
    async with world.pool.acquire() as conn:
        about = {"refund_id": "ref_y", "payment_id": "pay_unknown", "amount": eur(1), "why": "x", "by": "x"}
        refused(await payments.begin_refund(conn, **about, now=world.now), "not_found")
    refused(await refund(world, waiting, 0), "invalid_request")


async def test_a_refund_begun_twice_is_one_and_another_under_its_id_is_a_conflict(world: World):
    client = await world.client()
    payment, other = await arrived(world, client), await arrived(world, client)

    first = await refund(world, payment, 1000, refund_id="ref_same")
    again = await refund(world, payment, 1000, refund_id="ref_same")

    assert again == first
    refused(await refund(world, payment, 1001, refund_id="ref_same"), "conflict")
    refused(await refund(world, other, 1000, refund_id="ref_same"), "conflict")
    assert await free(world, client) == 17_000


@pytest.mark.parametrize("states", list(itertools.product(("pending", "succeeded", "failed"), repeat=3)), ids="-".join)
async def test_in_whatever_order_it_is_told_a_refund_goes_forwards_only(world: World, states: tuple[str, ...]):
    client = await world.client()
    pack = await arrived(world, client, 9000, purpose="pack", subject="pack_100", bonus=eur(1000))
    cash, one = await world.balance(CASH), await refund(world, pack, 4500)
    reached = "pending"

    for state in states:
        # A bank may send back what was said to have arrived; what it has sent back does not arrive any more.
        reached = max(reached, state, key=("pending", "succeeded", "failed").index)
        found = await refund_ended(world, one, state)

        assert found.state == reached

    money = {"pending": (5000, 0, 4500), "succeeded": (5000, 4500, 0), "failed": (10_000, 0, 0)}[reached]
    on_its_way = await world.balance(f"returning:{client}:EUR")
    assert (await free(world, client), await world.balance(CASH) - cash, on_its_way) == money


async def test_after_a_refund_failed_the_money_can_be_given_back_again(world: World):
    payment = await arrived(world, await world.client())
    first = await refund(world, payment, 9000)
    await refund_ended(world, first, "succeeded")
    await refund_ended(world, first, "failed")

    second = await refund(world, payment, 9000)

    assert isinstance(second, PaymentRefund)
    assert (await refund_ended(world, second, "succeeded")).state == "succeeded"


async def test_a_chargeback_takes_what_is_free_and_the_rest_is_owed(world: World):
    client, style = await world.client(), await world.style()
    payment, cash = await arrived(world, client, 1000), await world.balance(CASH)
    await world.sold(style, client, count=10)

    for _ in range(3):
        found = await charged_back(world, payment, "open")

    assert found.charged_back == eur(1000)
    assert (await free(world, client), await owed(world, client)) == (0, 600)
    assert await world.balance(CASH) == cash + 1000


async def test_money_that_a_bank_gives_back_pays_what_is_still_owed_for_it(world: World):
    client, style = await world.client(), await world.style()
    payment, cash = await arrived(world, client, 1000), await world.balance(CASH)
    await world.sold(style, client, count=10)
    await charged_back(world, payment, "open")
    # Meanwhile a part of it was paid in another way.
    await arrived(world, client, 500, purpose="invoice", subject="inv_1")

    won = await charged_back(world, payment, "won")
    again = await charged_back(world, payment, "lost")

    assert (won.charged_back, again.charged_back) == (eur(0), eur(0))
    assert (await owed(world, client), await free(world, client)) == (0, 900)
    assert await world.balance(CASH) == cash - 500


@pytest.mark.parametrize("states", list(itertools.product(("open", "won", "lost"), repeat=3)), ids="-".join)
async def test_in_whatever_order_it_is_told_a_chargeback_ends_once(world: World, states: tuple[str, ...]):
    client = await world.client()
    payment, cash = await arrived(world, client), await world.balance(CASH)

    for state in states:
        await charged_back(world, payment, state)

    decided = next((state for state in states if state != "open"), "open")
    gone = 0 if decided == "won" else 9000
    assert await world.balance(CASH) - cash == gone
    assert await free(world, client) == 9000 - gone


async def test_a_chargeback_of_an_invoice_s_payment_is_owed_again(world: World):
    client = await world.client(prepaid=20_000)
    await owe(world, client, 5000)
    payment = await arrived(world, client, 6000, purpose="invoice", subject="inv_1")
    assert (await owed(world, client), await free(world, client)) == (0, 21_000)

    await charged_back(world, payment, "lost")

    assert (await owed(world, client), await free(world, client)) == (5000, 20_000)


async def test_of_a_pack_that_is_charged_back_no_more_is_owed_than_the_bank_took(world: World):
    client, style = await world.client(), await world.style()
    pack = await arrived(world, client, 900, purpose="pack", subject="pack_10", bonus=eur(100))
    await world.sold(style, client, count=16)

    await charged_back(world, pack, "open")
    assert (await free(world, client), await owed(world, client)) == (0, 860)
    await charged_back(world, pack, "won")

    assert (await free(world, client), await owed(world, client)) == (40, 0)


async def test_a_chargeback_says_that_its_payment_had_arrived(world: World):
    client, cash = await world.client(), await world.balance(CASH)
    payment = await begun(world, client)
    await ended(world, told(payment, "pending"))

    await charged_back(world, payment, "open")
    late = await ended(world, told(payment, "succeeded"))

    assert late.state == "succeeded"
    assert (await free(world, client), await world.balance(CASH)) == (0, cash)


async def test_a_chargeback_that_fits_no_payment_moves_nothing(world: World):
    payment, cash = await arrived(world, await world.client()), await world.balance(CASH)

    refused(await charged_back(world, payment, "open", charge="pi_unknown"), "not_found")
    refused(await charged_back(world, payment, "open", 9001), "conflict")
    await charged_back(world, payment, "open", 5000, reference="du_first")
    refused(await charged_back(world, payment, "open", 4001, reference="du_second"), "conflict")

    assert await world.balance(CASH) == cash + 5000


async def test_payments_and_chargebacks_of_one_client_at_once_wait_for_each_other_and_never_in_a_circle(world: World):
    client = await world.client(prepaid=5000)
    await owe(world, client, 3000)
    paid = [await arrived(world, client, 1000, purpose="invoice", subject="inv_1") for _ in range(8)]
    waiting = [await begun(world, client, 1000, purpose="invoice", subject="inv_1") for _ in range(8)]

    won = [charged_back(world, payment, "won") for payment in paid]
    answers = await asyncio.gather(*won, *(ended(world, told(payment, "succeeded")) for payment in waiting))

    assert {answer.state for answer in answers} == {"succeeded"}
    assert (await owed(world, client), await free(world, client)) == (0, 5000 + 16_000 - 3000)


async def taken(world: World, event: Event, **given: Any) -> Any:
    async with world.pool.acquire() as conn:
        return await take_event(conn, "stripe", event, now=world.now, **given)


def event(news: News | None, event_id: str | None = None) -> Event:
    return Event(id=event_id or new_id("evt"), kind="payment_intent.succeeded", at=NOW, news=news)


async def test_an_event_taken_16_times_at_once_is_taken_once(world: World):
    client = await world.client()
    payment = await begun(world, client)
    one = event(told(payment, "succeeded"))

    answers = await asyncio.gather(*(taken(world, one) for _ in range(16)))

    assert sorted(answer.repeated for answer in answers) == [False] + [True] * 15
    assert await free(world, client) == 9000


async def test_an_event_whose_cause_breaks_is_not_taken(world: World):
    back = Transfer(payout_id="out_1", reference="tr_1", state="succeeded", amount=eur(100), returned=eur(0))
    noted = list[Transfer]()

    async def broken(conn: Any, provider: str, news: Transfer, *, now: Any) -> None:
        raise ConnectionError("the database went away")

    async def works(conn: Any, provider: str, news: Transfer, *, now: Any) -> None:
        noted.append(news)

    one = event(back)
    with pytest.raises(ConnectionError):
        await taken(world, one, more={Transfer: broken})
    answer = await taken(world, one, more={Transfer: works})

    assert (answer.repeated, answer.refusal, noted) == (False, None, [back])


async def test_an_event_of_nothing_here_is_taken_and_says_so(world: World):
    stranger = Charge(payment_id=None, reference="pi_elsewhere", state="succeeded", amount=eur(700))

    of_others, of_nothing = await taken(world, event(stranger)), await taken(world, event(None))

    refused(of_others.refusal, "not_found")
    assert of_nothing.refusal is None
    assert (await taken(world, of_others.event)).repeated


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        (
            "payment_never_refunded_above",
            _CHANGE.format("given_back = amount + 1"),
        ),
        (
            "payment_never_charged_back_above",
            _CHANGE.format("charged_back = amount + 1"),
        ),
        ("payment_bonus_never_above", _CHANGE.format("bonus_back = bonus + 1")),
        ("payment_account_of_invoices", _CHANGE.format("to_account = 1")),
        (
            "payment_of_reference",
            _INSERT.format(more="reference")
            + " SELECT 'pay_twin', client_id, provider, purpose, amount, currency, created_at, reference"
            " FROM licensing.payment WHERE reference IS NOT NULL AND purpose = 'prepaid' LIMIT 1",
        ),
        (
            "payment_bonus_of_packs",
            _INSERT.format(more="bonus") + " VALUES ('pay_odd', 'acc', 'stripe', 'prepaid', 100, 'EUR', now(), 10)",
        ),
        ("payment_gives_back_what_arrived", "UPDATE licensing.payment SET given_back = 1 WHERE state = 'pending'"),
    ],
)
async def test_the_tables_refuse_what_must_never_be(world: World, constraint: str, statement: str):
    client = await world.client()
    await arrived(world, client)
    await begun(world, client)

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as told_why:
            await conn.execute(statement)

    assert told_why.value.constraint_name == constraint


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing.payment SET amount = amount + 1",
        "UPDATE licensing.payment SET client_id = 'acc_other'",
        "UPDATE licensing.payment SET state = 'pending', ended_at = NULL WHERE state = 'succeeded'",
        "UPDATE licensing.payment SET state = 'failed', reason = 'x' WHERE state = 'succeeded'",
        "DELETE FROM licensing.payment",
        "UPDATE licensing.psp_event SET kind = 'another'",
        "DELETE FROM licensing.psp_event",
    ],
)
async def test_no_statement_takes_a_payment_or_an_event_back(world: World, statement: str):
    payment = await arrived(world, await world.client())
    await taken(world, event(told(payment, "succeeded")))

    async with world.pool.acquire() as conn:
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute(statement)


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE licensing.payment SET given_back = 1 WHERE payment_id = $1",
        "UPDATE licensing.payment_refund SET state = 'succeeded', ended_at = now() WHERE payment_id = $1",
        "UPDATE licensing.chargeback SET state = 'won', ended_at = now() WHERE payment_id = $1",
        "DELETE FROM licensing.chargeback WHERE payment_id = $1",
    ],
)
async def test_the_ledger_s_check_finds_rows_that_say_another_thing_than_its_entries(world: World, broken: str):
    payment = await arrived(world, await world.client())
    await refund(world, payment, 1000)
    await charged_back(world, payment, "open", 2000)

    async with world.undone() as conn:
        await conn.execute(broken, payment.id)
        found = await conn.fetch("SELECT rule FROM licensing.problems()")

    assert found


async def test_a_client_sees_its_own_payments_and_begins_none_by_itself(world: World, licensing_url: str):
    mine, other = await world.client(), await world.client()
    payment, theirs, setup_id = await arrived(world, mine), await arrived(world, other), new_id("set")
    await refund(world, payment, 1000)
    await refund(world, theirs, 1000)
    await charged_back(world, theirs, "open", 500)
    await setup(world, other, setup_id)
    await setup_ended(world, setup_id)

    conn = await asyncpg.connect(licensing_url.replace("postgres@", f"{APPLICATION}@"))
    await conn.execute(f"SELECT set_config('{ACTING}', $1, false)", mine)

    tables = ("payment", "payment_refund", "chargeback", "payment_setup", "payment_method", "psp_event")
    seen = {table: await conn.fetchval(f"SELECT count(*) FROM licensing.{table}") for table in tables}
    assert seen == dict.fromkeys(tables, 0) | {"payment": 1, "payment_refund": 1}
    for verb in (
        f"begin_payment('pay_own', '{mine}', 'stripe', 'pack', 'p', 1, 1000000, 'EUR', NULL, now())",
        f"end_payment('stripe', '{payment.id}', NULL, 'succeeded', 9000, 'EUR', '', now())",
        f"begin_payment_refund('ref_own', '{payment.id}', 1, 'EUR', 'x', 'x', now())",
        "end_payment_refund('stripe', 'ref_own', NULL, 'succeeded', 1, 'EUR', '', now())",
        "note_chargeback('stripe', 'du_own', 'pi_own', 'won', 1, 'EUR', '', now())",
        "end_setup('stripe', 'cs_own', 'succeeded', 'pm', 'Visa', now())",
        f"begin_setup('set_own', '{other}', 'stripe', 'cs_own', now())",
        f"forget_method('{other}', now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.fetch(f"SELECT licensing.{verb}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("INSERT INTO licensing.psp_event VALUES ('stripe', 'evt_own', 'x', now(), now())")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("UPDATE licensing.payment SET state = 'succeeded'")
    assert await methods.forget_method(conn, client_id=mine, now=world.now + timedelta(days=1)) is None
    await conn.close()
    assert await saved(world, other) is not None


async def test_payments_are_listed_newest_first_in_pages(world: World):
    client = await world.client()
    made = []
    for _ in range(5):
        made.append((await begun(world, client)).id)
        world.later(minutes=1)

    async with world.pool.acquire() as conn:
        first = await payments.payments(conn, client_id=client, limit=2)
        rest = await payments.payments(conn, client_id=client, before=first[-1].id)
        others = await payments.find_payment(conn, made[0], client_id="acc_other")

    assert [one.id for one in [*first, *rest]] == made[::-1]
    assert others is None
