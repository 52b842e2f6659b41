"""Orders end, without a charge, whose starting point is gone."""

from service.generation import void_order
from service.orders import IS_OPEN, START_GONE
from service.resources import Gateway
from service.works import IS_START

_WITHOUT_START = (
    f"SELECT g.id FROM service.generations g WHERE g.{IS_OPEN} AND g.request ->> 'start' IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM service.works WHERE works.id = g.request ->> 'start'"
    f" AND works.style_id = g.style_id AND {IS_START}) ORDER BY g.id"
)


async def end_orders_without_start(web: Gateway) -> None:
    """Called when a work may have ceased to be a starting point, after that is committed: an order that comes later
    finds it gone, one that was accepted before is found here. Whoever draws or seals one looks as well."""
    async with web.house() as conn:
        rows = await conn.fetch(_WITHOUT_START)
    for row in rows:
        await void_order(web, row["id"], reason="withdrawn", message=START_GONE)
