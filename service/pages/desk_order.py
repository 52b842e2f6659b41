"""Ordering pictures: what they cost is shown before the order, and the order is refused where that changed since."""

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from licensing import plans
from licensing.database import Connection
from licensing.rates import prices_for
from licensing.sentence import Sentence, say
from licensing.terms import terms_at
from service import intake
from service.catalogue import Listed
from service.errors import Problem, not_found
from service.languages import translate
from service.pages.drafts import Draft, image_of, marked, uploaded
from service.pages.forms import checked, chosen, whole_number
from service.pages.render import is_fragment, page, see_other
from service.pages.shelf import Book, books_of, shelf, starts_of, take
from service.pages.visits import ClientVisit, Member
from service.rules import check_client
from service.starting_points import LEAST_SHARE, find_start

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"price": "_price.html"}
_NO_AREA = {"left": "", "top": "", "width": "", "height": ""}


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
    if start := await visit.field("start"):
        return await _start_from(visit, draft, start)
    try:
        if sent := await uploaded(visit, "picture"):
            # A part that was marked before was of another picture.
            draft = replace(draft, source=sent, mask="")
        draft = replace(draft, mask=await marked(visit, draft))
        body = await _body(visit, draft)
        wanted = await intake.check(visit.web, visit.identity, body)
        priced = await intake.price(visit.web, visit.identity, wanted)
        seen, wants_price = await visit.field("agreed"), bool(await visit.field("only"))
        if wants_price or seen != agreed(priced):
            return see_other(_address(draft, changed="" if wants_price else "yes"))
        order, _ = await intake.place(
            visit.web, visit.identity, wanted, idempotency_key=draft.key, request_hash=intake.hash_of(body)
        )
    except Problem as problem:
        return await _show(visit, draft, problem=problem)
    return see_other(f"/desk/orders/{order.id}")


async def _start_from(visit: Member, draft: Draft, start_id: str) -> Response:
    """The form as it was filled in, with a work of the style's maker to start from."""
    async with visit.web.house() as conn:
        start = await find_start(conn, start_id)
    if start is None:
        return await _show(visit, draft, problem=not_found("starting point", start_id[:80]))
    return see_other(_address(replace(draft, style=start.style_id, source=start.id, mask="", **_NO_AREA)) + "#from")


def _address(draft: Draft, **more: str) -> str:
    filled = {name: text for name, text in {**vars(draft), **more}.items() if text}
    return f"/desk/make?{urlencode(filled)}"


def agreed(priced: intake.Priced) -> str:
    """What the form sends back as the price that was seen, and whether the creator looks first."""
    quote = priced.quote
    return f"{quote.amount.amount} {quote.amount.currency} {quote.units} {quote.pay} {priced.needs_approval}"


async def _body(visit: Member, draft: Draft) -> intake.OrderBody:
    image = "" if draft.starts_from_work else await image_of(visit, draft.source)
    values: dict[str, Any] = {
        "style": draft.style,
        "prompt": draft.prompt,
        "tier": draft.tier,
        "count": whole_number(draft.count, name=say("Number of pictures")),
    }
    if draft.seed:
        values["seed"] = whole_number(draft.seed, name=say("Seed"))
    if draft.starts_from_work:
        values |= {"start": draft.source, "strength": draft.strength}
    if image:
        values |= {"image": image, "strength": draft.strength}
    if draft.mask:
        values["mask"] = draft.mask
    return checked(intake.OrderBody, **values)


async def _show(visit: Member, draft: Draft, *, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        usage = await plans.usage(conn, visit.account.id, visit.now, currency=visit.web.prices.currency)
        styles = await _styles(conn, visit, draft.style)
        style = next((one for one in styles if one.id == draft.style), styles[0] if styles else None)
        book = (await books_of(conn, visit, [style]))[0] if style else None
        said = await _by_name(conn, visit, draft.style, problem) if problem else None
    is_missing = bool(draft.style) and (book is None or book.style.id != draft.style)
    if book is not None:
        tier = draft.tier if draft.tier in book.terms.tiers else next(iter(book.terms.tiers))
        draft = replace(draft, style=book.style.id, tier=tier)
    priced, quote_problem = await _price(visit, draft, book) if book else (None, None)
    async with visit.web.pool.acquire() as conn:
        terms = await terms_at(conn, draft.style, priced.quote.terms_version) if priced else None
        own = await prices_for(conn, client_id=visit.account.id, terms=book.terms) if book else {}
    starts = await starts_of(visit.web, book.style.id) if book else []
    return page(
        visit,
        "desk_make.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=said,
        draft=draft,
        styles=styles,
        book=book,
        own_prices=own,
        has_own_prices=book is not None and any(own[name] != tier.price for name, tier in book.terms.tiers.items()),
        usage=usage,
        free_drafts=sum(one.left for one in usage.allowances if one.kind == "free"),
        quote=priced.quote if priced else None,
        terms=terms,
        quote_problem=quote_problem.document if quote_problem else None,
        agreed=agreed(priced) if priced else "",
        short=_short(visit, draft, usage) if priced and priced.quote.pay is None else None,
        eta_s=priced.eta_s if priced else 0.0,
        approval_s=visit.web.settings.approval_hours * 3600 if priced and priced.needs_approval else 0,
        is_missing=is_missing and problem is None,
        has_changed="changed" in visit.request.query_params and problem is None,
        starts=starts,
        least_share=LEAST_SHARE,
        count_max=intake.COUNT_MAX,
        prompt_days=visit.web.settings.prompt_days,
        image_days=visit.web.settings.image_days,
    )


async def _by_name(conn: Connection, visit: Member, style_id: str, problem: Problem) -> dict[str, Any]:
    """A problem's document. A sentence that has the style's id is for programs; people read the style's name in it."""
    sentence = problem.detail
    if isinstance(sentence, Sentence) and sentence.values.get("style_id") == style_id:
        with suppress(Problem):
            name = (await take(conn, visit, style_id)).style.name
            sentence = Sentence(sentence.template, {**sentence.values, "style_id": f"“{name}”"})
    return problem.document | {"detail": translate(sentence)}


async def _styles(conn: Connection, visit: Member, style_id: str) -> list[Listed]:
    """The styles to choose from, and the one that was asked for where there are more than a list holds."""
    styles = await shelf(conn, visit)
    if not style_id or any(one.id == style_id for one in styles):
        return styles
    try:
        asked = await take(conn, visit, style_id)
    except Problem:
        # The page says that it is not on sale.
        return styles
    return styles if asked.switch.level in ("off", "destroyed") else [asked.style, *styles]


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
        count = whole_number(draft.count, name=say("Number of pictures"))
        if not 1 <= count <= intake.COUNT_MAX:
            raise Problem("invalid_request", say("Order 1 to {most} pictures at once.", most=intake.COUNT_MAX))
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
