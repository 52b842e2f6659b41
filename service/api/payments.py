"""`/v1/payments`: prepaid money, packs and invoices paid by the operator's provider; what a client saved to pay by."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import Field

from licensing.billing import issuing, methods
from licensing.billing.payments import (
    Payment,
    PaymentRefund,
    Purpose,
    begin_refund,
    end_payment,
    find_payment,
    give_back,
    payments,
)
from licensing.billing.provider_events import Noting, take_event
from licensing.database import Connection
from licensing.errors import EventRefused, ProviderUnreachable, Refusal
from licensing.money import Money
from licensing.payments import Charge, CreatorAccount, Transfer
from licensing.prices import Pack
from licensing.sentence import say
from service.api.shapes import ASKED_ONCE, Cursor, Limit, money, page
from service.api.styles import Body
from service.auth import Client, ClientReading, Identity, Operator, Web, check_terms
from service.charging import payment_id_of, take_payment
from service.errors import Problem, not_found, refused
from service.resources import Gateway
from service.transfers import note_account, note_transfer

router = APIRouter(tags=["payments"])

KEY_CHARACTERS_MAX = 200
WHY_CHARACTERS_MAX = 200


class PaymentBody(Body):
    """One of the three: a pack's id, an amount of prepaid money in minor units, or an invoice's number."""

    pack: str | None = Field(default=None, max_length=100)
    amount: int | None = Field(default=None, ge=1, le=10**9)
    invoice: str | None = Field(default=None, max_length=64)


class GiveBackBody(Body):
    """`amount` in minor units of what is not spent."""

    amount: int = Field(ge=1, le=10**12)
    why: str = Field(min_length=1, max_length=WHY_CHARACTERS_MAX)


@router.get("/payments")
async def get_payments(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """What this client paid, the newest first; the packs on offer, and what is charged by."""
    async with web.pool.acquire() as conn:
        found = await payments(conn, client_id=asker.account_id, limit=limit + 1, before=cursor)
        saved = await methods.saved_method(conn, asker.account_id)
    return page(found, limit, lambda payment: payment_document(web, payment)) | {
        "packs": [_pack_document(pack) for pack in web.prices.packs.values()],
        "method": {"label": saved.method.label, "saved_at": saved.saved_at} if saved else None,
    }


@router.post("/payments", status_code=201)
async def post_payment(
    web: Web,
    asker: Client,
    body: PaymentBody,
    idempotency_key: Annotated[str | None, Header(max_length=KEY_CHARACTERS_MAX, description=ASKED_ONCE)] = None,
) -> dict[str, Any]:
    """Pay: by what was saved (`POST /v1/payment-method`), or as `instructions` says. With the same `Idempotency-Key` it
    is paid once."""
    check_terms(web, asker)
    payment_id = payment_id_of(asker.account_id, idempotency_key) if idempotency_key else web.new_id("pay")
    purpose, subject, amount, bonus = await _wish(web, asker, body)
    await check_can_pay(web, asker.account_id)
    taken = await take_payment(
        web,
        payment_id=payment_id,
        client_id=asker.account_id,
        purpose=purpose,
        subject=subject,
        amount=amount,
        bonus=bonus,
    )
    if isinstance(taken, Refusal):
        raise refused(taken)
    return payment_document(web, taken)


@router.get("/payments/{payment_id}")
async def get_payment(web: Web, asker: ClientReading, payment_id: str) -> dict[str, Any]:
    async with web.pool.acquire() as conn:
        found = await find_payment(conn, payment_id, client_id=asker.account_id)
    if found is None:
        raise not_found("payment", payment_id)
    return payment_document(web, found)


@router.post("/payments/{any_payment_id}/received")
async def receive_payment(web: Web, asker: Operator, any_payment_id: str) -> dict[str, Any]:
    """The money of a payment by transfer has arrived, in full. For the provider `manual`."""
    async with web.house() as conn:
        found = await _any_payment(conn, any_payment_id)
        if found.provider != "manual":
            raise Problem(
                "conflict",
                say(
                    "Whether {id} has arrived is said by {provider}, not by a person.",
                    id=found.id,
                    provider=found.provider,
                ),
            )
        told = Charge(payment_id=found.id, reference=found.reference, state="succeeded", amount=found.amount)
        ended = await end_payment(conn, "manual", told, now=web.clock())
    if isinstance(ended, Refusal):
        raise refused(ended)
    return payment_document(web, ended)


@router.post("/payments/{any_payment_id}/refunds", status_code=201)
async def post_refund(web: Web, asker: Operator, any_payment_id: str, body: GiveBackBody) -> dict[str, Any]:
    """Give money back that is not spent, by the way it came."""
    async with web.house() as conn:
        found = await _any_payment(conn, any_payment_id)
        begun = await begin_refund(
            conn,
            refund_id=web.new_id("rfd"),
            payment_id=found.id,
            amount=Money(body.amount, found.amount.currency),
            why=body.why,
            by=asker.account_id,
            now=web.clock(),
        )
        if not isinstance(begun, Refusal) and found.provider == web.provider.name:
            begun = await give_back(conn, web.provider, begun, now=web.clock())
    if isinstance(begun, Refusal):
        raise refused(begun)
    return _refund_document(begun)


@router.post("/payment-method", status_code=201)
async def post_method(web: Web, asker: Client) -> dict[str, Any]:
    """Begin to save what to pay by: send your browser to `url`, a page of the payment provider, which leads back."""
    check_terms(web, asker)
    return {"url": await setup_page(web, asker.account_id)}


@router.delete("/payment-method", status_code=204)
async def delete_method(web: Web, asker: Client) -> None:
    """Be charged by nothing any more."""
    async with web.house() as conn, conn.transaction():
        saved = await methods.forget_method(conn, client_id=asker.account_id, now=web.clock())
    if saved is not None and saved.provider == web.provider.name:
        await web.provider.forget_method(saved.method.reference)


@router.post("/provider-events/{provider_name}", status_code=204)
async def post_event(web: Web, provider_name: str, request: Request) -> None:
    """What the payment provider tells, signed by it. Taken once, however often it is sent."""
    if provider_name != web.provider.name:
        raise not_found("payment provider", provider_name)
    try:
        event = await web.provider.read_event(await request.body(), request.headers, now=web.clock())
    except EventRefused as error:
        raise Problem("invalid_request", f"This is no event of the payment provider: {error}.") from error
    async with web.house() as conn:
        # Verbs of other rooms' rows take what they need of this place; those of billing take the time alone.
        more: dict[type, Noting] = {Transfer: note_transfer, CreatorAccount: partial(note_account, prices=web.prices)}
        await take_event(conn, web.provider.name, event, now=web.clock(), more=more)


async def setup_page(web: Gateway, client_id: str) -> str:
    """Where a client saves what to pay by. Raises Problem where this place saves nothing, or nobody answers."""
    setup_id = web.new_id("set")
    back = f"{web.settings.origin}/desk/money/saved/{setup_id}"
    try:
        async with web.house() as conn:
            begun = await methods.begin_setup(
                conn, web.provider, setup_id=setup_id, client_id=client_id, return_url=back, now=web.clock()
            )
    except ProviderUnreachable as error:
        raise Problem(
            "overloaded", say("The payment provider does not answer: {error}; try again in a moment.", error=error)
        ) from error
    if isinstance(begun, Refusal):
        raise refused(begun)
    if begun is None:
        raise Problem("conflict", say("Nothing is saved to pay by here: payments are made by bank transfer."))
    return begun.url


async def check_can_pay(web: Gateway, client_id: str) -> None:
    """Raises Problem for a client who has to save something to pay by first."""
    async with web.house() as conn:
        saved = await methods.saved_method(conn, client_id)
    by_hand = web.provider.instructions(payment_id="", amount=Money(0, web.prices.currency)) is not None
    if not by_hand and (saved is None or saved.provider != web.provider.name):
        raise Problem("conflict", say("Nothing is saved to pay by; save a card first: POST /v1/payment-method."))


def payment_document(web: Gateway, payment: Payment) -> dict[str, Any]:
    """One payment; `instructions` where its client has still to do something."""
    todo = web.provider.instructions(payment_id=payment.id, amount=payment.amount)
    return {
        "id": payment.id,
        "state": payment.state,
        "purpose": payment.purpose,
        "subject": payment.subject,
        "amount": money(payment.amount),
        "bonus": money(payment.bonus),
        "reason": payment.reason,
        "given_back": money(payment.given_back),
        "instructions": todo if payment.state == "pending" and payment.provider == web.provider.name else None,
        "created_at": payment.created_at,
        "ended_at": payment.ended_at,
    }


async def _wish(web: Gateway, asker: Identity, body: PaymentBody) -> tuple[Purpose, str | None, Money, Money | None]:
    """What is to be paid. Raises Problem."""
    given = [name for name in ("pack", "amount", "invoice") if getattr(body, name) is not None]
    if len(given) != 1:
        raise Problem("invalid_request", say("Name one of pack, amount and invoice: that is what will be paid."))
    if body.pack is not None:
        pack = web.prices.packs.get(body.pack)
        if pack is None:
            known = ", ".join(web.prices.packs) or "none"
            raise Problem(
                "invalid_request", say("There is no pack {pack!r}; there is {known}.", pack=body.pack, known=known)
            )
        return "pack", pack.id, pack.price, pack.gives - pack.price
    if body.amount is not None:
        return "prepaid", None, Money(body.amount, web.prices.currency), None
    async with web.pool.acquire() as conn:
        paper = await issuing.find_invoice(conn, body.invoice or "", client_id=asker.account_id)
    if paper is None:
        raise not_found("invoice", body.invoice or "")
    if paper.due == paper.settled:
        raise Problem("conflict", say("Invoice {number} is paid; there is nothing to pay.", number=paper.number))
    return "invoice", paper.number, paper.due - paper.settled, None


async def _any_payment(conn: Connection, payment_id: str) -> Payment:
    found = await find_payment(conn, payment_id)
    if found is None:
        raise not_found("payment", payment_id)
    return found


def _pack_document(pack: Pack) -> dict[str, Any]:
    return {"id": pack.id, "name": pack.name, "price": money(pack.price), "gives": money(pack.gives)}


def _refund_document(refund: PaymentRefund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "payment": refund.payment_id,
        "state": refund.state,
        "amount": money(refund.amount),
        "why": refund.why,
        "reason": refund.reason,
    }
