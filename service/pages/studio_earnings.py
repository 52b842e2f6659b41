"""A creator's statements: the months, one of them line by line, and the script that adds it up again."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing import docket, statements
from licensing.analytics.months import statement_months
from licensing.database import Connection
from licensing.dues import NOTICE_DAYS
from licensing.money import Money
from licensing.sentence import say
from licensing.statements import Statement
from service.api.dues import ConsentBody, dues_now, put_dues
from service.api.shapes import file_response
from service.errors import Problem
from service.pages.forms import checked, chosen
from service.pages.paging import Number, pages_of
from service.pages.render import is_fragment, page, see_other
from service.pages.visits import CreatorVisit, Member
from service.settings import ROOT
from service.styles import own_among, style_names

router = APIRouter(include_in_schema=False)

SCRIPT = ROOT / "configs" / "recompute_statement.py"
_PER_PAGE = 50
_NEWS = {"news": "_earned_news.html"}


@router.get("/studio/earnings")
async def earnings_page(visit: CreatorVisit, number: Number = 1, seen: int = -1) -> HTMLResponse:
    """The month that runs, and the list of all. The page asks every moment whether there is more than was `seen`, so
    that is answered without adding the month up."""
    if is_fragment(visit.request, "news"):
        newest = await _newest(visit)
        if newest == seen:
            return page(visit, _NEWS["news"], follows=True, newest=newest, has_news=False)
    return await _show(visit, visit.now.strftime("%Y-%m"), number)


@router.get("/studio/earnings/recompute_statement.py")
async def recompute_script(visit: CreatorVisit) -> Response:
    """The script that adds a statement's CSV up again, to be kept."""
    return file_response(SCRIPT.read_bytes(), "text/x-python", SCRIPT.name)


@router.post("/studio/earnings/dues")
async def say_about_dues(visit: CreatorVisit) -> Response:
    """What is owed may be taken from earnings, or may not."""
    try:
        said = chosen(await visit.field("from_earnings"), ("yes", "no"))
        await put_dues(visit.web, visit.identity, checked(ConsentBody, from_earnings=said == "yes"))
    except Problem as problem:
        return await _show(visit, visit.now.strftime("%Y-%m"), 1, problem)
    return see_other("/studio/earnings?done=dues")


@router.get("/studio/earnings/{month}")
async def statement_page(visit: CreatorVisit, month: str, number: Number = 1) -> HTMLResponse:
    """One month."""
    return await _show(visit, month, number)


async def _show(visit: Member, month: str, number: int, problem: Problem | None = None) -> HTMLResponse:
    creator_id, currency = visit.account.id, visit.web.prices.currency
    # Before the lines: what comes in between is news once more, and never missed.
    newest = await _newest(visit)
    async with visit.web.pool.acquire() as conn:
        try:
            found = await _part(conn, number, creator_id=creator_id, month=month, currency=currency)
        except ValueError as error:
            raise Problem(
                "invalid_request", say("{month!r} is no month; write it like 2026-03.", month=month)
            ) from error
        months = dict(await statement_months(conn, creator_id=creator_id, now=visit.now, currency=currency))
        style_ids = {line.style_id for line in found.lines}
        names = await style_names(conn, style_ids)
        own = await own_among(conn, style_ids, creator_id=creator_id)
        disputes = await docket.newest_about(conn, {line.output_id for line in found.lines if line.output_id})
    num_pages = pages_of(found.num_lines, at_once=_PER_PAGE)
    number = min(number, num_pages)
    this_month = visit.now.strftime("%Y-%m")
    months.setdefault(this_month, Money(0, currency))
    return page(
        visit,
        "studio_earnings.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        fragments=_NEWS,
        follows=found.month == this_month and number == 1,
        newest=newest,
        has_news=True,
        dues=await dues_now(visit.web, creator_id),
        notice_days=NOTICE_DAYS,
        seller=visit.web.taxes.seller,
        done=visit.request.query_params.get("done", ""),
        found=found,
        months=sorted(months.items(), reverse=True),
        is_running=found.month == this_month,
        page_number=number,
        num_pages=num_pages,
        first=(number - 1) * _PER_PAGE + 1,
        style_names=names,
        own=own,
        disputes=disputes,
    )


async def _part(conn: Connection, number: int, **of: str) -> Statement:
    """A month's sums with the lines of a page, or of its last one where there are not so many."""
    found = await statements.statement(conn, first=(number - 1) * _PER_PAGE + 1, at_most=_PER_PAGE, **of)
    last = pages_of(found.num_lines, at_once=_PER_PAGE)
    return found if number <= last else await _part(conn, last, **of)


async def _newest(visit: Member) -> int:
    async with visit.web.pool.acquire() as conn:
        return await statements.newest(conn, creator_id=visit.account.id, currency=visit.web.prices.currency)
