"""`/v1/team`: who else acts for a client, as what, and who is asked to."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from licensing.sentence import say
from service import teams
from service.areas import Level
from service.auth import Client, ClientReading, Identity, Web
from service.errors import Problem
from service.resources import Gateway
from service.teams import Invitation, Invited, TeamMember

router = APIRouter(tags=["team"])

ADDRESS_CHARACTERS_MAX = 254


class InvitationBody(BaseModel):
    """`level`: makes (orders, and sees prices), pays (money, no orders) or manages (all but the team itself)."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=ADDRESS_CHARACTERS_MAX)
    level: Level


class LevelBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Level


@router.get("/team")
async def get_team(web: Web, asker: ClientReading) -> dict[str, Any]:
    """Who is in the team, by name, and the invitations that are open, newest first."""
    members, invitations = await team_of(web, asker)
    return {
        "members": [member_document(one) for one in members],
        "invitations": [invitation_document(one) for one in invitations],
        "members_max": teams.MEMBERS_MAX,
        "invitations_max": teams.OPEN_MAX,
    }


@router.post("/team/invitations", status_code=201)
async def post_invitation(web: Web, asker: Client, body: InvitationBody) -> dict[str, Any]:
    """Ask somebody in. The link goes by e-mail; where this place sends none, `url` has it, in this answer alone."""
    made = await ask(web, asker, body)
    return invitation_document(made.invitation) | {"url": web.settings.origin + made.link if made.link else None}


@router.delete("/team/invitations/{invitation_id}", status_code=204)
async def delete_invitation(web: Web, asker: Client, invitation_id: str) -> None:
    """Withdraw it: its link does not work any more."""
    check_whole(asker)
    await teams.withdraw(web, client_id=asker.account_id, invitation_id=invitation_id, by=asker.who, now=web.clock())


@router.patch("/team/members/{member_id}", status_code=204)
async def patch_member(web: Web, asker: Client, member_id: str, body: LevelBody) -> None:
    """Another level, from the member's next request on."""
    check_whole(asker)
    await teams.change_level(
        web, client_id=asker.account_id, member_id=member_id, level=body.level, by=asker.who, now=web.clock()
    )


@router.delete("/team/members/{member_id}", status_code=204)
async def delete_member(web: Web, asker: Client, member_id: str) -> None:
    """End the membership: the member's very next request for the client is refused, and streams end within a second."""
    check_whole(asker)
    await teams.end_membership(web, client_id=asker.account_id, member_id=member_id, by=asker.who, now=web.clock())


async def team_of(web: Gateway, asker: Identity) -> tuple[list[TeamMember], list[Invitation]]:
    """The team of whoever asks, and its open invitations."""
    # Members' names are in accounts that a client does not see.
    async with web.house() as conn:
        members = await teams.list_members(conn, asker.account_id)
        return members, await teams.list_invitations(conn, asker.account_id, now=web.clock())


async def ask(web: Gateway, asker: Identity, body: InvitationBody) -> Invited:
    """Invite somebody, also from a page. Raises Problem."""
    check_whole(asker)
    return await teams.invite(
        web, client_id=asker.account_id, email=body.email, level=body.level, by=asker.who, now=web.clock()
    )


def check_whole(asker: Identity) -> None:
    """Raises Problem for a token that is for a part of the account: a program that orders pictures lets nobody in."""
    if asker.scopes or asker.is_test:
        raise Problem(
            "forbidden", say("This token is for a part of the account; change the team on its page /desk/team instead.")
        )


def member_document(one: TeamMember) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "email": one.email, "level": one.level, "since": one.since}


def invitation_document(one: Invitation) -> dict[str, Any]:
    return {
        "id": one.id,
        "email": one.email,
        "level": one.level,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
    }
