"""Checking a picture: anybody uploads a file and reads what it proves."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from licensing.verify import Verdict
from service.api.verify import judge
from service.errors import Problem
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
    file = (await visit.form()).get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    try:
        return _show(visit, verdict=await judge(visit.web, content))
    except Problem as problem:
        return _show(visit, problem=problem)


def _show(visit: Visit, *, verdict: Verdict | None = None, problem: Problem | None = None) -> HTMLResponse:
    return page(
        visit,
        "verify.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        verdict=verdict,
    )
