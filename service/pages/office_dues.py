"""What creators owe for a month, in the office: who owes how much, what came in, what is waived."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import dues
from licensing.dues import NOTICE_DAYS, DuesStanding
from service.accounts import accounts_by_id
from service.api.dues import DuesNow, DuesPaidBody, DuesWaivedBody, post_dues_payment, post_dues_waiver
from service.errors import Problem
from service.languages import gettext
from service.pages.forms import checked, price
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)


@router.get("/office/dues")
async def dues_page(visit: OperatorVisit) -> HTMLResponse:
    """All of it on one page."""
    return await _show(visit)


@router.post("/office/dues/{creator_id}/payments")
async def receive(visit: OperatorVisit, creator_id: str) -> Response:
    """A transfer arrived."""
    try:
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name=gettext("Amount"))
        body = checked(DuesPaidBody, amount=amount.amount, reference=await visit.field("reference"))
        await post_dues_payment(visit.web, visit.identity, creator_id, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/dues?done=paid")


@router.post("/office/dues/{creator_id}/waivers")
async def waive(visit: OperatorVisit, creator_id: str) -> Response:
    """So much is not asked for any more."""
    try:
        amount = price(await visit.field("amount"), currency=visit.web.prices.currency, name=gettext("Amount"))
        body = checked(DuesWaivedBody, amount=amount.amount, why=await visit.field("why"))
        await post_dues_waiver(visit.web, visit.identity, creator_id, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/office/dues?done=waived")


async def _show(visit: Member, *, problem: Problem | None = None) -> HTMLResponse:
    currency = visit.web.prices.currency
    async with visit.web.house() as conn:
        found = await dues.dues_of_everybody(conn, currency=currency)
        months = await dues.dues_ahead(conn, now=visit.now, currency=currency)
        people = await accounts_by_id(conn, {one.creator_id for one in found})
    nobody = DuesStanding(creator_id="", owed=visit.web.prices.dues * 0, takes=False)
    return page(
        visit,
        "office_dues.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        debts=found,
        dues=DuesNow(standing=nobody, months=months),
        notice_days=NOTICE_DAYS,
        people=people,
        currency=currency,
        done=visit.request.query_params.get("done", ""),
    )
