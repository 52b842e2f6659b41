"""`/v1/licences`: the right to one style for a period."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from licensing import plans
from licensing.errors import Refusal
from licensing.plans import Allowance
from licensing.rulebooks import current_rules
from service.api.shapes import Cursor, Limit, money, page
from service.auth import Client, ClientReading, Web, check_terms
from service.bases import base_here, require_for_sale
from service.catalogue import published_style
from service.errors import refused
from service.rules import check_client

router = APIRouter(tags=["licences"])


class LicenceBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    style: str
    tier: str
    renews: bool = False


@router.post("/licences", status_code=201)
async def post_licence(web: Web, asker: Client, body: LicenceBody) -> dict[str, Any]:
    """Buy a licence of one style with prepaid money. One that already runs is not bought twice.

    One of the tier `exclusive` is a window: until it ends nobody else orders of the style. It is refused while other
    clients have a running licence or open orders, and is not renewed by itself.
    """
    check_terms(web, asker)
    async with web.pool.acquire() as conn:
        style = await published_style(conn, body.style)
        require_for_sale(base_here(web.settings, style.base))
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
        "discount": money(allowance.discount),
        "tax": money(allowance.tax),
        "used": allowance.used,
        "held": allowance.held,
        "left": allowance.left,
        "starts_at": allowance.starts_at,
        "ends_at": allowance.ends_at,
        "paused_since": allowance.paused_since,
        "pause_until": allowance.pause_until,
        "trial": allowance.is_trial,
        "next_plan": allowance.next_plan,
        "overage": {
            "unit": money(allowance.overage),
            "cap": money(allowance.overage_cap),
            "spent": money(allowance.overage_spent),
        }
        if allowance.overage
        else None,
        "renews": allowance.renews,
        "notice_days": allowance.notice_days,
        "state": allowance.state,
    }
