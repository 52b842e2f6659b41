"""What all ways in end with: a cookie and the page that was wanted, or the form for a code."""

from fastapi.responses import Response

from service.auth import cookie_name
from service.devices import device_words
from service.errors import Problem
from service.languages import LANGUAGE_COOKIE, spoken
from service.pages.render import page, see_other
from service.pages.visits import Visit
from service.pages.words import HOME_OF
from service.sessions import Session
from service.signing_in import SecondStep

HOUR_S = 3600
_YEAR_S = 365 * 24 * HOUR_S


def let_in(visit: Visit, entered: Session | SecondStep, *, then: str = "") -> Response:
    """The answer to whoever has shown enough, or owes a code. then: a path of ours, empty for their own home."""
    if isinstance(entered, SecondStep):
        return ask_for_code(visit, entered.word, then=then)
    answer = see_other(then or HOME_OF[entered.account.role])
    answer.set_cookie(
        cookie_name(visit.web),
        entered.word,
        max_age=visit.web.settings.session_days * 24 * HOUR_S,
        path="/",
        secure=visit.web.settings.is_secure,
        httponly=True,
        samesite="lax",
    )
    language = entered.account.language
    if language is not None and language != spoken() and LANGUAGE_COOKIE not in visit.request.cookies:
        keep_language(visit, answer, language)
    return answer


def keep_language(visit: Visit, answer: Response, language: str) -> None:
    """This browser's pages are in it from now on."""
    answer.set_cookie(
        LANGUAGE_COOKIE,
        language,
        max_age=_YEAR_S,
        secure=visit.web.settings.is_secure,
        httponly=True,
        samesite="lax",
    )


def ask_for_code(visit: Visit, step: str, *, then: str, problem: Problem | None = None) -> Response:
    """The form for the second step."""
    return page(
        visit,
        "sign_in_code.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        step=step,
        then=then,
    )


def device_of(visit: Visit) -> str:
    """The browser in words."""
    return device_words(visit.request.headers.get("user-agent", ""))


def forget_cookie(visit: Visit, answer: Response) -> Response:
    """The same answer, which takes the session's cookie away."""
    answer.delete_cookie(cookie_name(visit.web), path="/", secure=visit.web.settings.is_secure, httponly=True)
    return answer


def inside(url: str) -> str:
    """`url` if it is a path of ours, else nothing: a link must not send a person who signs in elsewhere."""
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if is_path and not any(character in url for character in "\r\n\t\\") else ""
