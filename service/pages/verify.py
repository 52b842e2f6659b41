"""Checking a picture: anybody uploads a file and reads what it proves."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from licensing.money import Money
from service.api.verify import judge
from service.auth import identity_of
from service.errors import Problem
from service.limits import count_check
from service.pages.render import page
from service.pages.visits import Visit, Visitor

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"verdict": "_verdict.html"}


@router.get("/verify")
async def verify_page(visit: Visitor) -> HTMLResponse:
    """The form."""
    return _show(visit)


@router.post("/verify")
async def verify(visit: Visitor) -> HTMLResponse:
    """The verdict. Nothing is stored, so there is nowhere to send the browser on to."""
    asker = identity_of(visit.session) if visit.session else None
    count_check(visit.request, asker.account_id if asker else None)
    try:
        file = (await visit.form()).get("file")
        content = await file.read() if isinstance(file, UploadFile) else b""
        return _show(visit, verdict=await judge(visit.web, content, asker))
    except Problem as problem:
        return _show(visit, problem=problem)


def _show(visit: Visit, *, verdict: dict[str, Any] | None = None, problem: Problem | None = None) -> HTMLResponse:
    paper = (verdict or {}).get("certificate") or {}
    return page(
        visit,
        "verify.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        verdict=verdict,
        amount=Money(**paper["amount"]) if "amount" in paper else None,
    )
