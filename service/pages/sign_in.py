"""Signing in by a one-time link, by a password, with a code where there is a second factor; and out."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.background import BackgroundTask

from licensing.sentence import say
from service.account_letters import send_link
from service.accounts import plain_email
from service.auth import identity_of
from service.errors import Problem
from service.limits import count_sign_in
from service.ownership import accept
from service.pages.entering import ask_for_code, device_of, forget_cookie, inside, let_in
from service.pages.render import page, see_other
from service.pages.visits import Visit, Visitor
from service.pages.words import HOME_OF
from service.sessions import Session, end_session
from service.settings import SIGN_UP_ROLES
from service.sign_in_tries import count_try
from service.signing_in import by_code, by_link, by_password

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def sign_in_page(visit: Visitor, link: str = "", then: str = "") -> Response:
    """Where a one-time link leads. Opening it uses nothing up: mail programs open links too. The button does."""
    if visit.session is not None and not link:
        return see_other(inside(then) or HOME_OF[visit.session.account.role])
    return _show(visit, link=link, then=inside(then))


@router.post("/sign-in")
async def sign_in(visit: Visitor) -> Response:
    """Redeem the link. A used or old one says so and how to get another."""
    count_sign_in(visit.request)
    word, then = _word_of(await visit.field("link")), inside(await visit.field("then"))
    entered = await by_link(visit.web, word=word, device=device_of(visit), now=visit.now)
    if entered is None:
        return _show(visit, then=then, status=422, has_failed=True)
    if isinstance(entered, Session) and await visit.field("terms") == str(visit.web.ownership.version):
        await _accept_first(visit, entered)
    return let_in(visit, entered, then=then)


@router.post("/sign-in/password")
async def sign_in_by_password(visit: Visitor) -> Response:
    """Address and password. What does not fit together says so, and not which of the two it was."""
    count_sign_in(visit.request)
    email, then = await visit.field("email"), inside(await visit.field("then"))
    try:
        password = str((await visit.form()).get("password", ""))
        entered = await by_password(visit.web, email=email, password=password, device=device_of(visit), now=visit.now)
    except Problem as problem:
        return _show(visit, then=then, email=email, problem=problem)
    return let_in(visit, entered, then=then)


@router.post("/sign-in/send")
async def send(visit: Visitor) -> Response:
    """Have a link sent. The answer is the same whether or not an account goes by the address, and is on its way before
    anybody looks."""
    count_sign_in(visit.request)
    email, then = await visit.field("email"), inside(await visit.field("then"))
    try:
        address = plain_email(email)
        async with visit.web.house() as conn:
            await count_try(conn, "letter", address, pepper=visit.web.pepper, now=visit.now)
    except ValueError as error:
        problem = Problem("invalid_request", say("{what}.", what=error.args[0]))
        return _show(visit, then=then, email=email, problem=problem)
    except Problem as problem:
        return _show(visit, then=then, email=email, problem=problem)
    answer = _show(visit, then=then, email=email, sent_to=address)
    answer.background = BackgroundTask(send_link, visit.web, address=address, now=visit.now)
    return answer


@router.post("/sign-in/code")
async def sign_in_by_code(visit: Visitor) -> Response:
    """The second step."""
    count_sign_in(visit.request)
    step, then = await visit.field("step"), inside(await visit.field("then"))
    try:
        session = await by_code(
            visit.web, word=step, code=await visit.field("code"), device=device_of(visit), now=visit.now
        )
    except Problem as problem:
        return ask_for_code(visit, step, then=then, problem=problem)
    return let_in(visit, session, then=then)


@router.post("/sign-out")
async def sign_out(visit: Visitor) -> Response:
    """End this browser's session."""
    if visit.session is not None:
        async with visit.web.pool.acquire() as conn:
            await end_session(conn, visit.session, now=visit.now)
    return forget_cookie(visit, see_other("/"))


def _show(
    visit: Visit,
    *,
    then: str,
    link: str = "",
    email: str = "",
    sent_to: str = "",
    has_failed: bool = False,
    status: int = 200,
    problem: Problem | None = None,
) -> Response:
    return page(
        visit,
        "sign_in.html",
        status=problem.status if problem else status,
        problem=problem.document if problem else None,
        link=link,
        then=then,
        email=email,
        sent_to=sent_to,
        has_failed=has_failed,
        is_open=bool(SIGN_UP_ROLES[visit.web.settings.sign_up]),
        sends_mail=visit.web.settings.mail_server is not None,
        minutes=visit.web.settings.sign_in_link_minutes,
        terms=visit.web.ownership,
    )


async def _accept_first(visit: Visit, session: Session) -> None:
    """Whoever signs in for the first time accepts the version that the form showed. Later ones are asked about."""
    account, version = session.account, visit.web.ownership.version
    if account.accepted_at is None and account.ownership_terms:
        async with visit.web.house() as conn:
            await accept(conn, account_id=account.id, version=version, by=identity_of(session).who, now=visit.now)


def _word_of(pasted: str) -> str:
    """The word of a link, from the word itself or the whole address."""
    return pasted.rpartition("link=")[2].partition("&")[0].strip()
