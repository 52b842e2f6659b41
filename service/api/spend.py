"""`/v1/spend`: what a client was charged, over some days and by what for, and one by one; and what the month will
cost."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from licensing.analytics.forecasts import spend_forecast
from licensing.analytics.spans import today
from licensing.analytics.spent import Day, Part, Spent, spent
from licensing.charges import Charge, charges
from licensing.errors import Refusal
from service.api.shapes import First, Last, Limit, days_asked_for, forecast_document, money, page
from service.auth import ClientReading, Web
from service.errors import refused

router = APIRouter(tags=["spend"])

# An id names what was charged for: in a dispute that is two ids, which is longer than other lists' cursors.
Before = Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before")]


@router.get("/spend")
async def get_spend(web: Web, asker: ClientReading, first: First = None, last: Last = None) -> dict[str, Any]:
    """What was charged over some days in UTC, less what was given back, with its tax apart; by day, style, key and
    tier, each of which sums to `spent`. Without days: this month and the two before it.

    `style` and `tier` are null for plans, `key` for what was bought on a page. `pictures` are those paid with money:
    those of a plan or licence are in its price. `forecast` is of the running month before tax: what is booked, what
    is known to renew, and the mean of the last weeks' same weekdays for the days to come, between its poorest and its
    richest week; null with less than two full weeks behind it.
    """
    days = days_asked_for(first, last, today(web.clock()))
    currency = web.prices.currency
    async with web.pool.acquire() as conn:
        found = await spent(conn, client_id=asker.account_id, days=days, currency=currency)
        forecast = await spend_forecast(conn, client_id=asker.account_id, now=web.clock(), currency=currency)
    return {
        "from": days.first,
        "to": days.last,
        "spent": _sums(found),
        "by_day": [{"day": one.day, **_sums(one)} for one in found.by_day],
        "by_style": [{"style": one.of, **_sums(one)} for one in found.by_style],
        "by_key": [{"key": one.of, **_sums(one)} for one in found.by_key],
        "by_tier": [{"tier": one.of, **_sums(one)} for one in found.by_tier],
        "forecast": forecast_document(forecast),
    }


@router.get("/spend/charges")
async def get_charges(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Before = None) -> dict[str, Any]:
    """What was charged and given back, one by one, the newest first. `kind` says what it was for and `subject` which:
    a `sale`'s order, the period of a `plan` or `licence` (`plan_end`, `licence_end`: what was left of it), the output
    of a `refund`, the invoice of a `tax_rounding`, what a dispute changed (`adjustment`, and `adjustment_undone`).
    Those of some days sum to what `GET /v1/spend` says of them."""
    async with web.pool.acquire() as conn:
        found = await charges(
            conn, client_id=asker.account_id, limit=limit + 1, before=cursor, currency=web.prices.currency
        )
    if isinstance(found, Refusal):
        raise refused(found)
    return page(found, limit, _charge)


def _charge(one: Charge) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": one.at,
        "kind": one.kind,
        "subject": one.subject,
        "style": one.style_id,
        "key": one.key_id,
        "tier": one.tier,
        "pictures": one.pictures,
        "net": money(one.net),
        "tax": money(one.tax),
    }


def _sums(one: Spent | Day | Part) -> dict[str, Any]:
    return {"pictures": one.pictures, "net": money(one.net), "tax": money(one.tax)}
