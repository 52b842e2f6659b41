"""What anybody sees: the front page with the catalogue, and the page of one style."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing.database import Connection
from licensing.money import Money
from licensing.rates import prices_for
from service.api.style_licences import licence_link
from service.pages.render import page
from service.pages.shelf import Book, shelf, take
from service.pages.visits import Visit, Visitor

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
    async with visit.web.pool.acquire() as conn:
        book = await take(conn, visit, style_id)
        own = await _own_prices(conn, visit, book)
    answer = page(visit, "style.html", book=book, own_prices=own)
    answer.headers["Link"] = licence_link(style_id)
    return answer


async def _own_prices(conn: Connection, visit: Visit, book: Book) -> dict[str, Money]:
    """What a client who is signed in pays for a picture, by tier; nothing for anybody else."""
    account = visit.session.account if visit.session else None
    if account is None or account.role != "client":
        return {}
    return await prices_for(conn, client_id=account.id, terms=book.terms)
