"""Bases in the office: each with its licence, whether what it makes may be sold, and the styles over it."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.bases import shelved
from service.heartbeats import list_executors
from service.pages.render import page
from service.pages.visits import OperatorVisit

router = APIRouter(include_in_schema=False)

_STYLES_SHOWN = 12


@router.get("/office/bases")
async def bases_page(visit: OperatorVisit) -> HTMLResponse:
    """Every base of configs/bases."""
    async with visit.web.house() as conn:
        executors = await list_executors(conn)
        bases = await shelved(conn, visit.web.settings, executors, styles_shown=_STYLES_SHOWN)
    return page(visit, "office_bases.html", bases=bases, default_base=visit.web.settings.default_base)
