"""`/v1/webhooks`: where a client is told what happened, by Standard Webhooks (standardwebhooks.com)."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service import outbox, webhooks
from service.api.shapes import Cursor, Limit, page
from service.auth import Client, ClientReading, Identity, Web
from service.errors import not_found
from service.outbox import Delivery
from service.resources import Gateway
from service.webhooks import Endpoint, Kind

router = APIRouter(tags=["webhooks"])


class WebhookBody(BaseModel):
    """`kinds` left out: all there are, also those that come to be."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(strip_whitespace=True)]
    kinds: Annotated[list[Kind], Field(min_length=1)] | None = None
    description: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=webhooks.DESCRIPTION_CHARACTERS_MAX)
    ] = ""


@router.post("/webhooks", status_code=201)
async def post_webhook(web: Web, asker: Client, body: WebhookBody, response: Response) -> dict[str, Any]:
    """Register a URL. The answer alone shows the secret that its messages are signed with."""
    endpoint, secret = await register(web, asker, body)
    response.headers["Location"] = f"/v1/webhooks/{endpoint.id}"
    return webhook_document(endpoint) | {"secret": secret}


@router.get("/webhooks")
async def get_webhooks(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """This client's endpoints, newest first."""
    async with web.pool.acquire() as conn:
        found = await webhooks.list_endpoints(conn, client_id=asker.account_id, limit=limit + 1, before=cursor)
    return page(found, limit, webhook_document)


@router.get("/webhooks/{webhook_id}")
async def get_webhook(web: Web, asker: ClientReading, webhook_id: str) -> dict[str, Any]:
    """One endpoint, and whether messages arrive there."""
    return webhook_document(await find_own(web, asker, webhook_id))


@router.delete("/webhooks/{webhook_id}", status_code=204)
async def delete_webhook(web: Web, asker: Client, webhook_id: str) -> None:
    """Send nothing there any more; its log is gone as well."""
    async with web.pool.acquire() as conn:
        if not await webhooks.remove_endpoint(conn, webhook_id, client_id=asker.account_id):
            raise not_found("webhook", webhook_id)


@router.post("/webhooks/{webhook_id}/rotate")
async def post_rotation(web: Web, asker: Client, webhook_id: str) -> dict[str, Any]:
    """A new secret, shown in this answer alone. The one before signs beside it for 24 hours."""
    endpoint = await find_own(web, asker, webhook_id)
    async with web.pool.acquire() as conn:
        secret = await webhooks.rotate_secret(conn, web, endpoint.id, client_id=asker.account_id)
    if secret is None:
        raise not_found("webhook", webhook_id)
    return webhook_document(endpoint) | {"secret": secret}


@router.post("/webhooks/{webhook_id}/ping", status_code=202)
async def post_ping(web: Web, asker: Client, webhook_id: str) -> dict[str, Any]:
    """Send a message of the type `ping`, at once and once. A disabled endpoint at which it arrives is enabled again.

    `id` is the message's, as the endpoint's `deliveries` list it.
    """
    endpoint = await find_own(web, asker, webhook_id)
    message_id = web.new_id("msg")
    async with web.house() as conn:
        await outbox.ping(conn, endpoint.id, message_id=message_id, now=web.clock())
    return {"id": message_id}


@router.get("/webhooks/{webhook_id}/deliveries")
async def get_deliveries(
    web: Web, asker: ClientReading, webhook_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """What was sent there and what came of it, newest first. `id` is the message's own, its header `webhook-id`."""
    endpoint = await find_own(web, asker, webhook_id)
    async with web.pool.acquire() as conn:
        found = await outbox.list_deliveries(conn, endpoint.id, limit=limit + 1, before=cursor)
    return page(found, limit, delivery_document)


@router.post("/webhooks/{webhook_id}/deliveries/{message_id}/redeliver", status_code=202)
async def post_redelivery(web: Web, asker: Client, webhook_id: str, message_id: str) -> dict[str, Any]:
    """Send a message again at once, under the same `webhook-id`, also one that arrived.

    Order no longer applies to it: it does not wait for what is before it, and nothing waits for it.
    """
    endpoint = await find_own(web, asker, webhook_id)
    async with web.pool.acquire() as conn:
        if not await outbox.send_again(conn, endpoint.id, message_id, now=web.clock()):
            raise not_found("delivery", message_id)
    return {"id": message_id}


async def register(web: Gateway, asker: Identity, body: WebhookBody) -> tuple[Endpoint, str]:
    """A new endpoint and its secret. Raises Problem where messages may not go to its URL, or where there are enough."""
    await webhooks.check_url(web, body.url)
    async with web.pool.acquire() as conn:
        return await webhooks.add_endpoint(
            conn,
            web,
            client_id=asker.account_id,
            url=body.url,
            kinds=body.kinds or [],
            description=body.description,
        )


async def find_own(web: Gateway, asker: Identity, webhook_id: str) -> Endpoint:
    """The asker's endpoint of this id. Raises Problem."""
    async with web.pool.acquire() as conn:
        found = await webhooks.find_endpoint(conn, webhook_id, client_id=asker.account_id)
    if found is None:
        raise not_found("webhook", webhook_id)
    return found


def webhook_document(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as its client sees it; `kinds` null: all; `failing_since` null: what was sent arrived."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "kinds": endpoint.kinds or None,
        "description": endpoint.description,
        "created_at": endpoint.created_at,
        "failing_since": endpoint.failing_since,
        "retry_at": endpoint.retry_at,
        "disabled_at": endpoint.disabled_at,
        "disabled_why": endpoint.disabled_why,
    }


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """One line of an endpoint's log; `state` is `waiting`, `delivered` or `failed`."""
    return {
        "id": delivery.id,
        "kind": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "ended_at": delivery.ended_at,
    }
