"""What a creator asks of single clients instead of a tier's price."""

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import rates
from licensing.money import Money
from licensing.sentence import say
from licensing.terms import StyleTerms
from service.accounts import Account, account_by_email, account_by_id, accounts_by_id
from service.api.rates import RateBody, put_client_rate
from service.api.styles import Price
from service.errors import Problem
from service.formats import inline, money
from service.languages import gettext
from service.pages.forms import checked, price
from service.pages.render import page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member
from service.pages.words import TIERS

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One client's own price as its creator sees it. `pays` is what it comes to, `floor` raised it where that is more
    than what was `agreed`; `usual` is everybody else's price, None where the tier is no longer sold."""

    client: Account
    tier: str
    agreed: Money
    floor: Money
    usual: Money | None
    yours: Money

    @property
    def pays(self) -> Money:
        return max(self.agreed, self.floor)


@router.get("/studio/styles/{style_id}/rates")
async def rates_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """All of them, and the form that sets one."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/rates")
async def set_rate(visit: CreatorVisit, style_id: str) -> Response:
    """Ask another price of one client from now on."""
    typed = {name: await visit.field(name) for name in ("client", "tier", "price")}
    try:
        async with visit.web.pool.acquire() as conn:
            terms = (await load_standing(conn, visit, style_id)).terms
        client = await _find(visit, typed["client"])
        asked = price(typed["price"], currency=terms.currency, name=say("Price"))
        wanted = checked(Price, amount=asked.amount, currency=asked.currency)
        body = checked(RateBody, tier=typed["tier"], price=wanted)
        await put_client_rate(visit.web, visit.identity, style_id, client.id, body)
    except Problem as problem:
        return await _show(visit, style_id, typed=typed, problem=problem)
    return see_other(f"/studio/styles/{style_id}/rates?done=set")


@router.post("/studio/styles/{style_id}/rates/end")
async def end_rate(visit: CreatorVisit, style_id: str) -> Response:
    """From now on the client pays what everybody pays."""
    try:
        body = checked(RateBody, tier=await visit.field("tier"), price=None)
        await put_client_rate(visit.web, visit.identity, style_id, await visit.field("client"), body)
    except Problem as problem:
        return await _show(visit, style_id, problem=problem)
    return see_other(f"/studio/styles/{style_id}/rates?done=ended")


async def _find(visit: Member, name: str) -> Account:
    """The client of an address or an account id. Raises Problem."""
    async with visit.web.house() as conn:
        try:
            found = await (account_by_email if "@" in name else account_by_id)(conn, name)
        except ValueError as error:
            raise Problem("invalid_request", f"{error}.") from error
    if found is None or found.role != "client" or found.disabled_at is not None:
        raise Problem(
            "not_found",
            say(
                "There is no client {name!r} here; check the address, or ask {operator} to invite them.",
                name=name[:200],
                operator=visit.web.settings.operator_name,
            ),
        )
    return found


async def _show(
    visit: Member, style_id: str, *, typed: dict[str, str] | None = None, problem: Problem | None = None
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        found = await rates.rates_of_style(conn, style_id)
    # Whoever never bought of this creator is nobody whom the creator's own connection sees.
    async with visit.web.house() as conn:
        people = await accounts_by_id(conn, {one.client_id for one in found})
    shown = [
        _rate(one, people[one.client_id], standing.terms) for one in found if people[one.client_id].disabled_at is None
    ]
    return page(
        visit,
        "studio_rates.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        rates=sorted(shown, key=lambda one: (one.client.name, one.client.id, one.tier)),
        floors=[
            gettext("{price} for {tier}").format(
                price=money(Money(one.floor, one.price.currency)), tier=inline(TIERS[name].words)
            )
            for name, one in standing.terms.tiers.items()
            if one.floor
        ],
        typed=typed or {"client": "", "tier": "", "price": ""},
        done=visit.request.query_params.get("done", ""),
    )


def _rate(found: rates.Rate, client: Account, terms: StyleTerms) -> Rate:
    tier = terms.tiers.get(found.tier)
    floor = Money(tier.floor if tier else 0, terms.currency)
    return Rate(
        client=client,
        tier=found.tier,
        agreed=found.price,
        floor=floor,
        usual=tier.price if tier else None,
        yours=max(found.price, floor).split([terms.share_bps, terms.fee_bps])[0],
    )
