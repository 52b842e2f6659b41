"""The creator's switch: one style, all of them, or one client of a style. Answers when the fence holds."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints

from licensing import switch
from licensing.errors import Refusal
from service.accounts import account_by_id
from service.api.shapes import money
from service.auth import Creator, CreatorReading, Identity, Web
from service.destruction import mark_destroyed, start_emptying
from service.errors import not_found, refused
from service.orders import mark_withdrawn
from service.outbox import tell_periods_ended, tell_switched
from service.resources import Gateway

router = APIRouter(tags=["switch"])


class SwitchBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: switch.Level
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=400)] | None = None


@router.put("/styles/{style_id}/switch")
async def put_style_switch(web: Web, asker: Creator, style_id: str, body: SwitchBody) -> dict[str, Any]:
    """Set one style's switch."""
    return await set_switch(web, asker, body.level, body.reason, style_id=style_id)


@router.put("/switch")
async def put_switch(web: Web, asker: Creator, body: SwitchBody) -> dict[str, Any]:
    """Set the switch over all styles of this creator, in one commit."""
    return await set_switch(web, asker, body.level, body.reason)


@router.put("/styles/{style_id}/clients/{client_id}/switch")
async def put_client_switch(
    web: Web, asker: Creator, style_id: str, client_id: str, body: SwitchBody
) -> dict[str, Any]:
    """Set the switch of a style for one client alone."""
    async with web.house() as conn:
        known = await account_by_id(conn, client_id)
    if known is None or known.role != "client":
        raise not_found("client", client_id[:80])
    return await set_switch(web, asker, body.level, body.reason, style_id=style_id, client_id=client_id)


@router.get("/switch/history")
async def get_history(web: Web, asker: CreatorReading, style_id: str | None = None) -> dict[str, Any]:
    """What this creator's switches did, newest first."""
    async with web.pool.acquire() as conn:
        found = await switch.history(conn, creator_id=asker.account_id, style_id=style_id)
    return {"items": [_event(event) for event in found], "next_cursor": None}


async def set_switch(
    web: Gateway,
    asker: Identity,
    level: switch.Level,
    reason: str | None,
    *,
    style_id: str | None = None,
    client_id: str | None = None,
) -> dict[str, Any]:
    """The change as a document, after its commit. Raises Problem."""
    now = web.clock()
    async with web.house() as conn, conn.transaction():
        change = await switch.set_level(
            conn,
            creator_id=asker.account_id,
            style_id=style_id,
            client_id=client_id,
            level=level,
            reason=reason,
            by=asker.account_id,
            now=now,
        )
        if isinstance(change, Refusal):
            raise refused(change)
        await tell_switched(conn, now=now, creator_id=asker.account_id)
        await mark_withdrawn(conn, change.order_ids, now=now)
        if level in ("off", "destroyed") or change.refunded.amount:
            await tell_periods_ended(conn, now=now)
        destroyed = await mark_destroyed(conn, asker.account_id, style_id, now=now) if level == "destroyed" else []
    for one in destroyed:
        await start_emptying(one)
    return {
        "level": change.level,
        "epoch": change.epoch,
        "governing": change.governing,
        "stopped": change.stopped,
        "voided": change.voided,
        "refunded": money(change.refunded),
        "ends_at": change.ends_at,
    }


def _event(event: switch.SwitchEvent) -> dict[str, Any]:
    refunded = event.refunded
    return {
        "style": event.style_id,
        "client": event.client_id,
        "level_before": event.level_before,
        "level": event.level,
        "epoch": event.epoch,
        "reason": event.reason,
        "by": event.by,
        "at": event.at,
        "stopped": event.stopped,
        "voided": event.voided,
        "refunded": money(refunded) if refunded else None,
    }
