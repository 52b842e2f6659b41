"""The desk's payments: add money, pay an invoice alone, and what is saved to pay by."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.billing import issuing, methods
from licensing.billing.payments import payments
from licensing.errors import ProviderUnreachable, Refusal
from licensing.money import Money
from licensing.sentence import say
from service.api.payments import (
    PaymentBody,
    check_can_pay,
    delete_method,
    payment_document,
    post_payment,
    setup_page,
)
from service.auth import check_terms
from service.errors import Problem, refused
from service.pages.forms import checked, price
from service.pages.render import page, see_other
from service.pages.visits import ClientVisit, Member

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_HERE = "/desk/money/payments"


@router.get("/desk/money/payments")
async def payments_page(visit: ClientVisit, before: str | None = None) -> HTMLResponse:
    """What can be paid, what is paid by, and every payment by pages."""
    return await _show(visit, before=before)


@router.post("/desk/money/payments")
async def pay(visit: ClientVisit) -> Response:
    """Pay a pack, an amount or an invoice. What one page asks for is paid once, however often it is sent."""
    try:
        typed = await visit.field("amount")
        currency = visit.web.prices.currency
        wish = {
            "pack": await visit.field("pack") or None,
            "amount": price(typed, currency=currency, name=say("Amount")).amount if typed else None,
            "invoice": await visit.field("invoice") or None,
        }
        body = checked(PaymentBody, **wish)
        once = await visit.field("once")
        key = f"{once} {wish}" if once else None
        paid = await post_payment(visit.web, visit.identity, body, idempotency_key=key)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"{_HERE}?done={paid['state']}")


@router.get("/desk/money/save")
async def begin_saving(visit: ClientVisit) -> Response:
    """On to the provider's page. A link and no form: browsers let no form lead to another site from here. It charges
    nothing."""
    try:
        check_terms(visit.web, visit.identity)
        url = await setup_page(visit.web, visit.account.id)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(url)


@router.get("/desk/money/saved/{setup_id}")
async def come_back(visit: ClientVisit, setup_id: str) -> Response:
    """Back from the provider's page."""
    web = visit.web
    try:
        async with web.house() as conn:
            refusal = await methods.finish_setup(
                conn, web.provider, setup_id, client_id=visit.account.id, now=visit.now
            )
            saved = await methods.saved_method(conn, visit.account.id)
    except ProviderUnreachable:
        # Its event says the same a little later.
        return see_other(f"{_HERE}?done=asking")
    if isinstance(refusal, Refusal):
        raise refused(refusal)
    return see_other(f"{_HERE}?done={'saved' if saved else 'asking'}")


@router.post("/desk/money/method/remove")
async def remove_method(visit: ClientVisit) -> Response:
    """Be charged by nothing any more."""
    try:
        await delete_method(visit.web, visit.identity)
    except ProviderUnreachable:
        # We have forgotten it, which is what keeps it from being charged.
        return see_other(f"{_HERE}?done=removed")
    return see_other(f"{_HERE}?done=removed")


async def _show(visit: Member, *, before: str | None = None, problem: Problem | None = None) -> HTMLResponse:
    web, client_id = visit.web, visit.account.id
    async with web.pool.acquire() as conn:
        found = await payments(conn, client_id=client_id, limit=_PER_PAGE + 1, before=before)
        saved = await methods.saved_method(conn, client_id)
        unpaid = await issuing.unpaid_invoices(conn, client_id=client_id)
    by_hand = web.provider.instructions(payment_id="", amount=Money(0, web.prices.currency)) is not None
    shown = found[:_PER_PAGE]
    return page(
        visit,
        "desk_payments.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        packs=list(web.prices.packs.values()),
        payments=shown,
        instructions={one.id: payment_document(web, one)["instructions"] for one in shown},
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        saved=saved,
        unpaid=unpaid,
        by_hand=by_hand,
        can_pay=await _can_pay(visit),
        once=web.new_id("pay"),
        seller=web.taxes.seller,
        currency=web.prices.currency,
        done=visit.request.query_params.get("done", ""),
    )


async def _can_pay(visit: Member) -> bool:
    try:
        await check_can_pay(visit.web, visit.account.id)
    except Problem:
        return False
    return True
