"""`/v1/subscription`, the operator's plan, and `/v1/licences`, the right to one style."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from licensing import plans
from licensing.errors import Refusal
from licensing.plans import Allowance
from licensing.prices import Plan
from licensing.rulebooks import current_rules
from service.api.shapes import Cursor, Limit, money, page
from service.auth import Client, ClientReading, Web, check_terms
from service.catalogue import published_style
from service.errors import Problem, refused
from service.rules import check_client

router = APIRouter(tags=["licences"])


class SubscriptionBody(BaseModel):
    """`plan` null ends the renewal of the plan that runs."""

    model_config = ConfigDict(extra="forbid")

    plan: str | None
    renews: bool = True


class LicenceBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    style: str
    tier: str
    renews: bool = False


@router.get("/subscription")
async def get_subscription(web: Web, asker: ClientReading) -> dict[str, Any]:
    """The plan that runs, if any, and the plans on offer."""
    async with web.pool.acquire() as conn:
        current = await plans.current_plan(conn, client_id=asker.account_id, now=web.clock())
    return _subscription(current, list(web.prices.plans.values()))


@router.put("/subscription")
async def put_subscription(web: Web, asker: Client, body: SubscriptionBody) -> dict[str, Any]:
    """Buy a plan with prepaid money, or end its renewal. The plan that already runs is not bought twice."""
    offered = web.prices.plans
    if body.plan is not None:
        check_terms(web, asker)
    if body.plan is not None and body.plan not in offered:
        raise Problem("invalid_request", f"There is no plan {body.plan!r}; choose one of {', '.join(offered)}.")
    async with web.pool.acquire() as conn, conn.transaction():
        if body.plan is None:
            running = await plans.current_plan(conn, client_id=asker.account_id, now=web.clock())
            if running is None:
                raise Problem("conflict", "No plan runs, so there is no renewal to end; name a plan to buy one.")
            answer = await plans.end_renewal(conn, client_id=asker.account_id, allowance_id=running.id)
        else:
            answer = await plans.subscribe(
                conn,
                client_id=asker.account_id,
                plan=offered[body.plan],
                now=web.clock(),
                new_id=web.new_id,
                renews=body.renews,
            )
        if isinstance(answer, Refusal):
            raise refused(answer)
    return _subscription(answer, list(offered.values()))


@router.post("/licences", status_code=201)
async def post_licence(web: Web, asker: Client, body: LicenceBody) -> dict[str, Any]:
    """Buy a licence of one style with prepaid money. One that already runs is not bought twice.

    One of the tier `exclusive` is a window: until it ends nobody else orders of the style. It is refused while other
    clients have a running licence or open orders, and is not renewed by itself.
    """
    check_terms(web, asker)
    async with web.pool.acquire() as conn:
        style = await published_style(conn, body.style)
        rules = (await current_rules(conn, creator_id=style.creator_id, style_id=style.id)).rules
    await check_client(web, asker, rules, style_id=style.id, style_name=style.name)
    async with web.pool.acquire() as conn, conn.transaction():
        answer = await plans.buy_licence(
            conn,
            client_id=asker.account_id,
            style_id=body.style,
            tier=body.tier,
            now=web.clock(),
            new_id=web.new_id,
            renews=body.renews,
        )
        if isinstance(answer, Refusal):
            raise refused(answer)
    return allowance_document(answer)


@router.get("/licences")
async def get_licences(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """One-style licences of this client, newest first."""
    async with web.pool.acquire() as conn:
        found = await plans.licences(conn, client_id=asker.account_id, limit=limit + 1, before=cursor)
    return page(found, limit, allowance_document)


def allowance_document(allowance: Allowance) -> dict[str, Any]:
    """One paid period of a plan or a licence."""
    return {
        "id": allowance.id,
        "kind": allowance.kind,
        "plan": allowance.name,
        "style": allowance.style_id,
        "tier": allowance.tier,
        "price": money(allowance.price),
        "used": allowance.used,
        "held": allowance.held,
        "left": allowance.left,
        "starts_at": allowance.starts_at,
        "ends_at": allowance.ends_at,
        "paused_since": allowance.paused_since,
        "renews": allowance.renews,
        "notice_days": allowance.notice_days,
        "state": allowance.state,
    }


def _subscription(current: Allowance | None, offered: list[Plan]) -> dict[str, Any]:
    return {
        "plan": current.name if current else None,
        "allowance": allowance_document(current) if current else None,
        "plans": [
            {
                "id": plan.id,
                "name": plan.name,
                "price": money(plan.price),
                "units": plan.units,
                "months": plan.months,
                "covers": dict(plan.covers),
            }
            for plan in offered
        ],
    }
