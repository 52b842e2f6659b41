"""A creator's switch is set: in one commit with what it means for orders, clients and paid periods."""

import time

from licensing import switch
from licensing.errors import Refusal
from service import stops
from service.destruction import mark_destroyed, start_emptying
from service.errors import refused
from service.orders import mark_withdrawn
from service.outbox import tell_periods_ended, tell_switched
from service.resources import Gateway
from service.telling.of_licences import tell_licensees


async def change_switch(
    web: Gateway,
    level: switch.Level,
    reason: str | None,
    *,
    creator_id: str,
    style_id: str | None = None,
    client_id: str | None = None,
) -> switch.SwitchChange:
    """Set the switch of a creator: over all styles, over one, or over one for a client. What is destroyed begins to be
    deleted. Raises Problem."""
    now, began_s = web.clock(), time.monotonic()
    async with web.house() as conn, conn.transaction():
        change = await switch.set_level(
            conn,
            creator_id=creator_id,
            style_id=style_id,
            client_id=client_id,
            level=level,
            reason=reason,
            by=creator_id,
            now=now,
        )
        if isinstance(change, Refusal):
            raise refused(change)
        await tell_switched(conn, now=now, creator_id=creator_id)
        await tell_licensees(conn, now=now, creator_id=creator_id)
        await mark_withdrawn(conn, change.order_ids, now=now)
        if level in ("off", "destroyed") or change.refunded.amount:
            await tell_periods_ended(conn, now=now)
        destroyed = await mark_destroyed(conn, creator_id, style_id, now=now) if level == "destroyed" else []
    if level in ("off", "destroyed"):
        async with web.house() as conn:
            await stops.note_held(conn, creator_id=creator_id, asked_at=now, took_s=time.monotonic() - began_s)
    for one in destroyed:
        await start_emptying(one)
    return change
