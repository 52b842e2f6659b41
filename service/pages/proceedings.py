"""What pages of disputes and of claims to works have in common: both are argued and decided by the written clock."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from fastapi.responses import HTMLResponse, Response

from licensing.deadlines import CLOCK
from licensing.disputes import CONTACT_CHARACTERS_MAX, WORDS_CHARACTERS_MAX
from service.accounts import Role
from service.api.disputes import WordsBody
from service.auth import Identity
from service.errors import Problem
from service.pages import words
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.visits import Member
from service.resources import Gateway

Verb: TypeAlias = Callable[[Gateway, Identity, str, WordsBody], Awaitable[object]]
_BASES: dict[Role, str] = {
    "client": "desk_base.html",
    "creator": "studio_disputes_base.html",
    "operator": "office_base.html",
}


def home_of(visit: Member, kind: str) -> str:
    """Where all of a kind ("disputes", "claims") are listed for this member."""
    return f"{words.HOME_OF[visit.account.role]}/{kind}"


async def speak(
    visit: Member,
    home: str,
    one_id: str,
    verb: Verb,
    *,
    done: str,
    show: Callable[[Member, str, Problem], Awaitable[HTMLResponse]],
) -> Response:
    """Do what words from the form go with; `show` shows it with what stands against that."""
    try:
        await verb(visit.web, visit.identity, one_id, checked(WordsBody, words=await visit.field("words")))
    except Problem as problem:
        return await show(visit, one_id, problem)
    return see_other(f"{home}/{one_id}?done={done}")


def proceeding_page(visit: Member, template: str, problem: Problem | None, *, home: str, **values: Any) -> HTMLResponse:
    """A page of one or of many, with the clock, the limits and the member's own navigation."""
    return page(
        visit,
        template,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        own_problem=False,
        base=_BASES[visit.account.role],
        home=home,
        role=visit.account.role,
        clock=CLOCK,
        words_most=WORDS_CHARACTERS_MAX,
        contact_most=CONTACT_CHARACTERS_MAX,
        done=visit.request.query_params.get("done", ""),
        **values,
    )
