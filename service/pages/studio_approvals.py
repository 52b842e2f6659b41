"""Pictures that wait for their creator, from all styles, and the clients whose pictures do not have to."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service.api.approvals import Rejection, TrustBody, post_approve, post_reject, put_client
from service.approvals import list_clients, list_waiting
from service.errors import Problem
from service.pages.forms import checked
from service.pages.paging import Number, part_of
from service.pages.render import page, see_other
from service.pages.visits import CreatorVisit, Member

router = APIRouter(include_in_schema=False)

_PER_PAGE, _CLIENTS_PER_PAGE = 20, 50


@router.get("/studio/approvals")
async def approvals_page(visit: CreatorVisit, number: Number = 1) -> HTMLResponse:
    """What waits, oldest first, and a page of the clients that are known."""
    return await _show(visit, number=number)


@router.post("/studio/approvals/{approval_id}")
async def decide(visit: CreatorVisit, approval_id: str) -> Response:
    """Release the pictures, or not, with the reason that the client reads."""
    is_released = await visit.field("decision") == "approve"
    try:
        if is_released:
            await post_approve(visit.web, visit.identity, approval_id)
        else:
            body = checked(Rejection, reason=await visit.field("reason"))
            await post_reject(visit.web, visit.identity, approval_id, body)
    except Problem as problem:
        return await _show(visit, problem)
    return see_other(f"/studio/approvals?done={'approved' if is_released else 'rejected'}")


@router.post("/studio/clients/{client_id}")
async def change_trust(visit: CreatorVisit, client_id: str, number: Number = 1) -> Response:
    """Decide about a client, for orders from now on; the page of clients stays the same."""
    try:
        await put_client(visit.web, visit.identity, client_id, checked(TrustBody, trust=await visit.field("trust")))
    except Problem as problem:
        return await _show(visit, problem, number=number)
    return see_other(
        f"/studio/approvals?done=trust&page={number}#clients" if number > 1 else "/studio/approvals?done=trust"
    )


async def _show(visit: Member, problem: Problem | None = None, *, number: int = 1) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        found = await list_waiting(conn, visit.account.id, limit=_PER_PAGE + 1)
        clients = await list_clients(conn, visit.account.id)
    shown, number, num_pages = part_of(clients, number, at_once=_CLIENTS_PER_PAGE)
    return page(
        visit,
        "studio_approvals.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        waiting=found[:_PER_PAGE],
        has_more=len(found) > _PER_PAGE,
        clients=shown,
        page_number=number,
        num_pages=num_pages,
        now=visit.now,
        approval_s=visit.web.settings.approval_hours * 3600,
        trusted_after=visit.web.settings.trusted_after_pictures,
        done=visit.request.query_params.get("done", ""),
    )
