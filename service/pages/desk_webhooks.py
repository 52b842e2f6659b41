"""Where a client's programs are told what happened: endpoints, their secrets, and a log of what was sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.sentence import known_again, say
from service.api.webhooks import (
    WebhookBody,
    delete_webhook,
    post_ping,
    post_redelivery,
    post_rotation,
    register,
)
from service.errors import Problem
from service.formats import clock
from service.kept_sentences import OF_DELIVERIES
from service.languages import gettext, translate
from service.outbox import Delivery, list_deliveries
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.visits import ClientVisit, Member
from service.webhooks import KINDS, Endpoint, list_endpoints

router = APIRouter(include_in_schema=False)

_LINES = 10
"""Of each endpoint's log."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One delivery, and its tries in words, the newest first."""

    delivery: Delivery
    tries: list[str]


@dataclass(frozen=True, kw_only=True)
class Shown:
    endpoint: Endpoint
    log: list[Line]


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What stands in the form: as it was sent, where it was refused."""

    url: str = ""
    description: str = ""
    kinds: Sequence[str] = KINDS


@router.get("/desk/webhooks")
async def webhooks_page(visit: ClientVisit) -> HTMLResponse:
    """All endpoints of the client."""
    return await _show(visit)


@router.post("/desk/webhooks")
async def add_webhook(visit: ClientVisit) -> HTMLResponse:
    """A new endpoint. The answer is a page and no redirect: the secret is seen once."""
    kinds = [kind for kind in KINDS if await visit.field(f"kind-{kind}")]
    typed = Typed(url=await visit.field("url"), description=await visit.field("description"), kinds=kinds)
    try:
        if not kinds:
            raise Problem("invalid_request", say("It would never be told anything; tick at least one thing."))
        body = checked(
            WebhookBody,
            url=typed.url,
            kinds=None if len(kinds) == len(KINDS) else kinds,
            description=typed.description,
        )
        _, secret = await register(visit.web, visit.identity, body)
    except Problem as problem:
        return await _show(visit, problem=problem, typed=typed)
    return await _show(visit, secret=secret)


@router.post("/desk/webhooks/{webhook_id}/rotate")
async def rotate(visit: ClientVisit, webhook_id: str) -> HTMLResponse:
    """A new secret, seen once."""
    found = await post_rotation(visit.web, visit.identity, webhook_id)
    return await _show(visit, secret=found["secret"])


@router.post("/desk/webhooks/{webhook_id}/remove")
async def remove(visit: ClientVisit, webhook_id: str) -> Response:
    """Send nothing there any more."""
    await delete_webhook(visit.web, visit.identity, webhook_id)
    return see_other("/desk/webhooks?done=removed")


@router.post("/desk/webhooks/{webhook_id}/ping")
async def send_ping(visit: ClientVisit, webhook_id: str) -> Response:
    """Try whether messages arrive."""
    await post_ping(visit.web, visit.identity, webhook_id)
    return see_other("/desk/webhooks?done=sent")


@router.post("/desk/webhooks/{webhook_id}/deliveries/{message_id}/redeliver")
async def redeliver(visit: ClientVisit, webhook_id: str, message_id: str) -> Response:
    """Send a message again."""
    await post_redelivery(visit.web, visit.identity, webhook_id, message_id)
    return see_other("/desk/webhooks?done=sent")


async def _show(
    visit: Member, *, problem: Problem | None = None, typed: Typed = Typed(), secret: str = ""
) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        shown = [
            Shown(
                endpoint=endpoint,
                log=[_line(one) for one in await list_deliveries(conn, endpoint.id, limit=_LINES)],
            )
            for endpoint in await list_endpoints(conn, client_id=visit.account.id)
        ]
    return page(
        visit,
        "desk_webhooks.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        shown=shown,
        typed=typed,
        secret=secret,
        kinds=KINDS,
        done=visit.request.query_params.get("done", ""),
    )


def _line(delivery: Delivery) -> Line:
    return Line(delivery=delivery, tries=[_words(attempt) for attempt in reversed(delivery.attempts)])


def _words(attempt: dict[str, Any]) -> str:
    why = attempt["error"]
    came = (
        translate(known_again(why, OF_DELIVERIES))
        if why
        else gettext("It answered {status}.").format(status=attempt["status"])
    )
    return f"{clock(datetime.fromisoformat(attempt['at']))}, {attempt['ms']} ms. {came}"
