"""What a creator earned: the sums now, and each month line by line."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from licensing import statements
from licensing.statements import Statement
from service.accounts import account_by_id
from service.api.shapes import bytes_of, file_response, form_asked_for, money
from service.auth import CreatorReading, Web
from service.errors import Problem
from service.resources import Gateway
from service.styles import style_names

router = APIRouter(tags=["earnings"])

_SUMS = ("gross", "tax", "fee", "others", "compute", "total", "opening", "closing")


@router.get("/earnings")
async def get_earnings(web: Web, asker: CreatorReading) -> dict[str, Any]:
    """What is payable, this month's part of it, and which style earned it."""
    async with web.pool.acquire() as conn:
        found = await statements.earnings(
            conn, creator_id=asker.account_id, now=web.clock(), currency=web.prices.currency
        )
    return {
        "payable": money(found.payable),
        "month": money(found.month),
        "pictures": found.pictures,
        "by_style": [
            {"style": one.style_id, "pictures": one.pictures, "share": money(one.share)} for one in found.by_style
        ],
    }


@router.get(
    "/statements/{month}",
    response_class=Response,
    responses=bytes_of("application/json", "text/csv", "application/pdf"),
)
async def get_statement(web: Web, asker: CreatorReading, month: str, request: Request) -> Response:
    """A month like 2026-03: every line names its output and certificate, and the lines sum to the total.

    CSV with `Accept: text/csv` or `?format=csv`, PDF likewise. `configs/recompute_statement.py` adds the CSV up again.
    """
    try:
        async with web.pool.acquire() as conn:
            found = await statements.statement(
                conn, creator_id=asker.account_id, month=month, currency=web.prices.currency
            )
    except ValueError as error:
        raise Problem("invalid_request", f"{month!r} is no month; write it like 2026-03.") from error
    form = form_asked_for(request, ("json", "csv", "pdf"))
    if form == "json":
        return JSONResponse(_document(found))
    async with web.house() as conn:
        creator = await account_by_id(conn, asker.account_id)
        names = await style_names(conn, {line.style_id for line in found.lines})
    assert creator is not None, "whoever asks has an account"
    return await asyncio.to_thread(_paper, web, found, form, creator.name, names)


def _paper(web: Gateway, found: Statement, form: str, creator: str, names: Mapping[str, str]) -> Response:
    # What draws papers takes half a second to load, which a web process that starts does not wait for.
    from licensing.papers.statement_pdf import statement_pdf
    from licensing.papers.tables import statement_csv, statement_name

    if form == "csv":
        return file_response(statement_csv(found), "text/csv", statement_name(found))
    house, today = web.settings.operator_name, web.clock().date()
    written = statement_pdf(found, creator=creator, house=house, style_names=names, on=today)
    return file_response(written, "application/pdf", f"statement-{found.month}.pdf")


def _document(found: Statement) -> dict[str, Any]:
    return {
        "month": found.month,
        "lines": [_line(line) for line in found.lines],
        "movements": [
            {"kind": one.kind, "at": one.at.isoformat(), "subject": one.subject, "amount": money(one.amount)}
            for one in found.movements
        ],
        **{name: money(getattr(found, name)) for name in _SUMS},
    }


def _line(line: statements.Line) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "at": line.at.isoformat(),
        "style": line.style_id,
        "tier": line.tier,
        "order": line.order_id,
        "output": line.output_id,
        "certificate": f"/v1/outputs/{line.output_id}/certificate" if line.output_id else None,
        **{name: money(getattr(line, name)) for name in ("price", "tax", "fee", "others", "share")},
    }
