"""An account: what is known of its owner, its password and sessions, and the way out."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service import teams
from service.api.account import Leaving, leave
from service.api.sessions import end_one, end_others
from service.devices import device_said
from service.erasure import in_the_way
from service.errors import Problem
from service.inbox import topics_of, topics_off
from service.languages import Words
from service.pages.entering import forget_cookie
from service.pages.render import page, see_other
from service.pages.visits import Member, MemberVisit
from service.passwords import CHARACTERS_MIN, asks_for_old, find_password, set_password
from service.second_factors import find_factor
from service.sessions import list_sessions, switch_acting

router = APIRouter(include_in_schema=False)

_DONE = Words(
    {
        "password": "The password is set, and every other session was ended.",
        "ended": "The session was ended. Whoever used it is signed out.",
        "others": "All other sessions were ended.",
        "left": "You have left the team. Nothing is done there in your name any more.",
        "factor_off": "The second factor is off.",
    }
)


@router.get("/account")
async def account_page(visit: MemberVisit, done: str = "") -> HTMLResponse:
    """Who one is here, what is kept, how one gets in, and a form that ends it."""
    return await _show(visit, done=done)


@router.post("/account/password")
async def change_password(visit: MemberVisit) -> Response:
    """Set a password, or change it by the old one."""
    form = await visit.form()
    try:
        new = str(form.get("new", ""))
        await set_password(visit.web, visit.session, old=str(form.get("old", "")), new=new, by=visit.identity.who)
    except Problem as problem:
        return await _show(visit, problem=problem, problem_with="password")
    return see_other("/account?done=password#password")


@router.post("/account/sessions/{session_id}/end")
async def end_session(visit: MemberVisit, session_id: str) -> Response:
    """End one session, also this one."""
    await end_one(visit.web, visit.identity, session_id)
    if session_id == visit.session.mark:
        return forget_cookie(visit, see_other("/"))
    return see_other("/account?done=ended#sessions")


@router.post("/account/sessions/end-others")
async def end_other_sessions(visit: MemberVisit) -> Response:
    """End every session but this one."""
    await end_others(visit.web, visit.identity)
    return see_other("/account?done=others#sessions")


@router.post("/account/teams/leave")
async def leave_team(visit: MemberVisit) -> Response:
    """Go from a client's team; who acted for it acts for themselves from now on."""
    session, client_id = visit.session, await visit.field("client")
    await teams.leave(visit.web, client_id=client_id, person=session.person, via=session.mark, now=visit.now)
    if session.acts_for == client_id:
        async with visit.web.house() as conn:
            await switch_acting(conn, session, None)
    return see_other("/account?done=left#teams")


@router.post("/account/erase")
async def erase(visit: MemberVisit) -> Response:
    """Erase it, where the address was typed; else say what is in the way."""
    body = Leaving(confirm=await visit.field("confirm"), give_up=bool(await visit.field("give_up")))
    try:
        await leave(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return forget_cookie(visit, see_other("/?done=erased"))


async def _show(
    visit: Member, *, problem: Problem | None = None, problem_with: str = "", done: str = ""
) -> HTMLResponse:
    account = visit.account
    async with visit.web.pool.acquire() as conn:
        left = []
        if account.role != "operator":
            left = await in_the_way(conn, account, currency=visit.web.prices.currency, now=visit.now)
        password = await find_password(conn, account.id)
        factor = await find_factor(conn, account.id)
        sessions = await list_sessions(conn, account.id, now=visit.now)
        off = await topics_off(conn, account.id)
    return page(
        visit,
        "account.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        problem_with=problem_with,
        said=_DONE.get(done, ""),
        left=left,
        password=password,
        asks_for_old=password is not None and asks_for_old(visit.session, now=visit.now),
        password_characters=CHARACTERS_MIN,
        factor=factor,
        sessions=sessions,
        devices={one.id: device_said(one.device) for one in sessions},
        this_session=visit.session.mark,
        now=visit.now,
        settings=visit.web.settings,
        topics=topics_of(account.role),
        off=off,
        sends_mail=visit.web.settings.mail_server is not None,
        done=done,
    )
