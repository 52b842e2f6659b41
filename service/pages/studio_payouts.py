"""Where and when a creator is paid, what was paid out, and what waits."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import payees, payouts
from licensing.errors import ProviderUnreachable, Refusal
from licensing.payees import SCHEDULES
from licensing.payments import CreatorAccount
from licensing.sentence import say
from service import onboarding
from service.api.payouts import PayeeBody, connect_payee, post_payout, put_payee
from service.errors import Problem, refused
from service.pages.forms import checked, chosen, price
from service.pages.render import page, see_other
from service.pages.visits import CreatorVisit, Member
from service.pages.words import WANTED

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
            minimum=price(typed["minimum"], currency=visit.web.prices.currency, name=say("Minimum")).amount,
            schedule=chosen(typed["schedule"], SCHEDULES),
        )
        await put_payee(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem, typed=typed)
    return see_other("/studio/payouts?done=saved")


@router.get("/studio/payouts/connect")
async def connect(visit: CreatorVisit) -> Response:
    """On to the provider's page. A link and no form: browsers let no form lead to another site from here."""
    try:
        begun = await connect_payee(visit.web, visit.identity)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(begun["url"])


@router.get("/studio/payouts/connected")
async def come_back(visit: CreatorVisit) -> Response:
    """Back from the provider's page."""
    try:
        found = await onboarding.come_back(visit.web, visit.account.id)
    except ProviderUnreachable:
        # Its event says the same a little later.
        return see_other("/studio/payouts?done=asking")
    return see_other(f"/studio/payouts?done={'connected' if found and found.is_ready else 'unfinished'}")


@router.post("/studio/payouts/connected")
async def be_paid_there(visit: CreatorVisit) -> Response:
    """Be paid at the provider, when and from as much on as the form says."""
    web = visit.web
    try:
        minimum = price(await visit.field("minimum"), currency=web.prices.currency, name=say("Minimum"))
        schedule = chosen(await visit.field("schedule"), SCHEDULES)
        found = await onboarding.look(web, visit.account.id)
        if found is None or not found.is_ready:
            raise Problem("conflict", say("Your account there does not take money yet; finish it first."))
        stored = await onboarding.be_paid_there(
            web, found, creator_id=visit.account.id, minimum=minimum, schedule=schedule, by=visit.identity.who
        )
        if isinstance(stored, Refusal):
            raise refused(stored)
    except ProviderUnreachable:
        return see_other("/studio/payouts?done=asking")
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other("/studio/payouts?done=saved")


@dataclass(frozen=True, kw_only=True)
class There:
    """A creator's account at the provider, where payouts can go to one: `account` is None before one was begun, or
    where the provider `is_silent`. `wanted` is what it still wants, in words."""

    account: CreatorAccount | None
    is_silent: bool
    wanted: tuple[str, ...]


async def _there(visit: Member) -> There | None:
    """None where creators are paid by bank transfer alone."""
    if visit.web.provider.name != "stripe":
        return None
    try:
        found = await onboarding.look(visit.web, visit.account.id)
    except ProviderUnreachable:
        return There(account=None, is_silent=True, wanted=())
    return There(account=found, is_silent=False, wanted=wanted_in_words(found.needs) if found else ())


def wanted_in_words(needs: Sequence[str]) -> tuple[str, ...]:
    """What a provider wants, each once; in its own word where there is none for it here."""
    said: dict[str, None] = {}
    for need in needs:
        known = [name for name in WANTED if need.startswith(name)]
        said[WANTED[max(known, key=len)] if known else need.replace("_", " ").replace(".", ", ")] = None
    return tuple(said)


async def _show(
    visit: Member, *, before: str | None = None, problem: Problem | None = None, typed: dict[str, str] | None = None
) -> HTMLResponse:
    web, creator_id = visit.web, visit.account.id
    async with web.pool.acquire() as conn:
        history = await payees.payee_history(conn, creator_id)
        found = await payouts.payouts(conn, creator_id=creator_id, limit=_PER_PAGE + 1, before=before)
        standing = await payouts.standing(conn, creator_id=creator_id, currency=web.prices.currency)
    payee = history[0] if history else None
    there = await _there(visit)
    return page(
        visit,
        "studio_payouts.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        typed=typed,
        there=there,
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
