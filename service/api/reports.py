"""Monthly reports for anybody: figures, and the same signed, to be kept and checked offline."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licensing.sentence import say
from service.api.public_documents import AN_HOUR, shared_for
from service.auth import Web
from service.errors import Problem
from service.reports import Report, find_report, list_months
from service.resources import Gateway

router = APIRouter(prefix="/reports", tags=["reports"])


@router.get("")
async def get_reports(web: Web, response: Response) -> dict[str, Any]:
    """The months that have a report, the newest first."""
    async with web.pool.acquire() as conn:
        months = await list_months(conn)
    response.headers.update(shared_for(AN_HOUR))
    return {"items": [{"month": month, "url": f"/v1/reports/{month}"} for month in months], "next_cursor": None}


@router.get("/{month}")
async def get_report(web: Web, month: str, response: Response) -> dict[str, Any]:
    """A month's report, as it was published and never changed since. A figure has a `value` (money in minor units of
    `currency`), or says why not as `withheld`: `few_accounts` where fewer than `k` stand behind it. `document` is all
    of it as a JWS; its keys are at `/.well-known/jwks.json`."""
    found = await require_report(web, month)
    response.headers.update(shared_for(AN_HOUR))
    return {"month": found.month, "published_at": found.published_at, **found.figures, "document": found.document}


async def require_report(web: Gateway, month: str) -> Report:
    """The report of a month. Raises Problem."""
    async with web.pool.acquire() as conn:
        found = await find_report(conn, month)
    if found is None:
        raise Problem(
            "not_found",
            say(
                "There is no report {month!r} here; one is published when its month is over. /v1/reports lists them.",
                month=month,
            ),
        )
    return found
