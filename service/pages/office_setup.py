"""First-run set-up: what this place is and how each of it is changed, its bases, and the self test."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from inference.catalog import list_bases
from service import self_tests
from service.bases import shelved
from service.errors import Problem
from service.heartbeats import list_executors, num_workers
from service.pages import words
from service.pages.forms import chosen
from service.pages.render import page, see_other
from service.pages.visits import Member, OperatorVisit
from service.place_facts import facts
from service.self_testing import start_self_test

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"self-test": "_self_test.html"}


@router.get("/office/setup")
async def setup_page(visit: OperatorVisit) -> HTMLResponse:
    """All of it; the part of the self test alone where htmx asks for it."""
    return await _show(visit)


@router.post("/office/setup/self-test")
async def begin_self_test(visit: OperatorVisit) -> Response:
    """Ask a worker for a self test; where one is under way, that one goes on."""
    folder = visit.web.settings.configs / "bases"
    try:
        base = chosen(await visit.field("base"), [spec.id for spec in list_bases(folder=folder)])
    except Problem as problem:
        return await _show(visit, problem)
    async with visit.web.house() as conn, conn.transaction():
        test, _ = await self_tests.ask_for_one(conn, base=base, now=visit.now, new_id=visit.web.new_id)
    # After its commit, for a worker may be quick; where this process dies here, it is asked for again from the page.
    await start_self_test(test)
    return see_other("/office/setup#self-test")


async def _show(visit: Member, problem: Problem | None = None) -> HTMLResponse:
    settings = visit.web.settings
    async with visit.web.house() as conn:
        executors = await list_executors(conn)
        values = {
            "test": await self_tests.last_self_test(conn),
            "passed": await self_tests.last_self_test(conn, only_passed=True),
            "workers": await num_workers(conn, now=visit.now, silence_s=settings.executor_silence_s),
            "bases": await shelved(conn, settings, executors, styles_shown=0),
        }
    return page(
        visit,
        "office_setup.html",
        fragments=_FRAGMENTS,
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        facts=facts(visit.web),
        default_base=settings.default_base,
        steps=words.SELF_TEST_STEPS,
        **values,
    )
