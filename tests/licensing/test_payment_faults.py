"""Connections break at any statement and any commit of what payments do, and callers ask again: the result is that of a
world in which nothing breaks."""

from typing import Any

import asyncpg

from licensing.billing import methods, payments
from licensing.billing.provider_events import take_event
from licensing.ledger import check
from licensing.payments import Charge, Chargeback, ChargeRefund, Event, Method, News, Setup
from tests.licensing.faults import Faults, every_fault, no_faults, one_fault
from tests.licensing.test_faults import Caller
from tests.licensing.world import NOW, eur, new_id


async def tell(by: Caller, client: str) -> None:
    """Everything a provider may tell of two payments and a card, some of it twice."""
    ids = {name: f"{name}_{client}" for name in ("pay", "pack", "lost", "ref", "bad", "set")}
    begin = {"client_id": client, "provider": "stripe", "now": by.now}
    pack = {"purpose": "pack", "subject": "pack_100", "bonus": eur(1000)}
    for payment_id, about in ((ids["pay"], {"purpose": "prepaid", "subject": None}), (ids["pack"], pack)):
        about = about | begin | {"payment_id": payment_id, "amount": eur(9000)}
        await by.ask(lambda conn, about=about: payments.begin_payment(conn, **about))

    async def note(verb: Any, news: News) -> None:
        await by.ask(lambda conn: verb(conn, "stripe", news, now=by.now))

    async def event(news: News) -> None:
        one = Event(id=new_id("evt"), kind="x", at=NOW, news=news)
        await by.ask(lambda conn: take_event(conn, "stripe", one, now=by.now))

    def charge(payment_id: str, state: Any) -> Charge:
        reason = "declined" if state == "failed" else ""
        return Charge(payment_id=payment_id, reference=f"pi_{payment_id}", state=state, amount=eur(9000), reason=reason)

    def refund(refund_id: str, state: Any) -> ChargeRefund:
        return ChargeRefund(refund_id=refund_id, reference=f"re_{refund_id}", state=state, amount=eur(900), reason="x")

    def chargeback(state: Any) -> Chargeback:
        charged = f"pi_{ids['pack']}"
        return Chargeback(reference=f"du_{client}", charge=charged, state=state, amount=eur(9000), reason="fraudulent")

    await note(payments.end_payment, charge(ids["pay"], "pending"))
    await event(charge(ids["pay"], "succeeded"))
    await note(payments.end_payment, charge(ids["pay"], "succeeded"))
    await note(payments.end_payment, charge(ids["pack"], "failed"))
    await event(charge(ids["pack"], "succeeded"))
    for refund_id in (ids["ref"], ids["bad"]):
        about = {"refund_id": refund_id, "payment_id": ids["pay"], "amount": eur(900), "why": "asked for", "by": "x"}
        await by.ask(lambda conn, about=about: payments.begin_refund(conn, **about, now=by.now))
    await note(payments.end_refund, refund(ids["ref"], "succeeded"))
    await event(refund(ids["bad"], "succeeded"))
    await event(refund(ids["bad"], "failed"))
    for state in ("open", "won"):
        await event(chargeback(state))
    await by.ask(
        lambda conn: conn.fetchval("SELECT licensing.begin_setup($1, $2, 'stripe', $1, $3)", ids["set"], client, by.now)
    )
    card = Method(reference="cus_1/pm_1", label="Visa ending 4242")
    await event(Setup(reference=ids["set"], state="succeeded", method=card))
    await note(methods.end_setup, Setup(reference=ids["set"], state="succeeded", method=card))


async def what_is_left(pool: asyncpg.Pool, client: str, after_group: int) -> dict[str, Any]:
    wishes = {
        "entries": "SELECT g.kind, count(DISTINCT g.group_no), sum(abs(e.amount)) FROM licensing.entry_group g"
        " JOIN licensing.entry e USING (group_no) WHERE g.group_no > $2 AND $1 <> '' GROUP BY 1 ORDER BY 1",
        "payments": "SELECT purpose, state, given_back, bonus_back, charged_back FROM licensing.payment"
        " WHERE client_id = $1 AND $2 >= 0 ORDER BY purpose",
        "refunds": "SELECT state, amount FROM licensing.payment_refund WHERE client_id = $1 AND $2 >= 0 ORDER BY state",
        "chargebacks": "SELECT state, amount FROM licensing.chargeback WHERE client_id = $1 AND $2 >= 0",
        "budgets": "SELECT kind, granted - posted FROM licensing.budget WHERE owner_id = $1 AND $2 >= 0",
        "methods": "SELECT label FROM licensing.payment_method WHERE client_id = $1 AND $2 >= 0",
    }
    async with pool.acquire() as conn:
        assert await check(conn) == []
        return {
            name: [tuple(row) for row in await conn.fetch(wish, client, after_group)] for name, wish in wishes.items()
        }


async def play(pool: asyncpg.Pool, faults: Faults) -> dict[str, Any]:
    client = new_id("acc")
    async with pool.acquire() as conn:
        after_group = await conn.fetchval("SELECT coalesce(max(group_no), 0) FROM licensing.entry_group")
    await tell(Caller(pool=pool, faults=faults), client)
    return await what_is_left(pool, client, after_group)


async def test_one_connection_breaks_at_every_statement_and_every_commit_of_payments(pool: asyncpg.Pool):
    counting = no_faults()
    expected = await play(pool, counting)

    assert dict(expected["budgets"]) == {"prepaid": 9000 - 900 + 10_000}
    assert expected["payments"] == [("pack", "succeeded", 0, 0, 0), ("prepaid", "succeeded", 900, 0, 0)]
    assert expected["methods"] == [("Visa ending 4242",)]
    for point, moment in every_fault(counting.points):
        assert await play(pool, one_fault(point, moment)) == expected, f"{moment} point {point}"
