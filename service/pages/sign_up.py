"""Signing up: a form, a letter to the address, and behind its link the account."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.background import BackgroundTask

from service.errors import Problem
from service.limits import count_sign_in
from service.pages.entering import let_in
from service.pages.new_accounts import enter, show_link, typed
from service.pages.render import page, see_other
from service.pages.visits import Visit, Visitor
from service.pages.words import HOME_OF
from service.settings import SIGN_UP_ROLES
from service.sign_ups import HOURS, check_form, find_sign_up, make_account, write_to

router = APIRouter(include_in_schema=False)


@router.get("/sign-up")
async def sign_up_page(visit: Visitor, role: str = "") -> Response:
    """The form, or word that accounts come by invitation."""
    if visit.session is not None:
        return see_other(HOME_OF[visit.session.account.role])
    return await _show(visit, role=role)


@router.post("/sign-up")
async def sign_up(visit: Visitor) -> Response:
    """Send the letter. The answer is the same whether or not the address has an account."""
    count_sign_in(visit.request)
    try:
        asked = await check_form(
            visit.web,
            role=await visit.field("role"),
            name=await visit.field("name"),
            email=await visit.field("email"),
            has_accepted=await visit.field("terms") == str(visit.web.ownership.version),
            now=visit.now,
        )
    except Problem as problem:
        return await _show(visit, role=await visit.field("role"), problem=problem)
    answer = await _show(visit, role=asked.role, sent_to=asked.email)
    answer.background = BackgroundTask(write_to, visit.web, asked, now=visit.now)
    return answer


@router.get("/sign-up/confirm")
async def confirm_page(visit: Visitor, word: str = "") -> Response:
    """Where the letter's link leads. Opening it makes nothing; the button does."""
    return await _show_confirm(visit, word)


@router.post("/sign-up/confirm")
async def confirm(visit: Visitor) -> Response:
    """Make the account and let its owner in."""
    count_sign_in(visit.request)
    word = await visit.field("word")
    try:
        account = await make_account(visit.web, word, **await typed(visit), now=visit.now)
    except Problem as problem:
        return await _show_confirm(visit, word, problem=problem)
    return let_in(visit, await enter(visit, account.id))


async def _show(visit: Visit, *, role: str, sent_to: str = "", problem: Problem | None = None) -> Response:
    return page(
        visit,
        "sign_up.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        roles=SIGN_UP_ROLES[visit.web.settings.sign_up],
        role=role,
        name=await visit.field("name"),
        email=await visit.field("email"),
        sent_to=sent_to,
        sends_mail=visit.web.settings.mail_server is not None,
        hours=HOURS,
        terms=visit.web.ownership,
    )


async def _show_confirm(visit: Visit, word: str, *, problem: Problem | None = None) -> Response:
    async with visit.web.house() as conn:
        found = await find_sign_up(conn, word, now=visit.now)
    name = await visit.field("name") or (found.name if found else "")
    return show_link(visit, "sign_up_confirm.html", found=found, word=word, name=name, problem=problem)
