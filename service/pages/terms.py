"""Who owns what, on one page; whoever is signed in accepts it there."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.dues import NOTICE_DAYS
from licensing.sentence import say
from service.api.dues import dues_now
from service.api.terms import accept_version
from service.auth import identity_of
from service.errors import Problem
from service.pages.forms import whole_number
from service.pages.render import page, see_other
from service.pages.visits import SignInFirst, Visit, Visitor

router = APIRouter(include_in_schema=False)


@router.get("/terms")
async def terms_page(visit: Visitor) -> HTMLResponse:
    """The version in force."""
    return await _show(visit)


@router.post("/terms")
async def accept_terms(visit: Visitor) -> Response:
    """Accept the version that was shown."""
    if visit.session is None:
        raise SignInFirst(visit.request)
    try:
        version = whole_number(await visit.field("version"), name=say("Version"))
        await accept_version(visit.web, identity_of(visit.session), version)
    except Problem as problem:
        return await _show(visit, problem)
    return see_other("/terms?done=accepted")


async def _show(visit: Visit, problem: Problem | None = None) -> HTMLResponse:
    return page(
        visit,
        "terms.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        terms=visit.web.ownership,
        dues=await dues_now(visit.web, ""),
        notice_days=NOTICE_DAYS,
        done=visit.request.query_params.get("done", ""),
    )
