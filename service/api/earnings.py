"""What a creator earned: the sums now, over some days and by what, and each month line by line."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from licensing import statements
from licensing.analytics.earned import Day, Earned, Part, earned
from licensing.analytics.erosion import ALERT_PERCENT, PriceWatch, price_watch
from licensing.analytics.forecasts import earnings_forecast
from licensing.analytics.spans import today
from licensing.analytics.totals import earnings
from licensing.money import Money
from licensing.sentence import say
from licensing.statements import Statement
from service.accounts import account_by_id
from service.api.shapes import (
    First,
    Last,
    bytes_of,
    days_asked_for,
    file_response,
    forecast_document,
    form_asked_for,
    money,
)
from service.auth import CreatorReading, Web
from service.errors import Problem
from service.resources import Gateway
from service.styles import style_names

router = APIRouter(tags=["earnings"])

_SUMS = ("gross", "tax", "fee", "others", "compute", "total", "opening", "closing")


Percent = Annotated[int, Query(ge=1, le=99, description="A price that falls by more than this is told")]


@router.get("/earnings")
async def get_earnings(
    web: Web, asker: CreatorReading, first: First = None, last: Last = None, erosion_percent: Percent = ALERT_PERCENT
) -> dict[str, Any]:
    """What is payable, this month's part of it, and which style earned it: since the beginning.

    `range`, `by_day`, `by_tier` and `by_client` are of some days in UTC; without days, of this month and the two
    before it. `by_client` is of whole months that are over and in which at least ten clients bought; else it is null,
    and `by_client_why` says so. `forecast` is of the running month: what is booked, and the mean of the last weeks'
    same weekdays for the days to come, between the poorest and the richest of those weeks; null with less than two
    full weeks behind it. `erosion` is the median price of a picture, before tax, on the last 90 days and on the 90
    before.
    """
    now, currency = web.clock(), web.prices.currency
    days = days_asked_for(first, last, today(now))
    who: dict[str, Any] = {"creator_id": asker.account_id, "now": now, "currency": currency}
    async with web.pool.acquire() as conn:
        found = await earnings(conn, **who)
        over_days = await earned(conn, days=days, **who)
        forecast = await earnings_forecast(conn, **who)
        prices = await price_watch(conn, percent=erosion_percent, **who)
    return {
        "payable": money(found.payable),
        "month": money(found.month),
        "pictures": found.pictures,
        "by_style": [
            {"style": one.style_id, "pictures": one.pictures, "share": money(one.share)} for one in found.by_style
        ],
        **_over_days(over_days),
        "forecast": forecast_document(forecast),
        "erosion": _erosion(prices),
    }


@router.get(
    "/statements/{month}",
    response_class=Response,
    responses=bytes_of("application/json", "text/csv", "application/pdf"),
)
async def get_statement(web: Web, asker: CreatorReading, month: str, request: Request) -> Response:
    """A month like 2026-03: every line names its output and certificate, and the lines sum to the total. `dues` is what
    is owed beside that for a flat sum a month: closing = opening + lines.

    CSV with `Accept: text/csv` or `?format=csv`, PDF likewise. `configs/recompute_statement.py` adds the CSV up again.
    """
    try:
        async with web.pool.acquire() as conn:
            found = await statements.statement(
                conn, creator_id=asker.account_id, month=month, currency=web.prices.currency
            )
    except ValueError as error:
        raise Problem("invalid_request", say("{month!r} is no month; write it like 2026-03.", month=month)) from error
    form = form_asked_for(request, ("json", "csv", "pdf"))
    if form == "json":
        return JSONResponse(statement_document(found))
    async with web.house() as conn:
        creator = await account_by_id(conn, asker.account_id)
        names = await style_names(conn, {line.style_id for line in found.lines})
    assert creator is not None, "whoever asks has an account"
    return await asyncio.to_thread(_paper, web, found, form, creator.name, names)


def _over_days(found: Earned) -> dict[str, Any]:
    told = found.by_client
    by_client = told and {"months": told.months, "clients": [{"client": one.of, **_sums(one)} for one in told.clients]}
    return {
        "range": {
            "from": found.span.first,
            "to": found.span.last,
            **_sums(found),
            "by_style": [{"style": one.of, **_sums(one)} for one in found.by_style],
        },
        "by_day": [{"day": one.day, **_sums(one)} for one in found.by_day],
        "by_tier": [{"tier": one.of, **_sums(one)} for one in found.by_tier],
        "by_client": by_client,
        "by_client_why": found.why,
    }


def _sums(one: Earned | Day | Part) -> dict[str, Any]:
    return {"pictures": one.pictures, "share": money(one.share)}


def _erosion(found: PriceWatch) -> dict[str, Any]:
    return {
        "on": found.on,
        "percent": found.percent,
        "alert": found.is_alert,
        "tiers": [
            {
                "tier": one.tier,
                "before": _price(one.before),
                "after": _price(one.after),
                "pictures_before": one.pictures_before,
                "pictures_after": one.pictures_after,
                "fell": one.has_fallen,
            }
            for one in found.tiers
        ],
    }


def _price(value: Money | None) -> dict[str, Any] | None:
    return money(value) if value else None


def _paper(web: Gateway, found: Statement, form: str, creator: str, names: Mapping[str, str]) -> Response:
    # What draws papers takes half a second to load, which a web process that starts does not wait for.
    from licensing.papers.statement_pdf import statement_pdf
    from licensing.papers.tables import statement_csv, statement_name

    if form == "csv":
        return file_response(statement_csv(found), "text/csv", statement_name(found))
    house, today = web.settings.operator_name, web.clock().date()
    written = statement_pdf(found, creator=creator, house=house, style_names=names, on=today)
    return file_response(written, "application/pdf", f"statement-{found.month}.pdf")


def statement_document(found: Statement) -> dict[str, Any]:
    """A month's statement as programs read it."""
    return {
        "month": found.month,
        "lines": [_line(line) for line in found.lines],
        "movements": [
            {"kind": one.kind, "at": one.at.isoformat(), "subject": one.subject, "amount": money(one.amount)}
            for one in found.movements
        ],
        "dues": {
            "opening": money(found.dues.opening),
            "lines": [
                {"kind": one.kind, "at": one.at.isoformat(), "subject": one.subject, "amount": money(one.amount)}
                for one in found.dues.lines
            ],
            "closing": money(found.dues.closing),
        },
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
