"""The operator's money with clients: what is unpaid, the last papers, and coupons."""

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from licensing.billing import coupons, issuing
from service.api.coupons import CouponBody, delete_coupon, post_coupon
from service.api.invoices import paper_response
from service.errors import Problem
from service.languages import gettext
from service.pages.forms import checked, day, whole_number
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_RECENT = 20


@router.get("/office/money")
async def money_page(visit: OperatorVisit) -> HTMLResponse:
    """All of it on one page."""
    return await _show(visit)


@router.get("/office/money/papers/{invoice_number}")
async def paper(visit: OperatorVisit, invoice_number: str, request: Request) -> Response:
    """A client's invoice or credit note as a file, by `?format=`: the operator keeps them, too."""
    return await paper_response(visit.web, invoice_number, request, client_id=None)


@router.post("/office/money/coupons")
async def make_coupon(visit: OperatorVisit) -> Response:
    """A new coupon."""
    try:
        uses, last = await visit.field("uses_most"), await visit.field("last_day")
        body = checked(
            CouponBody,
            code=await visit.field("code"),
            percent=whole_number(await visit.field("percent"), name=gettext("Percent")),
            periods=whole_number(await visit.field("periods"), name=gettext("Periods")),
            plan=await visit.field("plan") or None,
            uses_most=whole_number(uses, name=gettext("Clients at most")) if uses else None,
            # The last day counts.
            expires_at=day(last, name=gettext("Last day")) + timedelta(days=1) if last else None,
        )
        await post_coupon(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/money?done=made#coupons")


@router.post("/office/money/coupons/{code}/end")
async def end_coupon(visit: OperatorVisit, code: str) -> Response:
    """Nobody can use it from now on."""
    await delete_coupon(visit.web, visit.identity, code)
    return see_other("/office/money?done=ended#coupons")


async def _show(visit: Member, *, problem: Problem | None = None) -> HTMLResponse:
    web = visit.web
    async with web.pool.acquire() as conn:
        found = await coupons.list_coupons(conn)
        unpaid = await issuing.unpaid_invoices(conn)
        recent = await issuing.recent_papers(conn, limit=_RECENT)
    return page(
        visit,
        "office_money.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        coupons=found,
        unpaid=unpaid,
        recent=recent,
        plans=web.prices.plans,
        seller=web.taxes.seller,
        now=visit.now,
        today=visit.now.date(),
        done=visit.request.query_params.get("done", ""),
    )
