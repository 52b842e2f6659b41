"""Payouts in the office: what waits for the bank, files for it, and what came back."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from licensing import payouts
from licensing.payouts import Payout
from service.accounts import accounts_by_id
from service.api.payouts import (
    ReasonBody,
    ReferenceBody,
    confirm_run,
    fail_payout,
    get_run_file,
    post_run,
)
from service.errors import Problem, not_found
from service.pages.forms import checked
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_PER_PAGE = 20
_WAITING_MOST = 500


@router.get("/office/payouts")
async def payouts_page(visit: OperatorVisit, before: str | None = None) -> HTMLResponse:
    """What waits, and files by pages."""
    return await _show(visit, before=before)


@router.post("/office/payouts/runs")
async def make_run(visit: OperatorVisit) -> Response:
    """Gather what waits into a file for the bank."""
    try:
        made = await post_run(visit.web, visit.identity)
    except Problem as problem:
        return await _show(visit, problem=problem)
    return see_other(f"/office/payouts/runs/{made['id']}")


@router.get("/office/payouts/runs/{run_id}")
async def run_page(visit: OperatorVisit, run_id: str) -> HTMLResponse:
    """One file with its payouts."""
    return await _show_run(visit, run_id)


@router.get("/office/payouts/runs/{run_id}/file")
async def run_file(visit: OperatorVisit, run_id: str, request: Request) -> Response:
    """The file itself, by `?format=`."""
    try:
        return await get_run_file(visit.web, visit.identity, run_id, request)
    except Problem as problem:
        return await _show_run(visit, run_id, problem=problem)


@router.post("/office/payouts/runs/{run_id}/confirm")
async def confirm(visit: OperatorVisit, run_id: str) -> Response:
    """The bank carried it out."""
    try:
        body = checked(ReferenceBody, reference=await visit.field("reference"))
        await confirm_run(visit.web, visit.identity, run_id, body)
    except Problem as problem:
        return await _show_run(visit, run_id, problem=problem)
    return see_other(f"/office/payouts/runs/{run_id}?done=confirmed")


@router.post("/office/payouts/{any_payout_id}/fail")
async def fail(visit: OperatorVisit, any_payout_id: str) -> Response:
    """A transfer did not arrive, or came back."""
    async with visit.web.house() as conn:
        found = await payouts.find_payout(conn, any_payout_id)
    if found is None:
        raise not_found("payout", any_payout_id)
    try:
        body = checked(ReasonBody, reason=await visit.field("reason"))
        await fail_payout(visit.web, visit.identity, any_payout_id, body)
    except Problem as problem:
        return await (_show_run(visit, found.run_id, problem) if found.run_id else _show(visit, problem=problem))
    return see_other(f"/office/payouts/runs/{found.run_id}" if found.run_id else "/office/payouts?done=failed")


async def _show(visit: Member, *, before: str | None = None, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.house() as conn:
        opened = await payouts.open_payouts(conn, limit=_WAITING_MOST)
        runs = await payouts.runs(conn, limit=_PER_PAGE + 1, before=before)
        waiting = [one for one in opened if one.run_id is None]
        people = await accounts_by_id(conn, {one.creator_id for one in waiting})
    return page(
        visit,
        "office_payouts.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        waiting=waiting,
        can_gather=any(one.method == "manual" for one in waiting),
        runs=runs[:_PER_PAGE],
        older=runs[_PER_PAGE - 1].id if len(runs) > _PER_PAGE else "",
        people=people,
        done=visit.request.query_params.get("done", ""),
    )


async def _show_run(visit: Member, run_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.house() as conn:
        found: list[Payout] = await payouts.payouts_of_run(conn, run_id)
        people = await accounts_by_id(conn, {one.creator_id for one in found})
    if not found:
        raise not_found("run of payouts", run_id)
    return page(
        visit,
        "office_run.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        run_id=run_id,
        payouts=found,
        is_open=any(one.state == "open" for one in found),
        people=people,
        done=visit.request.query_params.get("done", ""),
    )
