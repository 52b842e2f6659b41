"""The monthly report as a page for anybody."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.api.reports import require_report
from service.languages import translate
from service.pages.render import page
from service.pages.visits import Visit, Visitor
from service.pages.words import REPORT, REPORT_USES
from service.reports import Report, list_months, span_of

router = APIRouter(include_in_schema=False)


@router.get("/report")
async def newest_report(visit: Visitor) -> HTMLResponse:
    """The newest one, or from when on there will be one."""
    async with visit.web.pool.acquire() as conn:
        months = await list_months(conn, limit=1)
    return await _show(visit, await require_report(visit.web, months[0]) if months else None)


@router.get("/report/{month}")
async def report_of(visit: Visitor, month: str) -> HTMLResponse:
    """That of one month."""
    return await _show(visit, await require_report(visit.web, month))


async def _show(visit: Visit, report: Report | None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        months = await list_months(conn)
    _, first = span_of(f"{visit.now:%Y-%m}")
    said = {
        translate(part): [(name, translate(words), unit) for name, words, unit in figures]
        for part, figures in REPORT.items()
    }
    return page(visit, "report.html", report=report, months=months, first=first, said=said, uses=REPORT_USES)
