"""Where and when a creator is paid, what was paid out, and what waits."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import payees, payouts
from licensing.payees import SCHEDULES
from service.api.payouts import PayeeBody, post_payout, put_payee
from service.errors import Problem
from service.pages.forms import checked, chosen, price
from service.pages.render import page, see_other
from service.pages.visits import CreatorVisit, Member

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20


@router.get("/studio/payouts")
async def payouts_page(visit: CreatorVisit, before: str | None = None) -> HTMLResponse:
    """All of it on one page; payouts by pages."""
    return await _show(visit, before=before)


@router.post("/studio/payouts")
async def pay_now(visit: CreatorVisit) -> Response:
    """Pay now what is payable, whatever the schedule says."""
    try:
        await post_payout(visit.web, visit.identity)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/studio/payouts?done=opened")


@router.post("/studio/payouts/payee")
async def change_payee(visit: CreatorVisit) -> Response:
    """Say where and when to be paid."""
    names = ("holder", "iban", "bic", "minimum", "schedule")
    typed = {name: await visit.field(name) for name in names}
    try:
        body = checked(
            PayeeBody,
            holder=typed["holder"],
            iban=typed["iban"],
            bic=typed["bic"] or None,
            minimum=price(typed["minimum"], currency=visit.web.prices.currency, name="Minimum").amount,
            schedule=chosen(typed["schedule"], SCHEDULES),
        )
        await put_payee(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem, typed=typed)
    return see_other("/studio/payouts?done=saved")


async def _show(
    visit: Member, *, before: str | None = None, problem: Problem | None = None, typed: dict[str, str] | None = None
) -> HTMLResponse:
    web, creator_id = visit.web, visit.account.id
    async with web.pool.acquire() as conn:
        history = await payees.payee_history(conn, creator_id)
        found = await payouts.payouts(conn, creator_id=creator_id, limit=_PER_PAGE + 1, before=before)
        standing = await payouts.standing(conn, creator_id=creator_id, currency=web.prices.currency)
    payee = history[0] if history else None
    return page(
        visit,
        "studio_payouts.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        typed=typed,
        payee=payee,
        history=history,
        payouts=found[:_PER_PAGE],
        older=found[_PER_PAGE - 1].id if len(found) > _PER_PAGE else "",
        standing=standing,
        next_payday=payees.next_payday(payee.schedule, visit.now) if payee else None,
        delay_days=payees.CHANGE_DELAY.days,
        smallest=web.prices.payout_smallest,
        currency=web.prices.currency,
        now=visit.now,
        done=visit.request.query_params.get("done", ""),
    )
