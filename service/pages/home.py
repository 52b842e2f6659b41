"""What anybody sees: the front page with the catalogue, and the page of one style."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import plans
from service.api.licences import LicenceBody, post_licence
from service.api.style_licences import licence_link
from service.errors import Problem
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.shelf import shelf, take
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
        is_client = visit.session is not None and visit.session.account.role == "client"
        offers = [(name, tier.offer) for name, tier in book.terms.tiers.items() if tier.offer] if is_client else []
        costs = {
            name: offer.price + await plans.tax_for(conn, visit.session.account.id, offer.price)
            for name, offer in offers
            if visit.session is not None
        }
    answer = page(
        visit,
        "style.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        book=book,
        costs=costs,
    )
    answer.headers["Link"] = licence_link(style_id)
    return answer
