"""What a client is told of styles that wind down: until when, what is left, what comes back, and what else there is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from licensing import plans, switch
from licensing.database import Connection
from licensing.money import Money
from service.appearances import styles_like
from service.catalogue import Sought, find_styles, published_style
from service.errors import Problem
from service.orders import styles_ordered
from service.pages.shelf import Book, books_of
from service.pages.visits import Member

OTHERS = 3
"""Styles that are shown instead."""
_USED_LATELY = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A style that winds down, as one of its clients sees it. `left` are pictures of licences that run, None without
    one; `back` is what would come back at the end if none of them were used."""

    style_id: str
    style_name: str
    ends_at: datetime
    reason: str | None
    left: int | None
    back: Money | None
    others: list[Book]


async def endings(visit: Member, usage: plans.Usage) -> list[Ending]:
    """The styles that wind down among those that the client has a licence of, or ordered lately; the soonest first."""
    licences = [one for one in usage.allowances if one.kind == "licence" and one.style_id]
    async with visit.web.pool.acquire() as conn:
        since = visit.now - _USED_LATELY
        lately = await styles_ordered(conn, client_id=visit.account.id, since=since, with_tests=False)
        style_ids = sorted({*lately, *(one.style_id for one in licences if one.style_id)})
        states = await switch.winding_down(conn, style_ids=style_ids, client_id=visit.account.id, now=visit.now)
    ending = sorted((state.ends_at, style_id) for style_id, state in states.items() if state.ends_at)
    found = [
        await _ending(visit, style_id, states[style_id], ends_at, [one for one in licences if one.style_id == style_id])
        for ends_at, style_id in ending
    ]
    return [one for one in found if one is not None]


async def _ending(
    visit: Member, style_id: str, state: switch.SwitchState, ends_at: datetime, licences: list[plans.Allowance]
) -> Ending | None:
    alike = await styles_like(visit.web, style_id)
    async with visit.web.pool.acquire() as conn:
        try:
            style = await published_style(conn, style_id)
        except Problem:
            # Taken off sale meanwhile: there is nothing left to wind down.
            return None
        sought = Sought(on_sale=True)
        listed = await find_styles(conn, sought, now=visit.now, limit=OTHERS, nearest=alike)
        return Ending(
            style_id=style_id,
            style_name=style.name,
            ends_at=ends_at,
            reason=state.reason,
            left=sum(one.left for one in licences) if licences else None,
            back=await _back(conn, licences, ends_at),
            others=await books_of(conn, visit, listed),
        )


async def _back(conn: Connection, licences: list[plans.Allowance], ends_at: datetime) -> Money | None:
    """What licences give back at that moment, as they were used until now; None where none of them runs so long."""
    back = [await plans.back_for(conn, one.id, now=ends_at) for one in licences if one.ends_at > ends_at]
    return sum(back[1:], back[0]) if back else None
