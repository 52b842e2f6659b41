"""Machines in the office: the line, workers, trainings, failures, what is held for long, the ledger's rules."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing.audits import last_audit
from licensing.ledger import RULES
from service import overview
from service.clocks import AGREES_S
from service.heartbeats import list_executors
from service.languages import translate
from service.pages.render import page
from service.pages.visits import OperatorVisit

router = APIRouter(include_in_schema=False)

_FRAGMENTS = {"machines": "_machines.html"}


@router.get("/office/machines")
async def machines_page(visit: OperatorVisit) -> HTMLResponse:
    """How it stands now; htmx asks for the moving part every few seconds."""
    silence = timedelta(seconds=visit.web.settings.executor_silence_s)
    async with visit.web.house() as conn:
        executors, audit = await list_executors(conn), await last_audit(conn)
        values: dict[str, Any] = {
            "queue": await overview.read_queue(conn, visit.web),
            "trainings": await overview.trainings_under_way(conn),
            "failures": await overview.failures(conn, now=visit.now),
            "held": await overview.long_held(conn, now=visit.now),
            "audit": audit,
        }
    broken = [problem.rule for problem in audit.problems] if audit else []
    return page(
        visit,
        "office_machines.html",
        fragments=_FRAGMENTS,
        workers=[one for one in executors if one.role != "web"],
        others=[one for one in executors if one.role == "web"],
        living_since=visit.now - silence,
        clocks_agree_s=AGREES_S,
        rules=[(translate(rule), broken.count(rule)) for rule in (*RULES, *sorted(set(broken) - set(RULES)))],
        translate=translate,
        failures_shown=overview.FAILURES_SHOWN,
        **values,
    )
