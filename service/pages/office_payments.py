"""Clients' payments in the office: transfers that are waited for, and money that goes back."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from licensing.billing import transfers_back
from licensing.billing.payments import all_payments, find_payment, refunds_of
from service.accounts import accounts_by_id
from service.api.bank_statements import file_of, take_statement
from service.api.payments import GiveBackBody, post_refund, receive_payment
from service.api.refunds import (
    CameBackBody,
    get_refund_file,
    post_file_sent,
    post_refund_file,
    post_returned,
    post_sent,
)
from service.bank_statements import list_statements
from service.errors import Problem, not_found
from service.languages import gettext
from service.pages.forms import checked, price
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_PER_PAGE = 30
_WAITING_MOST = 200
_STATEMENTS = 10
_SENT = 20
_FILES = 10


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
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name=gettext("Amount"))
        body = checked(GiveBackBody, amount=amount.amount, why=await visit.field("why"))
        await post_refund(visit.web, visit.identity, any_payment_id, body)
    except Problem as problem:
        return await _show_one(visit, any_payment_id, problem=problem)
    return see_other(f"/office/payments/{any_payment_id}?done=given_back")


@router.post("/office/refunds/{refund_id}/sent")
async def say_sent(visit: OperatorVisit, refund_id: str) -> Response:
    """A refund's transfer was sent."""
    try:
        await post_sent(visit.web, visit.identity, refund_id)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/payments?done=sent#refunds")


@router.post("/office/refunds/{refund_id}/returned")
async def say_returned(visit: OperatorVisit, refund_id: str) -> Response:
    """A refund came back after it was sent."""
    try:
        body = checked(CameBackBody, reason=await visit.field("reason"))
        await post_returned(visit.web, visit.identity, refund_id, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/payments?done=returned#refunds")


@router.post("/office/refund-files")
async def gather_refunds(visit: OperatorVisit) -> Response:
    """A file for the bank of what waits."""
    try:
        await post_refund_file(visit.web, visit.identity)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/payments?done=gathered#refunds")


@router.get("/office/refund-files/{file_id}/file")
async def refund_file(visit: OperatorVisit, file_id: str, request: Request) -> Response:
    """The file itself, by `?format=`."""
    try:
        return await get_refund_file(visit.web, visit.identity, file_id, request)
    except Problem as problem:
        return await _show(visit, problem=problem)


@router.post("/office/refund-files/{file_id}/sent")
async def file_sent(visit: OperatorVisit, file_id: str) -> Response:
    """The bank carried a file out."""
    try:
        await post_file_sent(visit.web, visit.identity, file_id)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/payments?done=sent#refunds")


async def _show(visit: Member, *, before: str | None = None, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.house() as conn:
        waiting = await all_payments(conn, state="pending", limit=_WAITING_MOST)
        found = await all_payments(conn, limit=_PER_PAGE + 1, before=before)
        refunds = await transfers_back.refunds(conn, state="pending", provider="manual", limit=_WAITING_MOST)
        sent = await transfers_back.refunds(conn, state="succeeded", provider="manual", limit=_SENT)
        files = await transfers_back.refund_files(conn, limit=_FILES)
        clients = {one.client_id for one in (*waiting, *found)} | {one.refund.client_id for one in (*refunds, *sent)}
        people = await accounts_by_id(conn, clients | {one.sent_by for one in sent if one.sent_by})
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
        refunds=refunds,
        can_gather=any(one.iban and one.file_id is None for one in refunds),
        refund_files=files,
        sent=sent,
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
