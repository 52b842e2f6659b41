"""What a style costs and what a buyer may do; and which version is on sale."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.money import Money
from licensing.sentence import say
from service.api.styles import LicenceBody, Price, StyleChange, TierBody, patch_style
from service.errors import Problem
from service.formats import inline, money
from service.languages import gettext
from service.pages.forms import checked, price, whole_number
from service.pages.render import page, see_other
from service.pages.standing import Standing, list_versions, load_standing
from service.pages.visits import CreatorVisit, Member
from service.pages.words import TIERS

router = APIRouter(include_in_schema=False)


@router.get("/studio/styles/{style_id}/offer")
async def offer_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """Prices, terms, versions."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/offer")
async def change_offer(visit: CreatorVisit, style_id: str) -> Response:
    """New prices and terms. They hold for new orders; what was sold keeps the terms it was sold under."""
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
    try:
        body = await _asked(visit, standing)
        await patch_style(visit.web, visit.identity, style_id, body)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/offer?done=saved")


async def _asked(visit: Member, standing: Standing) -> StyleChange:
    currency = standing.terms.currency
    tiers: dict[str, Any] = {}
    for name in visit.web.prices.tiers:
        if not await visit.field(f"sell-{name}"):
            continue
        floor = await visit.field(f"floor-{name}")
        tiers[name] = checked(
            TierBody,
            price=_price(await visit.field(f"price-{name}"), currency, say("Price of {tier}", tier=_inline(name))),
            floor=_price(floor, currency, say("Never below, {tier}", tier=_inline(name))) if floor else None,
            use=await visit.field(f"use-{name}") or None,
            **await _licence(visit, name, currency),
        )
    if not tiers:
        raise Problem(
            "invalid_request", say("No tier is for sale; tick at least one, or switch the style off instead.")
        )
    notice = whole_number(await visit.field("notice_days"), name=say("Days of notice"))
    return checked(
        StyleChange,
        tiers=tiers,
        licence=await _permissions(visit),
        notice_days=notice,
        approval=await visit.field("approval") or None,
    )


def _inline(tier: str) -> str:
    return inline(TIERS[tier].words)


def _price(text: str, currency: str, name: str) -> Price:
    return checked(Price, amount=price(text, currency=currency, name=name).amount, currency=currency)


async def _licence(visit: Member, tier: str, currency: str) -> dict[str, Any]:
    """The licence that may be bought instead of single pictures; nothing where the form does not ask for one."""
    if f"licence-price-{tier}" not in await visit.form():
        return {}
    cost, units, months = [await visit.field(f"licence-{part}-{tier}") for part in ("price", "units", "months")]
    if not (cost or units or months):
        return {"licence": None}
    paid = price(cost, currency=currency, name=say("Price of all pictures, {tier}", tier=_inline(tier)))
    return {
        "licence": {
            "price": {"amount": paid.amount, "currency": currency},
            "units": whole_number(units, name=say("Pictures of the licence, {tier}", tier=_inline(tier))),
            "months": whole_number(months, name=say("Months of the licence, {tier}", tier=_inline(tier))),
        }
    }


async def _permissions(visit: Member) -> LicenceBody | None:
    """What buyers may do beside their tier; None where the form does not ask."""
    if not await visit.field("licence"):
        return None
    ticks = {name: bool(await visit.field(name)) for name in ("attribution", "derivatives", "training")}
    limits = {}
    for name, words in (("ceiling", say("Copies of each picture")), ("expiry_days", say("Days until the right ends"))):
        typed = await visit.field(name)
        limits[name] = whole_number(typed, name=words) if typed else None
    return checked(LicenceBody, **ticks, **limits)


def _floors(visit: Member, standing: Standing) -> dict[str, Money]:
    """What each tier is not sold below: as the style's terms say, and the operator's floor at least."""
    terms = standing.terms
    return {
        name: Money(max(terms.tiers[name].floor if name in terms.tiers else 0, usual.floor), terms.currency)
        for name, usual in visit.web.prices.tiers.items()
    }


async def _show(visit: Member, style_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        versions = await list_versions(conn, standing)
    return page(
        visit,
        "studio_offer.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        versions=versions,
        floors=_floors(visit, standing),
        least=[
            gettext("{price} for {tier}").format(
                price=money(Money(tier.floor, visit.web.prices.currency)), tier=_inline(name)
            )
            for name, tier in visit.web.prices.tiers.items()
            if tier.floor
        ],
        tiers=[(name, standing.terms.tiers.get(name), tier) for name, tier in visit.web.prices.tiers.items()],
        trusted_after=visit.web.settings.trusted_after_pictures,
        approval_s=visit.web.settings.approval_hours * 3600,
        creator_share=10_000 - standing.terms.fee_bps,
        done=visit.request.query_params.get("done", ""),
    )
