"""Where an invitation leads: who asks, as what, and what one will see; then in, with an account of one's own."""

from fastapi import APIRouter
from fastapi.responses import Response

from service.errors import Problem
from service.limits import count_sign_in
from service.pages.entering import let_in
from service.pages.new_accounts import enter, show_link, typed
from service.pages.render import see_other
from service.pages.visits import MemberVisit, Visit, Visitor
from service.sessions import find_session, switch_acting
from service.teams import accept, accept_anew, find_invitation

router = APIRouter(include_in_schema=False)


@router.get("/team/join")
async def join_page(visit: Visitor, word: str = "") -> Response:
    """Opening it joins nothing: mail programs open links, too. The button does."""
    return await _show(visit, word)


@router.post("/team/join")
async def join(visit: MemberVisit) -> Response:
    """Join as whoever is signed in, and act for the client from now on."""
    count_sign_in(visit.request)
    word, via = await visit.field("word"), visit.session.mark
    try:
        found = await accept(visit.web, word, person=visit.session.person, via=via, now=visit.now)
    except Problem as problem:
        return await _show(visit, word, problem=problem)
    await _act(visit, visit.session.word, found.client_id)
    return see_other("/desk")


@router.post("/team/join/account")
async def join_anew(visit: Visitor) -> Response:
    """Make an account for the invited address, join with it, and let its owner in."""
    count_sign_in(visit.request)
    word = await visit.field("word")
    try:
        person, found = await accept_anew(visit.web, word, **await typed(visit), now=visit.now)
    except Problem as problem:
        return await _show(visit, word, problem=problem)
    session = await enter(visit, person.id)
    await _act(visit, session.word, found.client_id)
    return let_in(visit, session, then="/desk")


async def _act(visit: Visit, word: str, client_id: str) -> None:
    async with visit.web.house() as conn:
        # The session as it is by now: with the new membership.
        session = await find_session(conn, word=word, now=visit.now)
        if session is not None:
            await switch_acting(conn, session, client_id)


async def _show(visit: Visit, word: str, *, problem: Problem | None = None) -> Response:
    async with visit.web.house() as conn:
        found = await find_invitation(conn, word, now=visit.now)
    return show_link(visit, "team_join.html", found=found, word=word, name=await visit.field("name"), problem=problem)
