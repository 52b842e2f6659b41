"""In which language the pages are: chosen at the foot of every page, kept in a cookie and with the account."""

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.sentence import say
from service import accounts
from service.errors import Problem
from service.languages import LANGUAGES
from service.pages.entering import inside, keep_language
from service.pages.render import see_other
from service.pages.visits import Visitor

router = APIRouter(include_in_schema=False)


@router.post("/language")
async def set_language(visit: Visitor) -> Response:
    """From now on this browser's pages are in it, and the letters to whoever is signed in."""
    chosen = await visit.field("language")
    if chosen not in LANGUAGES:
        names = ", ".join(LANGUAGES)
        raise Problem(
            "invalid_request",
            say("There are no pages in {chosen!r}; the languages here are {names}.", chosen=chosen, names=names),
        )
    answer = see_other(inside(await visit.field("then")) or "/")
    keep_language(visit, answer, chosen)
    if visit.session is not None:
        async with visit.web.house() as conn:
            await accounts.set_language(conn, visit.session.account.id, chosen)
    return answer
