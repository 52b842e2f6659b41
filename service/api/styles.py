"""`/v1/styles` for their creators: make one, change it. Reading the catalogue is `service.api.catalogue`."""

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from inference.catalog import BaseSpec
from inference.errors import BaseUnusable
from licensing import switch
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.prices import Prices
from licensing.rulebooks import Rulebook, current_rules, put_rules
from licensing.rules import CLIENTS_MAX, TERM_CHARACTERS_MAX, TERMS_MAX, Rules
from licensing.sentence import say
from licensing.terms import Approval, Offer, StyleTerms, Tier, current_terms, put_terms
from service.api.shapes import money, permissions_document
from service.auth import Creator, CreatorReading, Web
from service.bases import base_here, require_for_sale
from service.delivery import delivered_size
from service.errors import Problem, invalid, not_found, refused
from service.resources import Gateway
from service.styles import NAME_CHARACTERS_MAX, SUMMARY_CHARACTERS_MAX, Style, add_style, change_style, find_style

router = APIRouter(tags=["styles"])

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS_MAX)]
Summary = Annotated[str, StringConstraints(strip_whitespace=True, max_length=SUMMARY_CHARACTERS_MAX)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TERM_CHARACTERS_MAX)]
ClientName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Price(Body):
    amount: int = Field(ge=0, le=10_000_000)
    currency: str = Field(pattern="^[A-Z]{3}$")


class OfferBody(Body):
    """So many pictures in each period of months, for one price; of the tier `exclusive`, the style to oneself."""

    price: Price
    units: int = Field(ge=1, le=100_000)
    months: int = Field(ge=1, le=36)


class TierBody(Body):
    """`licence` is what may be bought instead of single pictures: left out, it stays as it is; null, there is none.
    `floor` is what no plan, rate or licence may sell a picture below: left out, it stays, at the operator's or above.
    """

    price: Price
    floor: Price | None = None
    licence: OfferBody | None = None
    use: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)] | None = None


class RulesBody(Body):
    """Rules of a creator: words and phrases, a `*` at the end lets the last word go on; ids of categories; clients, by
    account id or e-mail address. If `only_clients` names any, nobody else may order."""

    refuse: list[Word] = Field(default=[], max_length=TERMS_MAX)
    categories: list[Word] = Field(default=[], max_length=100)
    only_clients: list[ClientName] = Field(default=[], max_length=CLIENTS_MAX)
    blocked_clients: list[ClientName] = Field(default=[], max_length=CLIENTS_MAX)

    @property
    def rules(self) -> Rules:
        return Rules(**{name: tuple(dict.fromkeys(listed)) for name, listed in self})


class LicenceBody(Body):
    """What buyers may do beside their tier's use; null stands for no limit."""

    attribution: bool = False
    derivatives: bool = True
    training: bool = False
    ceiling: int | None = Field(default=None, ge=1, le=1_000_000_000)
    expiry_days: int | None = Field(default=None, ge=1, le=36_500)


TierName = Literal["draft", "personal", "commercial", "exclusive"]


class StyleChange(Body):
    """What is left out stays as it is, or has the operator's default."""

    name: Name | None = None
    summary: Summary | None = None
    tiers: dict[TierName, TierBody] | None = Field(default=None, min_length=1)
    licence: LicenceBody | None = None
    notice_days: int | None = Field(default=None, ge=0, le=365)
    prompt_rules: RulesBody | None = None
    approval: Approval | None = None


class NewStyle(StyleChange):
    name: Name
    summary: Summary
    base: Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")] | None = None


@router.post("/styles", status_code=201)
async def make_style(web: Web, asker: Creator, body: NewStyle, response: Response) -> dict[str, Any]:
    """A new style, with no works and nothing published yet."""
    base = body.base or web.settings.default_base
    try:
        spec = base_here(web.settings, base)
    except BaseUnusable as error:
        raise invalid(error) from error
    if body.tiers is not None:
        require_for_sale(spec)
    style_id, now = web.new_id("sty"), web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        style = await add_style(
            conn,
            style_id=style_id,
            creator_id=asker.account_id,
            name=body.name,
            summary=body.summary,
            base=base,
            now=now,
        )
        if body.prompt_rules is not None:
            await store_rules(conn, web, asker.account_id, style_id, body.prompt_rules.rules)
        defaults = web.prices.default_terms(style_id=style_id, creator_id=asker.account_id)
        await _put(conn, changed_terms(defaults, body, web.prices), by=asker.account_id, web=web)
        document = await style_document(conn, web, style)
    response.headers["Location"] = f"/v1/styles/{style_id}"
    return document


@router.get("/styles/{style_id}/deletion")
async def get_deletion(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """The signed list of what a destroyed style had, by hash: all of it is deleted."""
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
    if style.deletion is None:
        raise Problem(
            "conflict",
            say("{name} was not destroyed, or its files are still being deleted; look again.", name=style.name),
        )
    return {"style": style.id, "destroyed_at": style.destroyed_at, "document": style.deletion}


@router.patch("/styles/{style_id}")
async def patch_style(web: Web, asker: Creator, style_id: str, body: StyleChange) -> dict[str, Any]:
    """Change words, rules or terms. New terms hold for new orders; what was sold keeps the terms it was sold under."""
    async with web.pool.acquire() as conn, conn.transaction():
        style = await change_style(
            conn,
            style_id=style_id,
            creator_id=asker.account_id,
            name=body.name,
            summary=body.summary,
            now=web.clock(),
        )
        if style is None:
            raise not_found("style", style_id)
        check_exists(style)
        if body.prompt_rules is not None:
            await store_rules(conn, web, asker.account_id, style_id, body.prompt_rules.rules)
        terms = await current_terms(conn, style_id)
        assert terms is not None, "every style gets terms in the transaction that makes it"
        if body.tiers is not None:
            require_for_sale(base_here(web.settings, style.base))
        if any(part is not None for part in (body.tiers, body.licence, body.notice_days, body.approval)):
            await _put(conn, changed_terms(terms, body, web.prices), by=asker.account_id, web=web)
        return await style_document(conn, web, style)


def check_exists(style: Style) -> None:
    """Raises Problem for a style that was destroyed: nothing can be added to it."""
    if style.destroyed_at is not None:
        raise Problem(
            "style_destroyed",
            say(
                "{name} was destroyed on {destroyed_at:%Y-%m-%d} and cannot come back; make a new style.",
                name=style.name,
                destroyed_at=style.destroyed_at,
            ),
        )


async def own_style(conn: Connection, style_id: str, creator_id: str) -> Style:
    """A creator's own style. Raises Problem."""
    style = await find_style(conn, style_id, creator_id=creator_id)
    if style is None:
        raise not_found("style", style_id)
    return style


async def style_document(conn: Connection, web: Gateway, style: Style) -> dict[str, Any]:
    """A style as its creator sees it."""
    terms = await current_terms(conn, style.id)
    state = await switch.state(conn, style_id=style.id, now=web.clock())
    rulebook = await current_rules(conn, creator_id=style.creator_id, style_id=style.id)
    assert terms is not None
    assert state is not None
    spec = base_here(web.settings, style.base)
    return {
        "id": style.id,
        "name": style.name,
        "summary": style.summary,
        "base": style.base,
        "tiers": {
            name: tier | {"floor": money(Money(terms.tiers[name].floor, terms.currency))}
            for name, tier in tiers_document(terms, spec).items()
        },
        "terms_version": terms.version,
        "licence": permissions_document(terms.permissions),
        "share_bps": terms.share_bps,
        "notice_days": terms.notice_days,
        "prompt_rules": rules_document(rulebook),
        "approval": terms.permissions.approval,
        "switch": {"level": state.level, "epoch": state.epoch, "reason": state.reason, "ends_at": state.ends_at},
        "version": style.published_version_id,
        "created_at": style.created_at,
        "updated_at": style.updated_at,
    }


async def store_rules(
    conn: Connection, web: Gateway, creator_id: str, style_id: str | None, rules: Rules | None
) -> Rulebook:
    """`licensing.rulebooks.put_rules` by the creator. Raises Problem."""
    stored = await put_rules(
        conn, web.categories, creator_id=creator_id, style_id=style_id, rules=rules, by=creator_id, now=web.clock()
    )
    if isinstance(stored, Refusal):
        raise refused(stored)
    return stored


def rules_document(rulebook: Rulebook) -> dict[str, Any]:
    """Rules as their creator sees them. `own`: they are the style's own, not those for all styles."""
    return {**asdict(rulebook.rules), "version": rulebook.version, "own": rulebook.is_own}


def tiers_document(terms: StyleTerms, spec: BaseSpec) -> dict[str, Any]:
    """`size` is what a picture has where its order names none."""
    return {
        name: {
            "price": money(tier.price),
            "use": tier.use,
            "size": delivered_size(spec, name),
            "licence": {"price": money(tier.offer.price), "units": tier.offer.units, "months": tier.offer.months}
            if tier.offer
            else None,
        }
        for name, tier in terms.tiers.items()
    }


def changed_terms(terms: StyleTerms, body: StyleChange, prices: Prices) -> StyleTerms:
    """`terms` with what the body names: `tiers` replaces all tiers, each keeping its words where none are given. Raises
    Problem."""
    if body.tiers is not None:
        tiers: dict[str, Tier] = {name: _tier(terms, name, tier, prices) for name, tier in body.tiers.items()}
        terms = replace(terms, tiers=tiers)
    if body.notice_days is not None:
        terms = replace(terms, notice_days=body.notice_days)
    if body.licence is not None:
        named = body.licence.model_dump(exclude_unset=True)
        terms = replace(terms, permissions=replace(terms.permissions, **named))
    if body.approval is not None:
        terms = replace(terms, permissions=replace(terms.permissions, approval=body.approval))
    return terms


def _tier(terms: StyleTerms, name: str, body: TierBody, prices: Prices) -> Tier:
    price = Money(body.price.amount, body.price.currency)
    before = terms.tiers.get(name)
    use = body.use or (before.use if before else None)
    if use is None:
        raise Problem(
            "invalid_request",
            say("Tier {name} is new here; say in `use` what a buyer may do with a picture.", name=name),
        )
    offer = before.offer if before else None
    if "licence" in body.model_fields_set:
        offer = _offer(body.licence) if body.licence else None
    return Tier(price=price, use=use, offer=offer, floor=_floor(name, body, before, prices))


def _floor(name: str, body: TierBody, before: Tier | None, prices: Prices) -> int:
    """The floor of a tier in minor units, never below the operator's. Raises Problem."""
    currency = body.price.currency
    least = prices.tiers[name].floor if name in prices.tiers and currency == prices.currency else 0
    lowest = Money(least, currency)
    if body.price.amount < least:
        raise Problem(
            "invalid_request",
            say(
                "A picture of tier {name} costs {lowest} here at least; ask that much for it, or more.",
                name=name,
                lowest=lowest,
            ),
        )
    if body.floor is None:
        return max(before.floor if before else 0, least)
    if body.floor.currency != currency:
        raise Problem(
            "invalid_request",
            say("The floor of tier {name} must be in {currency}, as its price is.", name=name, currency=currency),
        )
    if body.floor.amount < least:
        raise Problem(
            "invalid_request",
            say(
                "Nobody sells a picture of tier {name} for less than {lowest} here; give a floor of {lowest} or more.",
                name=name,
                lowest=lowest,
            ),
        )
    if body.floor.amount > body.price.amount:
        raise Problem(
            "invalid_request",
            say(
                "The floor of tier {name} is above its price of {amount}; give a floor up to that, or ask more for it.",
                name=name,
                amount=Money(body.price.amount, currency),
            ),
        )
    return body.floor.amount


def _offer(body: OfferBody) -> Offer:
    return Offer(price=Money(body.price.amount, body.price.currency), units=body.units, months=body.months)


async def _put(conn: Connection, terms: StyleTerms, *, by: str, web: Gateway) -> None:
    stored = await put_terms(conn, terms, by=by, now=web.clock())
    if isinstance(stored, Refusal):
        raise refused(stored)
