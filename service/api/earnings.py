"""What a creator earned: the sums now, and each month line by line."""

import csv
import io
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from licensing import statements
from service.api.shapes import bytes_of, money
from service.auth import CreatorReading, Web
from service.errors import Problem

router = APIRouter(tags=["earnings"])

_CSV_COLUMNS = ("at", "kind", "style", "tier", "order", "output", "certificate", "price", "fee", "share", "currency")


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


@router.get("/statements/{month}", response_class=Response, responses=bytes_of("application/json", "text/csv"))
async def get_statement(web: Web, asker: CreatorReading, month: str, request: Request) -> Response:
    """A month like 2026-03: every line names its output and certificate, and the lines sum to the total.

    CSV with `Accept: text/csv` or `?format=csv`.
    """
    try:
        async with web.pool.acquire() as conn:
            found = await statements.statement(
                conn, creator_id=asker.account_id, month=month, currency=web.prices.currency
            )
    except ValueError as error:
        raise Problem("invalid_request", f"{month!r} is no month; write it like 2026-03.") from error
    wants_csv = request.query_params.get("format") == "csv" or "text/csv" in request.headers.get("accept", "")
    if wants_csv:
        name = f'attachment; filename="statement-{found.month}.csv"'
        return Response(_csv(found), media_type="text/csv", headers={"Content-Disposition": name})
    document = {
        "month": found.month,
        "lines": [_line(line) for line in found.lines],
        "gross": money(found.gross),
        "fee": money(found.fee),
        "total": money(found.total),
    }
    return JSONResponse(document)


def _line(line: statements.Line) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "at": line.at.isoformat(),
        "style": line.style_id,
        "tier": line.tier,
        "order": line.order_id,
        "output": line.output_id,
        "certificate": f"/v1/outputs/{line.output_id}/certificate" if line.output_id else None,
        "price": money(line.price),
        "fee": money(line.fee),
        "share": money(line.share),
    }


def _csv(found: statements.Statement) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_CSV_COLUMNS)
    for line in found.lines:
        writer.writerow(
            [
                *(line.at.isoformat(), line.kind, line.style_id, line.tier, line.order_id or "", line.output_id or ""),
                f"/v1/outputs/{line.output_id}/certificate" if line.output_id else "",
                *(line.price.amount, line.fee.amount, line.share.amount, line.share.currency),
            ]
        )
    return file.getvalue()
