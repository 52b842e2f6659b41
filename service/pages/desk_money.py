"""The desk's money: balance, the plan with all that can be done to it, licences, papers, and whom they name."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import plans
from licensing.billing import buyers, issuing
from licensing.billing.invoices import Paper
from licensing.billing.parties import Party
from licensing.database import Connection
from licensing.plans import Allowance
from licensing.sentence import say
from service.api.invoices import BuyerBody, put_buyer
from service.api.subscription import (
    OverageBody,
    PauseBody,
    SubscriptionBody,
    pause_subscription,
    put_overage,
    put_subscription,
    resume_subscription,
)
from service.errors import Problem
from service.pages.desk_offers import NOTHING, Offered, Wish, offered, with_coupon
from service.pages.forms import checked, chosen, day, price
from service.pages.render import page, see_other
from service.pages.visits import ClientVisit, Member
from service.styles import style_names

router = APIRouter(include_in_schema=False)

_PER_PAGE = 12
_WHEN: tuple[Literal["now", "renewal"], ...] = ("now", "renewal")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a client stands with the operator. `offered` leaves out the plan that runs."""

    usage: plans.Usage
    current: Allowance | None
    licences: list[Allowance]
    offered: list[Offered]
    can_try: bool
    next_try: datetime | None
    """When a renewal is tried again that found no money."""
    unpaid: list[Paper]


@router.get("/desk/money")
async def money_page(visit: ClientVisit, before: str | None = None) -> HTMLResponse:
    """Everything about money on one page; papers by pages."""
    return await _show(visit, before=before)


@router.post("/desk/money/plan")
async def subscribe(visit: ClientVisit) -> Response:
    """Show what a coupon makes of a plan; buy one for the sum that was seen, try one, or have the one that runs renewed
    after all."""
    plan, coupon, renews = [await visit.field(name) for name in ("plan", "coupon", "renews")]
    wish, is_trial = Wish(plan=plan, coupon=coupon, renews=bool(renews)), bool(await visit.field("trial"))
    try:
        body = checked(SubscriptionBody, plan=plan, renews=wish.renews, coupon=coupon or None, trial=is_trial)
        if await visit.field("do") == "price":
            return await _show(visit, wish=wish)
        if not is_trial and not await _has_seen(visit, wish):
            return await _show(visit, wish=wish, has_changed=True)
        await put_subscription(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, wish=replace(wish, is_priced=problem.slug == "payment_required"), problem=problem)
    return see_other(f"/desk/money?done={'tried' if is_trial else 'subscribed'}")


@router.post("/desk/money/plan/change")
async def change_plan(visit: ClientVisit) -> Response:
    """Another plan, now or at the renewal. Now only for the sums that were seen."""
    try:
        body = checked(
            SubscriptionBody, plan=await visit.field("plan"), change=chosen(await visit.field("when"), _WHEN)
        )
        await _check_agreed(visit, body)
        await put_subscription(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/desk/money?done={'changed' if body.change == 'now' else 'will_change'}")


@router.post("/desk/money/plan/end")
async def end_renewal(visit: ClientVisit) -> Response:
    """The plan runs to its end and is not renewed."""
    try:
        await put_subscription(visit.web, visit.identity, SubscriptionBody(plan=None))
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/desk/money?done=ended")


@router.post("/desk/money/plan/pause")
async def pause_plan(visit: ClientVisit) -> Response:
    """Stop the plan's clock until a day, or as long as may be."""
    try:
        typed = await visit.field("until")
        await pause_subscription(
            visit.web, visit.identity, PauseBody(until=day(typed, name=say("Until")) if typed else None)
        )
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/desk/money?done=paused")


@router.post("/desk/money/plan/resume")
async def resume_plan(visit: ClientVisit) -> Response:
    """Let a paused plan run on."""
    try:
        await resume_subscription(visit.web, visit.identity)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/desk/money?done=resumed")


@router.post("/desk/money/overage")
async def cap_overage(visit: ClientVisit) -> Response:
    """How much may be made on account beyond the quota."""
    try:
        cap = price(await visit.field("cap"), currency=visit.web.prices.currency, name=say("Limit"))
        await put_overage(visit.web, visit.identity, OverageBody(cap=cap.amount))
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/desk/money?done=capped")


@router.get("/desk/money/buyer")
async def buyer_page(visit: ClientVisit) -> HTMLResponse:
    """Who invoices are made out to, and which tax that means."""
    return await _show_buyer(visit)


@router.post("/desk/money/buyer")
async def change_buyer(visit: ClientVisit) -> Response:
    """Other details, for what is bought from now on."""
    names = ("name", "street", "postcode", "city", "country", "email")
    typed = Party(**{name: await visit.field(name) for name in names}, vat_id=(await visit.field("vat_id")) or None)
    try:
        body = checked(BuyerBody, **{name: getattr(typed, name) for name in (*names, "vat_id")})
        await put_buyer(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show_buyer(visit, typed=typed, problem=problem)
    return see_other("/desk/money/buyer?done=saved")


async def _has_seen(visit: Member, wish: Wish) -> bool:
    """Whether a plan's sum was seen as it is now. Without a coupon it is on every page that was not open for long, so
    only a form that says another sum has not seen it. Raises Problem where the coupon does not hold."""
    agreed = await visit.field("agreed")
    if not wish.coupon and not agreed:
        return True
    async with visit.web.pool.acquire() as conn:
        current = await plans.current_plan(conn, client_id=visit.account.id, now=visit.now)
        found = await with_coupon(conn, visit, await offered(conn, visit, current), wish)
    wanted = next((one for one in found if one.plan.id == wish.plan), None)
    return wanted is None or wanted.agreed == agreed


async def _check_agreed(visit: Member, body: SubscriptionBody) -> None:
    """Raises Problem where there is no plan to change any more, or a change at once costs something else than shown."""
    async with visit.web.pool.acquire() as conn:
        current = await plans.current_plan(conn, client_id=visit.account.id, now=visit.now)
        found = await offered(conn, visit, current)
    if current is None:
        raise Problem("conflict", say("The plan that you wanted to change has ended; subscribe to one of those below."))
    wanted = next((one for one in found if one.plan.id == body.plan), None)
    if body.change == "now" and wanted is not None and await visit.field("agreed") != wanted.agreed:
        raise Problem(
            "conflict", say("The sums are others by now; look at them again, and press the button if you agree.")
        )


async def _position(conn: Connection, visit: Member, wish: Wish) -> Position:
    """Raises Problem where a coupon does not hold."""
    client_id, now = visit.account.id, visit.now
    usage = await plans.usage(conn, client_id, now, currency=visit.web.prices.currency)
    current = await plans.current_plan(conn, client_id=client_id, now=now)
    found = await offered(conn, visit, current)
    return Position(
        usage=usage,
        current=current,
        licences=[one for one in usage.allowances if one.kind == "licence"],
        offered=await with_coupon(conn, visit, found, wish) if wish.is_priced else found,
        can_try=not await plans.had_plan(conn, client_id),
        next_try=await plans.next_try(conn, client_id),
        unpaid=await issuing.unpaid_invoices(conn, client_id=client_id),
    )


async def _show(
    visit: Member,
    *,
    before: str | None = None,
    wish: Wish = NOTHING,
    has_changed: bool = False,
    problem: Problem | None = None,
) -> HTMLResponse:
    web = visit.web
    async with web.pool.acquire() as conn:
        position = await _position(conn, visit, wish)
        papers = await issuing.list_invoices(conn, client_id=visit.account.id, limit=_PER_PAGE + 1, before=before)
        names = await style_names(conn, [one.style_id for one in position.licences if one.style_id])
        buyer = await buyers.buyer_of(conn, visit.account.id)
    return page(
        visit,
        "desk_money.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        position=position,
        wish=wish,
        has_changed=has_changed,
        plans=web.prices.plans,
        papers=papers[:_PER_PAGE],
        older=papers[_PER_PAGE - 1].number if len(papers) > _PER_PAGE else "",
        style_names=names,
        buyer=buyer,
        rate=web.taxes.rate_for(buyer),
        seller=web.taxes.seller,
        pause_days=web.prices.pause_days_most,
        pause_between=_pause_between(visit),
        today=visit.now.date(),
        currency=web.prices.currency,
        done=visit.request.query_params.get("done", ""),
    )


def _pause_between(visit: Member) -> tuple[str, str]:
    """The first and the last day that a plan may be paused until, as a form's field takes them."""
    first, last = visit.now + timedelta(days=1), visit.now + timedelta(days=visit.web.prices.pause_days_most)
    return first.date().isoformat(), last.date().isoformat()


async def _show_buyer(visit: Member, *, typed: Party | None = None, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        buyer = await buyers.buyer_of(conn, visit.account.id)
    nobody = Party(name=visit.account.name, street="", postcode="", city="", country="", email=visit.account.email)
    return page(
        visit,
        "desk_buyer.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        party=typed or buyer or nobody,
        is_known=buyer is not None,
        rate=visit.web.taxes.rate_for(buyer),
        done=visit.request.query_params.get("done", ""),
    )
