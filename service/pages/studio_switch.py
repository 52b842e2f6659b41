"""The creator's switch of one style: the ladder, what each level does, and what the last change did."""

from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import switch
from licensing.reach import reach_of
from licensing.sentence import Sentence, say
from service import stops
from service.api.styles import own_style
from service.api.switch import set_switch
from service.errors import Problem
from service.pages.forms import chosen
from service.pages.render import page, see_other
from service.pages.standing import load_standing
from service.pages.visits import CreatorVisit, Member

router = APIRouter(include_in_schema=False)

# What can be undone. The last level cannot: it has a form of its own, in which the style's name is typed.
CHOICES = switch.LEVELS[:-1]


@router.get("/studio/styles/{style_id}/switch")
async def switch_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """Where the switch stands, and its history."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/switch")
async def set_style_switch(visit: CreatorVisit, style_id: str) -> Response:
    """Set the switch. When the answer comes, it holds."""
    try:
        level = chosen(await visit.field("level"), CHOICES)
        await set_switch(visit.web, visit.identity, level, await visit.field("reason") or None, style_id=style_id)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/switch?done=set")


@router.post("/studio/styles/{style_id}/destroy")
async def destroy_style(visit: CreatorVisit, style_id: str) -> Response:
    """Destroy the style for good, once its name was typed."""
    try:
        async with visit.web.pool.acquire() as conn:
            style = await own_style(conn, style_id, visit.account.id)
        typed = await visit.field("typed")
        if typed != style.name:
            raise Problem("invalid_request", _not_its_name(typed, style.name))
        await set_switch(visit.web, visit.identity, "destroyed", await visit.field("reason") or None, style_id=style_id)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/switch?done=set")


def _not_its_name(typed: str, name: str) -> Sentence:
    if not typed:
        return say(
            "Nothing was typed, and the style is called “{name}”. Nothing was destroyed; type its name exactly as"
            " it is written here if you mean it.",
            name=name,
        )
    return say(
        "You typed “{typed}”, and the style is called “{name}”. Nothing was destroyed; type its name exactly as"
        " it is written here if you mean it.",
        typed=typed,
        name=name,
    )


async def _show(visit: Member, style_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        history = await switch.history(conn, creator_id=visit.account.id, style_id=style_id, limit=20)
        measured = await stops.measured(conn, now=visit.now)
        took = await stops.took(conn, history[0].event_no) if history else None
    async with visit.web.house() as conn:
        reach = await reach_of(conn, creator_id=visit.account.id, style_id=style_id, now=visit.now)
    return page(
        visit,
        "studio_switch.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        standing=standing,
        history=history,
        measured=measured,
        measured_days=stops.DAYS,
        took=took,
        reach=reach,
        ends_at=visit.now + timedelta(days=reach.notice_days) if reach else None,
        choices=CHOICES,
        done=visit.request.query_params.get("done", ""),
    )
