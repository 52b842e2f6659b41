"""Clients' payments in the office: transfers that are waited for, and money that goes back."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.billing.payments import all_payments, find_payment, refunds_of
from service.accounts import accounts_by_id
from service.api.bank_statements import file_of, take_statement
from service.api.payments import GiveBackBody, post_refund, receive_payment
from service.bank_statements import list_statements
from service.errors import Problem, not_found
from service.pages.forms import checked, price
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_PER_PAGE = 30
_WAITING_MOST = 200
_STATEMENTS = 10


@router.get("/office/payments")
async def payments_page(visit: OperatorVisit, before: str | None = None) -> HTMLResponse:
    """What is waited for, and every payment by pages."""
    return await _show(visit, before=before)


@router.post("/office/statements")
async def upload_statement(visit: OperatorVisit) -> Response:
    """A file of the bank's: shown with what its lines would do."""
    try:
        content, name = await file_of((await visit.form()).get("file"))
        statement, repeated = await take_statement(visit.web, visit.identity, content, name)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/office/statements/{statement.id}{'?done=repeated' if repeated else ''}")


@router.get("/office/payments/{any_payment_id}")
async def payment_page(visit: OperatorVisit, any_payment_id: str) -> HTMLResponse:
    """One payment with what was given back of it."""
    return await _show_one(visit, any_payment_id)


@router.post("/office/payments/{any_payment_id}/received")
async def receive(visit: OperatorVisit, any_payment_id: str) -> Response:
    """The money has arrived, in full."""
    try:
        await receive_payment(visit.web, visit.identity, any_payment_id)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/payments?done=received")


@router.post("/office/payments/{any_payment_id}/refunds")
async def give_back(visit: OperatorVisit, any_payment_id: str) -> Response:
    """Give money back that is not spent."""
    try:
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name="Amount")
        body = checked(GiveBackBody, amount=amount.amount, why=await visit.field("why"))
        await post_refund(visit.web, visit.identity, any_payment_id, body)
    except Problem as problem:
        return await _show_one(visit, any_payment_id, problem=problem)
    return see_other(f"/office/payments/{any_payment_id}?done=given_back")


async def _show(visit: Member, *, before: str | None = None, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.house() as conn:
        waiting = await all_payments(conn, state="pending", limit=_WAITING_MOST)
        found = await all_payments(conn, limit=_PER_PAGE + 1, before=before)
        people = await accounts_by_id(conn, {one.client_id for one in (*waiting, *found)})
        statements = await list_statements(conn, limit=_STATEMENTS)
    return page(
        visit,
        "office_payments.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        waiting=[one for one in waiting if one.provider == "manual"],
        payments=found[:_PER_PAGE],
        older=found[_PER_PAGE - 1].id if len(found) > _PER_PAGE else "",
        people=people,
        statements=statements,
        done=visit.request.query_params.get("done", ""),
    )


async def _show_one(visit: Member, payment_id: str, *, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.house() as conn:
        found = await find_payment(conn, payment_id)
        if found is None:
            raise not_found("payment", payment_id)
        refunds = await refunds_of(conn, payment_id)
        people = await accounts_by_id(conn, {found.client_id})
    return page(
        visit,
        "office_payment.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        payment=found,
        refunds=refunds,
        client=people.get(found.client_id),
        left=found.amount - found.given_back - found.charged_back,
        done=visit.request.query_params.get("done", ""),
    )
