"""`/v1/approvals`: pictures that wait for their creator, what the creator decides, and which clients are trusted."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import StringConstraints

from licensing.terms import Trust
from service import decisions
from service.api.shapes import Cursor, Limit, page
from service.api.styles import Body
from service.approvals import KnownClient, Waiting, find_waiting, list_clients, list_waiting, set_trust
from service.auth import Creator, CreatorReading, Web
from service.decisions import REASON_CHARACTERS_MAX, Decided
from service.errors import ObjectMissing, not_found

router = APIRouter(tags=["approvals"])


class Rejection(Body):
    """`reason` is for the client, who reads it."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_CHARACTERS_MAX)]


class TrustBody(Body):
    trust: Trust


@router.get("/approvals")
async def get_approvals(web: Web, asker: CreatorReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Orders whose pictures wait for this creator, oldest first."""
    async with web.pool.acquire() as conn:
        found = await list_waiting(conn, asker.account_id, limit=limit + 1, after=cursor)
    return page(found, limit, waiting_document)


@router.get("/approvals/clients")
async def get_clients(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """Clients whose pictures this creator has looked at or decided about, with how many were approved."""
    async with web.pool.acquire() as conn:
        found = await list_clients(conn, asker.account_id)
    return {"items": [_client_document(client) for client in found], "next_cursor": None}


@router.put("/approvals/clients/{client_id}")
async def put_client(web: Web, asker: Creator, client_id: str, body: TrustBody) -> dict[str, Any]:
    """Where the creator looks at new clients' pictures: trust this client, or always look, or count again."""
    async with web.house() as conn:
        if not await set_trust(
            conn, creator_id=asker.account_id, client_id=client_id, level=body.trust, now=web.clock()
        ):
            raise not_found("client", client_id[:80])
        known = {client.id: client for client in await list_clients(conn, asker.account_id)}
    return _client_document(known[client_id])


@router.get("/approvals/{approval_id}/pictures/{number}", response_class=Response)
async def get_picture(web: Web, asker: CreatorReading, approval_id: str, number: int) -> Response:
    """A picture that waits, for its creator alone; `number` counts from 1."""
    async with web.pool.acquire() as conn:
        waiting = await find_waiting(conn, asker.account_id, approval_id)
    found = next((one for one in waiting.pictures if one["number"] == number), None) if waiting else None
    if found is None:
        raise not_found("picture waiting for approval", f"{approval_id} {number}")
    try:
        content = await asyncio.to_thread(web.storage.get, found["key"])
    except ObjectMissing as error:
        # The order ended between the question and here.
        raise not_found("picture waiting for approval", f"{approval_id} {number}") from error
    return Response(content, media_type=found["mime"], headers={"Cache-Control": "no-store"})


@router.post("/approvals/{approval_id}/approve")
async def post_approve(web: Web, asker: Creator, approval_id: str) -> dict[str, Any]:
    """The client gets the pictures and is charged. Asked again it only says so (`repeated`)."""
    return _decision_document(await decisions.approve(web, creator_id=asker.account_id, order_id=approval_id))


@router.post("/approvals/{approval_id}/reject")
async def post_reject(web: Web, asker: Creator, approval_id: str, body: Rejection) -> dict[str, Any]:
    """The client gets nothing, pays nothing, and reads the reason. Asked again it only says so (`repeated`)."""
    return _decision_document(
        await decisions.reject(web, creator_id=asker.account_id, order_id=approval_id, reason=body.reason)
    )


def waiting_document(waiting: Waiting) -> dict[str, Any]:
    """An order that waits, as its creator sees it. `amount` is what the client would be charged at most."""
    return {
        "id": waiting.id,
        "style": waiting.style_id,
        "style_name": waiting.style_name,
        "client": {
            "id": waiting.client_id,
            "name": waiting.client_name,
            "trust": waiting.trust,
            "approved": waiting.num_approved,
        },
        "prompt": waiting.prompt,
        "tier": waiting.tier,
        "use": waiting.use,
        "amount": {"amount": waiting.amount, "currency": waiting.currency},
        "pictures": [
            {
                "number": one["number"],
                "width": one["width"],
                "height": one["height"],
                "url": f"/v1/approvals/{waiting.id}/pictures/{one['number']}",
            }
            for one in waiting.pictures
        ],
        "since": waiting.created_at,
        "until": waiting.until,
    }


def _client_document(client: KnownClient) -> dict[str, Any]:
    return {"id": client.id, "name": client.name, "trust": client.trust, "approved": client.num_approved}


def _decision_document(decided: Decided) -> dict[str, Any]:
    return {
        "id": decided.order_id,
        "decision": decided.decision,
        "decided_at": decided.decided_at,
        "repeated": decided.repeated,
    }
