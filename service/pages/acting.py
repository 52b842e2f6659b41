"""For whom somebody acts who is in clients' teams: for themselves, or for one of these clients."""

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.sentence import say
from service.errors import Problem
from service.pages.render import see_other
from service.pages.visits import MemberVisit
from service.pages.words import HOME_OF
from service.sessions import switch_acting

router = APIRouter(include_in_schema=False)


@router.post("/account/acting")
async def act_for(visit: MemberVisit) -> Response:
    """Act for the client in the field `client` from now on; for oneself where it is empty."""
    client_id = await visit.field("client") or None
    async with visit.web.house() as conn:
        if not await switch_acting(conn, visit.session, client_id):
            raise Problem(
                "forbidden",
                say("You are not in the team of this client, or not any more; ask it for an invitation."),
            )
    return see_other("/desk" if client_id else HOME_OF[visit.session.person.role])
