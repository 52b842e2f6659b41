"""All that a client ordered, found again by style and day; pictures that are chosen come as one file."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.sentence import say
from service.api.bundles import PICTURES_MAX
from service.api.outputs import zip_response
from service.errors import Problem
from service.orders import list_orders, styles_ordered
from service.pages.desk import shown_orders, with_people
from service.pages.forms import day
from service.pages.render import page
from service.pages.visits import ClientVisit, Member

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the list is narrowed to, as it was typed: a style's id, the first and the last day."""

    style: str = ""
    since: str = ""
    until: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """What was filled in, by the names of its fields."""
        return {name: text for name, text in vars(self).items() if text}

    def address(self, before: str) -> str:
        """Of the page of older orders."""
        return "/desk/history?" + urlencode({**self.fields, "before": before})


@router.get("/desk/history")
async def history(visit: ClientVisit) -> HTMLResponse:
    """All orders, newest first, a page at a time."""
    return await _show(visit)


@router.get("/desk/history/pictures.zip")
async def chosen_pictures(visit: ClientVisit) -> Response:
    """The pictures that are ticked, as one file; the page again where that cannot be."""
    try:
        return await zip_response(visit.web, visit.identity, visit.request.query_params.getlist("ids"))
    except Problem as problem:
        return await _show(visit, problem)


async def _show(visit: Member, problem: Problem | None = None) -> HTMLResponse:
    asked = visit.request.query_params
    looked = Looked(**{name: asked[name].strip() for name in vars(Looked()) if name in asked})
    try:
        since, until = _from(looked.since, name=say("From")), _from(looked.until, name=say("To"))
    except Problem as wrong:
        since, until, problem = None, None, problem or wrong
    async with visit.web.pool.acquire() as conn:
        found = await list_orders(
            conn,
            client_id=visit.account.id,
            limit=_PER_PAGE + 1,
            before=asked.get("before"),
            style_id=looked.style or None,
            since=since,
            until=until + _A_DAY if until else None,
        )
        shown = await shown_orders(visit.web, conn, found[:_PER_PAGE])
        styles = await styles_ordered(conn, client_id=visit.account.id)
    shown = await with_people(visit, shown)
    return page(
        visit,
        "desk_history.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        shown=shown,
        styles=styles,
        looked=looked,
        ticked=set(asked.getlist("ids")),
        pictures_max=PICTURES_MAX,
        older=looked.address(found[_PER_PAGE - 1].id) if len(found) > _PER_PAGE else "",
    )


def _from(text: str, *, name: str) -> datetime | None:
    return day(text, name=name) if text else None
