"""One bank statement in the office: what its lines would do, confirmed or dropped, and what they did."""

from collections import Counter

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from service.accounts import accounts_by_id
from service.api.bank_statements import confirm_statement, delete_statement, own_statement
from service.bank_statements import lines_of
from service.errors import Problem
from service.languages import translate
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)


@router.get("/office/statements/{statement_id}")
async def statement_page(visit: OperatorVisit, statement_id: str) -> HTMLResponse:
    """All its lines."""
    return await _show(visit, statement_id)


@router.post("/office/statements/{statement_id}/confirm")
async def confirm(visit: OperatorVisit, statement_id: str) -> Response:
    """Book what its lines say."""
    await confirm_statement(visit.web, visit.identity, statement_id)
    return see_other(f"/office/statements/{statement_id}?done=booked")


@router.post("/office/statements/{statement_id}/drop")
async def drop(visit: OperatorVisit, statement_id: str) -> Response:
    """Forget it: it was the wrong file."""
    try:
        await delete_statement(visit.web, visit.identity, statement_id)
    except Problem as problem:
        return await _show(visit, statement_id, problem)
    return see_other("/office/payments?done=dropped")


async def _show(visit: Member, statement_id: str, problem: Problem | None = None) -> HTMLResponse:
    statement = await own_statement(visit.web, statement_id)
    async with visit.web.house() as conn:
        lines = await lines_of(conn, statement)
        parties = {one.party for one in lines if one.party}
        people = await accounts_by_id(conn, {*parties, statement.uploaded_by, statement.booked_by or ""})
    return page(
        visit,
        "office_statement.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        statement=statement,
        lines=lines,
        translate=translate,
        counts=Counter(one.does for one in lines),
        people=people,
        done=visit.request.query_params.get("done", ""),
    )
