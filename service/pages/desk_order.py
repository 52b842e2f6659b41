"""Ordering pictures: what they cost is shown before the order, and the order is refused where that changed since."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from licensing import plans
from licensing.rates import prices_for
from licensing.terms import terms_at
from service import intake
from service.errors import Problem, not_found
from service.images import keep_image
from service.outputs import find_output
from service.pages.forms import checked, chosen, whole_number
from service.pages.render import is_fragment, page, see_other
from service.pages.shelf import Book, shelf
from service.pages.visits import ClientVisit, Member
from service.rules import check_client

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"price": "_price.html"}
_USUAL_TIER = "personal"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The form as somebody filled it in. `source` is the id of an own picture or of a bought one to start from."""

    style: str = ""
    prompt: str = ""
    tier: str = _USUAL_TIER
    count: str = "1"
    seed: str = ""
    strength: str = "0.6"
    source: str = ""
    key: str = ""
    """Names this filled-in form: sending it twice orders once."""


@dataclass(frozen=True, kw_only=True)
class Short:
    """A plan that covers what is chosen, and has fewer units left than that takes."""

    plan: plans.Allowance
    units: int


@router.get("/desk/make")
async def make_page(visit: ClientVisit, request: Request) -> HTMLResponse:
    """The form; what is in the address is filled in."""
    asked = {name: request.query_params[name] for name in vars(Draft()) if name in request.query_params}
    return await _show(visit, Draft(**{"key": secrets.token_hex(16), **asked}))


@router.get("/desk/price")
async def price_of(visit: ClientVisit, request: Request) -> Response:
    """The price of what is chosen, where htmx asks for it; else the form."""
    if not is_fragment(request, "price"):
        return see_other(f"/desk/make?{request.url.query}")
    return await make_page(visit, request)


@router.post("/desk/make")
async def make(visit: ClientVisit) -> Response:
    """Order, if the price is the one that was shown; else show the price."""
    draft = Draft(**{name: await visit.field(name) for name in vars(Draft())})
    try:
        draft = replace(draft, source=await _uploaded(visit) or draft.source)
        body = await _body(visit, draft)
        wanted = await intake.check(visit.web, visit.identity, body)
        priced = await intake.price(visit.web, visit.identity, wanted)
        seen, wants_price = await visit.field("agreed"), bool(await visit.field("only"))
        if wants_price or seen != agreed(priced):
            asked = {**vars(draft), "changed": "" if wants_price else "yes"}
            return see_other(f"/desk/make?{urlencode({name: text for name, text in asked.items() if text})}")
        order, _ = await intake.place(
            visit.web, visit.identity, wanted, idempotency_key=draft.key, request_hash=intake.hash_of(body)
        )
    except Problem as problem:
        return await _show(visit, draft, problem=problem)
    return see_other(f"/desk/orders/{order.id}")


def agreed(priced: intake.Priced) -> str:
    """What the form sends back as the price that was seen, and whether the creator looks first."""
    quote = priced.quote
    return f"{quote.amount.amount} {quote.amount.currency} {quote.units} {quote.pay} {priced.needs_approval}"


async def _body(visit: Member, draft: Draft) -> intake.OrderBody:
    image = await _image(visit, draft.source)
    values: dict[str, Any] = {
        "style": draft.style,
        "prompt": draft.prompt,
        "tier": draft.tier,
        "count": whole_number(draft.count, name="Number of pictures"),
    }
    if draft.seed:
        values["seed"] = whole_number(draft.seed, name="Seed")
    if image:
        values |= {"image": image, "strength": draft.strength}
    return checked(intake.OrderBody, **values)


async def _uploaded(visit: Member) -> str:
    """The id of the picture that came with the form; empty where none came. Raises Problem."""
    file = (await visit.form()).get("picture")
    if not isinstance(file, UploadFile) or not file.filename:
        return ""
    image = await keep_image(visit.web, client_id=visit.account.id, content=await file.read(), name=file.filename)
    return image.id


async def _image(visit: Member, source: str) -> str:
    """The id of the own picture to start from; a bought picture becomes one. Raises Problem."""
    if not source.startswith("out_"):
        return source
    async with visit.web.pool.acquire() as conn:
        output = await find_output(conn, source, client_id=visit.account.id)
    if output is None:
        raise not_found("picture", source)
    content = await asyncio.to_thread(visit.web.storage.get, output.storage_key)
    image = await keep_image(visit.web, client_id=visit.account.id, content=content, name="The picture")
    return image.id


async def _show(visit: Member, draft: Draft, *, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        usage = await plans.usage(conn, visit.account.id, visit.now, currency=visit.web.prices.currency)
        books = await shelf(conn, visit)
    book = next((one for one in books if one.style.id == draft.style), books[0] if books else None)
    is_missing = bool(draft.style) and (book is None or book.style.id != draft.style)
    if book is not None:
        tier = draft.tier if draft.tier in book.terms.tiers else next(iter(book.terms.tiers))
        draft = replace(draft, style=book.style.id, tier=tier)
    priced, quote_problem = await _price(visit, draft, book) if book else (None, None)
    async with visit.web.pool.acquire() as conn:
        terms = await terms_at(conn, draft.style, priced.quote.terms_version) if priced else None
        own = await prices_for(conn, client_id=visit.account.id, terms=book.terms) if book else {}
    return page(
        visit,
        "desk_make.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        draft=draft,
        books=books,
        book=book,
        own_prices=own,
        has_own_prices=book is not None and any(own[name] != tier.price for name, tier in book.terms.tiers.items()),
        usage=usage,
        quote=priced.quote if priced else None,
        terms=terms,
        quote_problem=quote_problem.document if quote_problem else None,
        agreed=agreed(priced) if priced else "",
        short=_short(visit, draft, usage) if priced and priced.quote.pay is None else None,
        eta_s=priced.eta_s if priced else 0.0,
        approval_s=visit.web.settings.approval_hours * 3600 if priced and priced.needs_approval else 0,
        is_missing=is_missing and problem is None,
        has_changed="changed" in visit.request.query_params and problem is None,
        count_max=intake.COUNT_MAX,
        prompt_days=visit.web.settings.prompt_days,
        image_days=visit.web.settings.image_days,
    )


def _short(visit: Member, draft: Draft, usage: plans.Usage) -> Short | None:
    """The plan that does not cover what is chosen any more; None where none runs that would."""
    running = [one for one in usage.allowances if one.kind == "plan" and one.paused_since is None]
    for plan in running:
        offered = visit.web.prices.plans.get(plan.name or "")
        if offered is not None and draft.tier in offered.covers:
            return Short(plan=plan, units=offered.covers[draft.tier] * int(draft.count))
    return None


async def _price(visit: Member, draft: Draft, book: Book) -> tuple[intake.Priced | None, Problem | None]:
    """The price of what is chosen, or why there is none. What it is to show does not matter yet."""
    try:
        count = whole_number(draft.count, name="Number of pictures")
        if not 1 <= count <= intake.COUNT_MAX:
            raise Problem("invalid_request", f"Order 1 to {intake.COUNT_MAX} pictures at once.")
        tier = chosen(draft.tier, ("draft", "personal", "commercial", "exclusive"))
        await check_client(visit.web, visit.identity, book.rules, style_id=book.style.id, style_name=book.style.name)
        priced = await intake.usual_price(
            visit.web,
            client_id=visit.account.id,
            creator_id=book.style.creator_id,
            style_id=book.style.id,
            base=book.style.base,
            tier=tier,
            count=count,
        )
    except Problem as problem:
        return None, problem
    return priced, None
