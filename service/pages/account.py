"""A client's or creator's account: what is known of its owner, and the way out."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service.api.account import Leaving, leave
from service.auth import cookie_name
from service.erasure import in_the_way
from service.errors import Problem
from service.pages.render import page, see_other
from service.pages.visits import Member, MemberVisit

router = APIRouter(include_in_schema=False)


@router.get("/account")
async def account_page(visit: MemberVisit) -> HTMLResponse:
    """Who one is here, what is kept, and a form that ends it."""
    return await _show(visit)


@router.post("/account/erase")
async def erase(visit: MemberVisit) -> Response:
    """Erase it, where the address was typed; else say what is in the way."""
    body = Leaving(confirm=await visit.field("confirm"), give_up=bool(await visit.field("give_up")))
    try:
        await leave(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    answer = see_other("/?done=erased")
    answer.delete_cookie(cookie_name(visit.web), path="/", secure=visit.web.settings.is_secure, httponly=True)
    return answer


async def _show(visit: Member, *, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        left = []
        if visit.account.role != "operator":
            left = await in_the_way(conn, visit.account, currency=visit.web.prices.currency, now=visit.now)
    return page(
        visit,
        "account.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        left=left,
        settings=visit.web.settings,
    )
