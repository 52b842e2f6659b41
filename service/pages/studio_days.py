"""What a creator earns, as charts: by day and style, how the month may end, and whether prices fall."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing.analytics.earned import Earned, earned
from licensing.analytics.erosion import PriceWatch, price_watch
from licensing.analytics.forecasts import earnings_forecast
from licensing.analytics.spans import today
from licensing.database import Connection
from licensing.money import Money
from service.api.shapes import days_asked_for
from service.errors import Problem
from service.languages import gettext
from service.pages.day_charts import PartSum, by_day, by_part, days_of, foreseen
from service.pages.render import page
from service.pages.visits import CreatorVisit, Member
from service.styles import own_among, style_names

router = APIRouter(include_in_schema=False)


@router.get("/studio/earnings/days")
async def earnings_by_day(visit: CreatorVisit) -> HTMLResponse:
    """The days that are asked for; wrong ones are told above those that are shown without asking."""
    problem = None
    try:
        days = await days_of(visit, today(visit.now))
    except Problem as wrong:
        problem, days = wrong, days_asked_for(None, None, today(visit.now))
    who: dict[str, Any] = {"creator_id": visit.account.id, "now": visit.now, "currency": visit.web.prices.currency}
    async with visit.web.pool.acquire() as conn:
        found = await earned(conn, days=days, **who)
        forecast = await earnings_forecast(conn, **who)
        prices = await price_watch(conn, **who)
        styles = await _styles(conn, visit, found)
    nothing = Money(0, visit.web.prices.currency)
    return page(
        visit,
        "studio_days.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        days=days,
        total=found.share,
        pictures=found.pictures,
        chart=by_day([(one.day, one.pictures, one.share, nothing) for one in found.by_day]),
        styles=styles,
        foreseen=foreseen(forecast),
        prices=prices,
        fallen=_fallen(prices),
    )


async def _styles(conn: Connection, visit: Member, found: Earned) -> list[PartSum]:
    ids = {one.of for one in found.by_style}
    names = await style_names(conn, ids)
    own = await own_among(conn, ids, creator_id=visit.account.id)
    nothing = Money(0, visit.web.prices.currency)
    return by_part(
        [
            (
                names.get(one.of, one.of),
                "" if one.of in own else gettext("your part of a shared style"),
                f"/studio/styles/{one.of}" if one.of in own else "/studio/shared",
                one.pictures,
                one.share,
                nothing,
            )
            for one in found.by_style
        ]
    )


def _fallen(prices: PriceWatch) -> list[tuple[str, Money, Money, int]]:
    """The tiers whose price fell, from what to what, and by how many percent."""
    return [
        (one.tier, one.before, one.after, (one.before - one.after).amount * 100 // one.before.amount)
        for one in prices.tiers
        if one.has_fallen and one.before is not None and one.after is not None
    ]
