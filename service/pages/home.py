"""What anybody sees: the front page with the catalogue, and the page of one style."""

from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from licensing import plans
from licensing.database import Connection
from licensing.money import Money
from licensing.rates import prices_for
from licensing.sentence import say
from service.api.licences import LicenceBody, post_licence
from service.api.style_licences import licence_link
from service.appearances import ask_by_picture, wait_until_seen
from service.errors import Problem
from service.limits import count_search
from service.pages.finding import Asked, look_up
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.shelf import Book, starts_of, take
from service.pages.visits import ClientVisit, Visit, Visitor

router = APIRouter(include_in_schema=False)

_WAIT_S = 8.0
"""How long the form waits for a worker to have looked; the page then asks for itself."""
_FRAGMENTS = {"catalogue": "_catalogue.html"}


@router.get("/")
async def home(visit: Visitor) -> HTMLResponse:
    """What this is, and the styles that can be ordered from."""
    return await _home(visit, Asked.of(visit.request.query_params))


@router.post("/styles/like")
async def find_by_picture(visit: Visitor) -> Response:
    """The styles that are drawn most like a picture. It is looked at by a worker and not kept."""
    count_search(visit.request, visit.session.account.id if visit.session else None)
    asked = Asked.of(await visit.form())
    try:
        file = (await visit.form()).get("picture")
        if not isinstance(file, UploadFile) or not file.filename:
            raise Problem("invalid_request", say("No picture came with the form; choose one to find styles like it."))
        search = await ask_by_picture(visit.web, await file.read())
    except Problem as problem:
        return await _home(visit, asked, problem)
    await wait_until_seen(visit.web, search, seconds=_WAIT_S)
    return see_other(replace(asked, like=search.id).address())


async def _home(visit: Visitor, asked: Asked, problem: Problem | None = None) -> HTMLResponse:
    try:
        found = await look_up(visit, asked)
    except Problem as wrong:
        found, problem = await look_up(visit, Asked()), problem or wrong
    return page(
        visit,
        "home.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        asked=asked,
        found=found,
        categories=visit.web.categories,
        currency=visit.web.prices.currency,
        done=visit.request.query_params.get("done", ""),
    )


@router.get("/styles/{style_id}")
async def style_page(visit: Visitor, style_id: str) -> HTMLResponse:
    """One style: its pictures, what it costs, what a buyer may do, and whether it is on."""
    return await _show(visit, style_id)


@router.post("/styles/{style_id}/licence")
async def buy_licence(visit: ClientVisit, style_id: str) -> Response:
    """Buy pictures of one style and tier ahead, for a period."""
    try:
        body = checked(LicenceBody, style=style_id, tier=await visit.field("tier"))
        await post_licence(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other("/desk/money?done=licensed#licences")


async def _show(visit: Visit, style_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        book = await take(conn, visit, style_id)
        own = await _own_prices(conn, visit, book)
        costs = await _licence_costs(conn, visit, book)
    is_client = visit.session is not None and visit.session.account.role == "client"
    answer = page(
        visit,
        "style.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        book=book,
        own_prices=own,
        costs=costs,
        starts=await starts_of(visit.web, style_id) if is_client and book.serves_its_clients else [],
    )
    answer.headers["Link"] = licence_link(style_id)
    return answer


async def _own_prices(conn: Connection, visit: Visit, book: Book) -> dict[str, Money]:
    """What a client who is signed in pays for a picture, by tier; nothing for anybody else."""
    account = visit.session.account if visit.session else None
    if account is None or account.role != "client":
        return {}
    return await prices_for(conn, client_id=account.id, terms=book.terms)


async def _licence_costs(conn: Connection, visit: Visit, book: Book) -> dict[str, Money]:
    """What each licence that can be bought ahead costs a client who is signed in, with tax, by tier."""
    account = visit.session.account if visit.session else None
    if account is None or account.role != "client":
        return {}
    offers = [(name, tier.offer) for name, tier in book.terms.tiers.items() if tier.offer]
    return {name: offer.price + await plans.tax_for(conn, account.id, offer.price) for name, offer in offers}
