"""How fast the switch is here, for anybody: what was measured, not what is promised."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service import stops
from service.pages.render import page
from service.pages.visits import Visitor

router = APIRouter(include_in_schema=False)


@router.get("/switch")
async def switch_page(visit: Visitor) -> HTMLResponse:
    """What `off` took in the last days."""
    async with visit.web.pool.acquire() as conn:
        found = await stops.measured(conn, now=visit.now)
    return page(visit, "switch.html", measured=found, days=stops.DAYS)
