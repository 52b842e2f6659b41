"""Letters in the office: what waits or was given up, what has to be passed on by hand, and sending again."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service.errors import Problem
from service.languages import Words
from service.mail_room import SHELVES, Shelf, ask_again, list_posted, show_link
from service.pages.forms import chosen
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_PER_PAGE = 50
_SHELVES = Words({"open": "Waiting and not sent", "sent": "Sent", "off": "Not wanted by e-mail"})


@router.get("/office/letters")
async def letters_page(visit: OperatorVisit, shelf: str = "open", before: str | None = None) -> HTMLResponse:
    """One kind of them, the newest first, a page at a time."""
    return await _show(visit, chosen(shelf, tuple(SHELVES)), before=before)


@router.post("/office/letters/{letter_id}/link")
async def pass_on(visit: OperatorVisit, letter_id: str) -> Response:
    """Open the link in a letter. The answer is a page and no redirect: its address must not lead there again."""
    try:
        letter, url = await show_link(visit.web, letter_id, by=visit.identity.who, now=visit.now)
    except Problem as problem:
        return await _show(visit, "open", problem=problem)
    return await _show(visit, "open", opened=(letter.to_address, url, letter.account_id is not None))


@router.post("/office/letters/{letter_id}/again")
async def again(visit: OperatorVisit, letter_id: str) -> Response:
    """Send it again."""
    try:
        await ask_again(visit.web, letter_id, now=visit.now)
    except Problem as problem:
        return await _show(visit, "open", problem=problem)
    return see_other("/office/letters?done=again")


async def _show(
    visit: Member,
    shelf: Shelf,
    *,
    before: str | None = None,
    problem: Problem | None = None,
    opened: tuple[str, str, bool] | None = None,
) -> HTMLResponse:
    async with visit.web.house() as conn:
        found = await list_posted(conn, shelf, limit=_PER_PAGE + 1, before=before)
    shown = found[:_PER_PAGE]
    server = visit.web.settings.mail_server
    return page(
        visit,
        "office_letters.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        letters=shown,
        shelf=shelf,
        shelves=_SHELVES,
        older=shown[-1].id if len(found) > _PER_PAGE else "",
        server=f"{server.host}:{server.port}" if server else "",
        origin=visit.web.settings.origin,
        opened=opened,
        now=visit.now,
        done=visit.request.query_params.get("done", ""),
    )
