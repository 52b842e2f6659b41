"""What anybody sees: the front page with the catalogue, and the page of one style."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.api.style_licences import licence_link
from service.pages.render import page
from service.pages.shelf import shelf, take
from service.pages.visits import Visitor

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
    answer = page(visit, "style.html", book=book)
    answer.headers["Link"] = licence_link(style_id)
    return answer
