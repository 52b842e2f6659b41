"""The creator's switch: one style, all of them, or one client of a style. Answers when the fence holds."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints

from licensing import switch
from service import stops
from service.accounts import account_by_id
from service.api.shapes import Cursor, Limit, money, page
from service.auth import Creator, CreatorReading, Identity, Web
from service.errors import Problem, not_found
from service.resources import Gateway
from service.switching import change_switch

router = APIRouter(tags=["switch"])

_DIGITS_MAX = 19


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
async def get_history(
    web: Web, asker: CreatorReading, style_id: str | None = None, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """What this creator's switches did, newest first."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < _DIGITS_MAX):
        raise Problem("invalid_request", f"{cursor!r} is no cursor; take `next_cursor` as it came.")
    before = int(cursor) if cursor is not None else None
    async with web.pool.acquire() as conn:
        found = await switch.history(
            conn, creator_id=asker.account_id, style_id=style_id, limit=limit + 1, before=before
        )
    return page(found, limit, _event)


@router.get("/switch/latency")
async def get_latency(web: Web) -> dict[str, Any]:
    """For anybody: how long it took here, in the last `days` days, from when a creator asked for `off` until nothing
    more was sold (`fence`), and until a worker that was drawing had stopped (`workers`). Null where there is no data
    yet."""
    async with web.pool.acquire() as conn:
        found = await stops.measured(conn, now=web.clock())
    return {"days": stops.DAYS, "fence": _measured(found.get("fence")), "workers": _measured(found.get("workers"))}


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
    change = await change_switch(
        web, level, reason, creator_id=asker.account_id, style_id=style_id, client_id=client_id
    )
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
        "id": str(event.event_no),
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


def _measured(found: stops.Measured | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "count": found.count,
        "p50_ms": round(found.p50_ms, 1),
        "p99_ms": round(found.p99_ms, 1),
        "worst_ms": round(found.worst_ms, 1),
    }
