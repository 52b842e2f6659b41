"""What anybody sees: the front page with the catalogue, and the page of one style."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import plans
from licensing.database import Connection
from licensing.money import Money
from licensing.rates import prices_for
from service.api.licences import LicenceBody, post_licence
from service.api.style_licences import licence_link
from service.errors import Problem
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.shelf import Book, shelf, take
from service.pages.visits import ClientVisit, Visit, Visitor

router = APIRouter(include_in_schema=False)

_QUERY_CHARACTERS_MAX = 200


@router.get("/")
async def home(visit: Visitor, query: str = "") -> HTMLResponse:
    """What this is, and the styles that can be ordered from."""
    wanted = query.strip()[:_QUERY_CHARACTERS_MAX]
    async with visit.web.pool.acquire() as conn:
        books = await shelf(conn, visit, query=wanted)
    done = visit.request.query_params.get("done", "")
    return page(visit, "home.html", fragments={"catalogue": "_catalogue.html"}, books=books, query=wanted, done=done)


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
    answer = page(
        visit,
        "style.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        book=book,
        own_prices=own,
        costs=costs,
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
