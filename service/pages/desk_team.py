"""A client's team: who is in it and as what, who is asked to join, and the ways out."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service import teams
from service.api.team import (
    InvitationBody,
    LevelBody,
    ask,
    delete_invitation,
    delete_member,
    patch_member,
    team_of,
)
from service.areas import LEVELS
from service.errors import Problem
from service.languages import Words
from service.pages.forms import checked, chosen
from service.pages.render import page, see_other
from service.pages.visits import ClientVisit, Member
from service.teams import Invited

router = APIRouter(include_in_schema=False)

_DONE = Words(
    {
        "changed": "The level is changed; it holds from the next press on.",
        "ended": "The membership is ended. What is open there for you is refused from the next press on.",
        "withdrawn": "The invitation is withdrawn; its link does not work any more.",
    }
)


@router.get("/desk/team")
async def team_page(visit: ClientVisit, done: str = "") -> HTMLResponse:
    """Everybody who acts for the client, and everybody who is asked to."""
    return await _show(visit, done=done)


@router.post("/desk/team/invitations")
async def invite(visit: ClientVisit) -> HTMLResponse:
    """Ask somebody in. The answer is a page and no redirect: a link that no e-mail carries is seen once."""
    email, level = await visit.field("email"), await visit.field("level")
    try:
        body = checked(InvitationBody, email=email, level=chosen(level, LEVELS))
        made = await ask(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, email=email, level=level, problem=problem)
    return await _show(visit, made=made)


@router.post("/desk/team/invitations/{invitation_id}/withdraw")
async def withdraw(visit: ClientVisit, invitation_id: str) -> Response:
    """Take it back."""
    await delete_invitation(visit.web, visit.identity, invitation_id)
    return see_other("/desk/team?done=withdrawn")


@router.post("/desk/team/members/{member_id}/level")
async def change_level(visit: ClientVisit, member_id: str) -> Response:
    """Another level for somebody."""
    body = LevelBody(level=chosen(await visit.field("level"), LEVELS))
    await patch_member(visit.web, visit.identity, member_id, body)
    return see_other("/desk/team?done=changed")


@router.post("/desk/team/members/{member_id}/end")
async def end(visit: ClientVisit, member_id: str) -> Response:
    """End a membership."""
    await delete_member(visit.web, visit.identity, member_id)
    return see_other("/desk/team?done=ended")


async def _show(
    visit: Member,
    *,
    done: str = "",
    email: str = "",
    level: str = "makes",
    problem: Problem | None = None,
    made: Invited | None = None,
) -> HTMLResponse:
    members, invitations = await team_of(visit.web, visit.identity)
    return page(
        visit,
        "desk_team.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        said=_DONE.get(done, ""),
        members=members,
        invitations=invitations,
        made=made,
        link=visit.web.settings.origin + made.link if made and made.link else "",
        email=email,
        chosen_level=level,
        days=teams.DAYS,
        members_max=teams.MEMBERS_MAX,
        invitations_max=teams.OPEN_MAX,
    )
