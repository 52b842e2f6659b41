"""A year of money beside the sales: payments before them, papers over them, payouts, refunds, disputes, plans."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from licensing import disputes, docket, payouts, plans
from licensing.billing import issuing
from licensing.billing.parties import Party
from licensing.billing.payments import begin_payment, end_payment
from licensing.billing.taxes import Seller
from licensing.errors import Refusal
from licensing.money import Money
from licensing.payees import BankAccount, put_payee
from licensing.payments import Charge
from licensing.refunds import refund_output
from tests.benchmarks.crowd.hand import Hand
from tests.benchmarks.crowd.orders import Ordered, Shop
from tests.benchmarks.crowd.people import People, Person
from tests.benchmarks.crowd.size import Size

IBAN = "DE89370400440532013000"
SELLER = Seller(
    party=Party(name="Bildwerk", street="Kai 2", postcode="1", city="Hamburg", country="DE", tax_number="1"),
    prefix="",
    pay_to="",
)
_SPARE = 20_000
"""What a client has left at the end, in minor units."""
_PLANS, _LICENCES = 20, 12
_MAY_BE_DISPUTED = timedelta(days=25)


@dataclass(frozen=True, kw_only=True)
class Funds:
    """What each client needs, by the number of the month."""

    needed: dict[int, dict[str, int]]


def plan_funds(shop: Shop, orders: Sequence[Ordered]) -> Funds:
    needed: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for order in orders:
        price = shop.terms[order.style.id].tiers[order.tier].price.amount
        needed[month_of(order.at)][order.client.id] += 0 if order.is_test else price * order.count
    return Funds(needed=needed)


def month_of(at: datetime) -> int:
    return at.year * 12 + at.month


async def name_payees(hand: Hand, people: People) -> None:
    """Most creators say where they are paid. The first one asks for payouts, so that none is under way on a payday."""
    for creator in people.creators:
        asks = creator is people.creators[0]
        if asks or hand.dice.random() < 0.7:
            await put_payee(
                hand.conn,
                creator_id=creator.id,
                account=BankAccount(holder=creator.name, iban=IBAN, bic=None),
                minimum=Money(500, "EUR"),
                schedule="never" if asks else "monthly",
                smallest=Money(100, "EUR"),
                by=creator.id,
                now=creator.since,
            )


async def pay_in(hand: Hand, funds: Funds, month: int, at: datetime) -> None:
    """Clients pay before they buy; what a month takes, and in the first of them something to spare."""
    for client_id, amount in funds.needed.get(month, {}).items():
        await _pay(hand, client_id, amount + _SPARE // 10, at)


async def _pay(hand: Hand, client_id: str, amount: int, at: datetime) -> None:
    payment_id, sum_ = hand.id("pay", at), Money(amount, "EUR")
    begun = await begin_payment(
        hand.conn,
        payment_id=payment_id,
        client_id=client_id,
        provider="manual",
        purpose="prepaid",
        subject=None,
        amount=sum_,
        now=at,
    )
    assert not isinstance(begun, Refusal), begun
    charge = Charge(payment_id=payment_id, reference=payment_id, state="succeeded", amount=sum_)
    ended = await end_payment(hand.conn, "manual", charge, now=at)
    assert not isinstance(ended, Refusal), ended


async def end_month(hand: Hand, people: People, at: datetime, sold: Sequence[Ordered]) -> None:
    """The first of a month: papers over the month before, some refunds and disputes about it, and payouts."""
    buyers = {client.id: client for client in people.clients}
    for client_id, currency in await issuing.clients_to_invoice(hand.conn, until=at):
        await _issue(hand, buyers[client_id], currency, at)
    for order in sold[:: max(1, len(sold) // 25)]:
        await _refund(hand, order, at)
    await _decide_disputes(hand, at)
    recent = [order for order in sold if order.at > at - _MAY_BE_DISPUTED]
    for order in recent[1 :: max(2, len(recent) // 30)]:
        await _dispute(hand, order, at)
    await _pay_out(hand, people, at)


async def _issue(hand: Hand, client: Person, currency: str, at: datetime) -> None:
    async with hand.conn.transaction():
        await issuing.issue_papers(
            hand.conn,
            client_id=client.id,
            currency=currency,
            until=at,
            seller=SELLER,
            buyer=Party(name=client.name, street="Kai 1", postcode="1", city="Hamburg", country="DE"),
            style_names={},
            payment_days=14,
            now=at,
        )


async def _refund(hand: Hand, order: Ordered, at: datetime) -> None:
    output_id = await hand.conn.fetchval("SELECT id FROM service.outputs WHERE generation_id = $1", order.id)
    reason = "It shows something else than was ordered."
    done = await refund_output(hand.conn, output_id=output_id, reason=reason, by="operator", now=at)
    assert not isinstance(done, Refusal), done


async def _dispute(hand: Hand, order: Ordered, at: datetime) -> None:
    """Its client contests a sale."""
    output_id = await hand.conn.fetchval(
        "SELECT output_id FROM licensing.output WHERE order_id = $1 AND revoked_at IS NULL", order.id
    )
    if output_id is not None:
        opened = await disputes.open_dispute(
            hand.conn,
            dispute_id=hand.id("dsp", at),
            side="client",
            party_id=order.client.id,
            ground="other",
            words="It is not what I ordered.",
            output_id=output_id,
            now=at,
        )
        assert not isinstance(opened, Refusal), opened


async def _decide_disputes(hand: Hand, at: datetime) -> None:
    """Those of the month before are decided; those that were decided then are over."""
    for dispute_id in await docket.due_to_close(hand.conn, now=at):
        assert await disputes.close(hand.conn, dispute_id=dispute_id, now=at)
    opened = await hand.conn.fetch(
        "SELECT dispute_id FROM licensing.dispute WHERE state = 'open' AND answer_due_at < $1", at
    )
    for row in opened:
        decided = await disputes.decide(
            hand.conn,
            note_id=hand.id("dnt", at),
            dispute_id=row["dispute_id"],
            outcome="released",
            reason="It is what was ordered.",
            now=at,
        )
        assert not isinstance(decided, Refusal), decided


async def _pay_out(hand: Hand, people: People, at: datetime) -> None:
    for creator in people.creators:
        if creator.since < at - timedelta(days=10):
            payout_id = hand.id("pyt", at)
            await payouts.open_payout(
                hand.conn, payout_id=payout_id, creator_id=creator.id, at_least=Money(500, "EUR"), now=at
            )
    run_id = hand.id("run", at)
    made = await payouts.make_run(hand.conn, run_id=run_id, currency="EUR", now=at)
    if not isinstance(made, Refusal):
        await payouts.confirm_run(hand.conn, run_id=run_id, reference=f"bank {at:%Y-%m}", now=at)


async def subscribe(hand: Hand, people: People, shop: Shop) -> None:
    """Plans of a few clients, the heaviest among them, and licences of that one."""
    at, prices = hand.now - timedelta(days=2), hand.web.prices
    plan = next(iter(prices.plans.values()))
    for client in people.clients[:_PLANS]:
        await _pay(hand, client.id, plan.price.amount + _SPARE, at)
        bought = await plans.subscribe(
            hand.conn, client_id=client.id, plan=plan, now=at, new_id=lambda prefix: hand.id(prefix, at)
        )
        assert not isinstance(bought, Refusal), bought
    for style in shop.styles[:_LICENCES]:
        offer = shop.terms[style.id].tiers["personal"].offer
        assert offer is not None
        await _pay(hand, people.clients[0].id, offer.price.amount, at)
        taken = await plans.buy_licence(
            hand.conn,
            client_id=people.clients[0].id,
            style_id=style.id,
            tier="personal",
            now=at,
            new_id=lambda prefix: hand.id(prefix, at),
        )
        assert not isinstance(taken, Refusal), taken


async def read_statements(hand: Hand, size: Size, people: People) -> None:
    """Files of the operator's bank, a week each."""
    for week in range(40):
        at = hand.now - timedelta(weeks=week)
        statement_id = hand.id("bst", at)
        words: dict[str, Any] = {"id": statement_id, "sha256": hand.hex(), "name": f"bank-{at:%Y-%m-%d}.xml"}
        who = {"uploaded_by": people.operator.id, "uploaded_at": at, "booked_by": people.operator.id, "booked_at": at}
        await hand.put("service.bank_statements", [words | who | {"num_bytes": 90_000, "state": "booked"}])
        lines = [_line(hand, statement_id, number, at) for number in range(max(5, size.generations // 500))]
        await hand.put("service.bank_lines", lines)


def _line(hand: Hand, statement_id: str, number: int, at: datetime) -> dict[str, Any]:
    return {
        "statement_id": statement_id,
        "number": number,
        "line_id": hand.hex(8),
        "at": at,
        "amount": 100 + number,
        "currency": "EUR",
        "text": "rent",
        "holder": "Hausverwaltung",
        "iban": IBAN,
        "code": "",
        "about": "other",
        "is_booked": False,
        "sentence": "It names no payment of this place.",
    }
