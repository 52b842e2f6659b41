"""The studio's front: a creator's styles, this month's money, a new style, and the switch over everything."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import switch
from service import authorships
from service.api.dues import dues_now
from service.api.styles import NewStyle, StyleChange, make_style, patch_style
from service.api.switch import set_switch
from service.approvals import count_waiting
from service.claims import count_running
from service.errors import Problem
from service.pages.forms import checked, chosen
from service.pages.render import page, see_other
from service.pages.standing import load_earnings, load_outlines, load_standing
from service.pages.visits import CreatorVisit, Member
from service.styles import list_styles

router = APIRouter(include_in_schema=False)

_PER_PAGE = 50
EVERYTHING: tuple[switch.Level, ...] = ("live", "off")
"""What one button sets for all styles. Destroying is done style by style, each with its name typed."""


@router.get("/studio")
async def studio(visit: CreatorVisit, before: str | None = None) -> HTMLResponse:
    """The creator's styles, the newest first, a page at a time."""
    return await _studio(visit, before=before)


@router.get("/studio/new")
async def new_style_page(visit: CreatorVisit) -> HTMLResponse:
    """The form for a new style: a name and a summary are enough."""
    return page(visit, "studio_new.html", problem=None, name="", summary="")


@router.post("/studio/new")
async def new_style(visit: CreatorVisit) -> Response:
    """Make the style and go on to its works."""
    name, summary = await visit.field("name"), await visit.field("summary")
    try:
        body = checked(NewStyle, name=name, summary=summary)
        made = await make_style(visit.web, visit.identity, body, Response())
    except Problem as problem:
        shown: dict[str, Any] = {"problem": problem.document, "name": name, "summary": summary}
        return page(visit, "studio_new.html", status=problem.status, **shown)
    return see_other(f"/studio/styles/{made['id']}/works")


@router.post("/studio/switch")
async def switch_everything(visit: CreatorVisit) -> Response:
    """The switch over all of the creator's styles, in one commit: off, or on again."""
    try:
        level = chosen(await visit.field("level"), EVERYTHING)
        await set_switch(visit.web, visit.identity, level, None)
    except Problem as problem:
        return await _studio(visit, problem)
    return see_other(f"/studio?done={'all_off' if level == 'off' else 'all_on'}")


@router.get("/studio/styles/{style_id}")
async def style_overview(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """One style: what to do next, how it does, its name and summary."""
    return await _overview(visit, style_id)


@router.post("/studio/styles/{style_id}")
async def change_words(visit: CreatorVisit, style_id: str) -> Response:
    """Change the name and the summary."""
    try:
        body = checked(StyleChange, name=await visit.field("name"), summary=await visit.field("summary"))
        await patch_style(visit.web, visit.identity, style_id, body)
    except Problem as problem:
        return await _overview(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}?done=saved")


async def _studio(visit: Member, problem: Problem | None = None, *, before: str | None = None) -> HTMLResponse:
    creator_id = visit.account.id
    async with visit.web.pool.acquire() as conn:
        earned = await load_earnings(conn, visit)
        styles = await list_styles(conn, creator_id=creator_id, limit=_PER_PAGE + 1, before=before)
        found = await load_outlines(conn, visit, styles[:_PER_PAGE], earnings=earned)
        history = await switch.history(conn, creator_id=creator_id, limit=1)
        num_waiting = await count_waiting(conn, creator_id)
        shared = await authorships.of_account(conn, creator_id)
        num_claims = await count_running(conn, creator_id)
    return page(
        visit,
        "studio.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        styles=found,
        older=found[-1].style.id if len(styles) > _PER_PAGE else "",
        earned=earned,
        dues=await dues_now(visit.web, creator_id),
        num_waiting=num_waiting,
        has_shared=bool(shared),
        num_asked=sum(creator_id in one.waits_for for one in shared),
        num_claims=num_claims,
        last_change=history[0] if history else None,
        is_all_off=any(one.switch.scope == "creator" and one.switch.level == "off" for one in found),
        is_first=before is None,
        done=visit.request.query_params.get("done", ""),
    )


async def _overview(visit: Member, style_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
    return page(
        visit,
        "studio_style.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        done=visit.request.query_params.get("done", ""),
    )
