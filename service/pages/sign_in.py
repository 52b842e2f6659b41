"""Signing in by a one-time link, and out."""

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.database import Connection
from service.auth import cookie_name, identity_of
from service.limits import count_sign_in
from service.ownership import accept
from service.pages.render import page, see_other
from service.pages.visits import Visit, Visitor
from service.pages.words import HOME_OF
from service.sessions import Session, end_session, redeem_link

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def sign_in_page(visit: Visitor, link: str = "", then: str = "") -> Response:
    """Where a one-time link leads. Opening it uses nothing up: mail programs open links too. The button does."""
    if visit.session is not None and not link:
        return see_other(_inside(then) or HOME_OF[visit.session.account.role])
    return page(visit, "sign_in.html", link=link, then=_inside(then), has_failed=False, terms=visit.web.ownership)


@router.post("/sign-in")
async def sign_in(visit: Visitor) -> Response:
    """Redeem the link. A used or old one says so and how to get another."""
    count_sign_in(visit.request)
    word, then = _word_of(await visit.field("link")), _inside(await visit.field("then"))
    days = visit.web.settings.session_days
    async with visit.web.house() as conn:
        session = await redeem_link(conn, word=word, now=visit.now, days=days)
        if session is not None and await visit.field("terms") == str(visit.web.ownership.version):
            await _sign_up(conn, visit, session)
    if session is None:
        return page(visit, "sign_in.html", status=422, link="", then=then, has_failed=True, terms=visit.web.ownership)
    answer = see_other(then or HOME_OF[session.account.role])
    answer.set_cookie(
        cookie_name(visit.web),
        session.word,
        max_age=days * 24 * 3600,
        path="/",
        secure=visit.web.settings.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out")
async def sign_out(visit: Visitor) -> Response:
    """End this browser's session."""
    if visit.session is not None:
        async with visit.web.pool.acquire() as conn:
            await end_session(conn, visit.session, now=visit.now)
    answer = see_other("/")
    answer.delete_cookie(cookie_name(visit.web), path="/", secure=visit.web.settings.is_secure, httponly=True)
    return answer


async def _sign_up(conn: Connection, visit: Visit, session: Session) -> None:
    """Whoever signs in for the first time accepts the version that the form showed. Later ones are asked about."""
    account, version = session.account, visit.web.ownership.version
    if account.accepted_at is None and account.ownership_terms:
        await accept(conn, account_id=account.id, version=version, by=identity_of(session).who, now=visit.now)


def _word_of(pasted: str) -> str:
    """The word of a link, from the word itself or the whole address."""
    return pasted.rpartition("link=")[2].partition("&")[0].strip()


def _inside(url: str) -> str:
    """`url` if it is a path of ours, else nothing: a link must not send a person who signs in elsewhere."""
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if is_path and not any(character in url for character in "\r\n\t\\") else ""
