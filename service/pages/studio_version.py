"""One version: what it is, and any prompt tried with it, for nothing and for its creator alone."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service.api.tries import Wish, make_try
from service.errors import Problem, not_found
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member
from service.trying import list_tries
from service.versions import find_version

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"tries": "_tries.html"}


@router.get("/studio/versions/{version_id}")
async def version_page(visit: CreatorVisit, version_id: str) -> HTMLResponse:
    """The version, the form, and what was tried; that part asks for itself while something is drawn."""
    return await _show(visit, version_id)


@router.post("/studio/versions/{version_id}/tries")
async def try_prompt(visit: CreatorVisit, version_id: str) -> Response:
    """Have one picture drawn."""
    prompt = await visit.field("prompt")
    try:
        await make_try(visit.web, visit.identity, version_id, checked(Wish, prompt=prompt))
    except Problem as problem:
        return await _show(visit, version_id, problem, prompt=prompt)
    return see_other(f"/studio/versions/{version_id}")


async def _show(visit: Member, version_id: str, problem: Problem | None = None, prompt: str = "") -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        version = await find_version(conn, version_id, creator_id=visit.account.id)
        if version is None:
            raise not_found("version", version_id)
        standing = await load_standing(conn, visit, version.style_id)
        tries = await list_tries(conn, version_id=version_id, creator_id=visit.account.id)
    return page(
        visit,
        "studio_version.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        version=version,
        tries=tries,
        is_drawing=any(one.state == "waiting" for one in tries),
        prompt=prompt,
        per_day=visit.web.settings.tries_per_day,
        try_days=visit.web.settings.try_days,
    )
