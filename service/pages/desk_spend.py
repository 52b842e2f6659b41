"""What a client spends, as charts: by day and key, and how the month may end."""

from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing import keys
from licensing.analytics.forecasts import spend_forecast
from licensing.analytics.spans import today
from licensing.analytics.spent import Part, spent
from licensing.charges import charges
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.keys import ListedKey
from service.api.shapes import days_asked_for
from service.errors import Problem, refused
from service.languages import gettext
from service.pages.day_charts import PartSum, by_day, by_part, days_of, foreseen
from service.pages.render import page
from service.pages.visits import ClientVisit, Member
from service.styles import style_names

router = APIRouter(include_in_schema=False)


_PER_PAGE = 20


@router.get("/desk/money/spend")
async def spend_page(visit: ClientVisit, before: str | None = None) -> HTMLResponse:
    """The days that are asked for; wrong ones are told above those that are shown without asking. Every charge, by
    pages."""
    problem = None
    try:
        days = await days_of(visit, today(visit.now))
    except Problem as wrong:
        problem, days = wrong, days_asked_for(None, None, today(visit.now))
    client_id, currency = visit.account.id, visit.web.prices.currency
    async with visit.web.pool.acquire() as conn:
        found = await spent(conn, client_id=client_id, days=days, currency=currency)
        forecast = await spend_forecast(conn, client_id=client_id, now=visit.now, currency=currency)
        by_key = await _keys(conn, visit, found.by_key)
        listed = await charges(conn, client_id=client_id, limit=_PER_PAGE + 1, before=before, currency=currency)
        if isinstance(listed, Refusal):
            raise refused(listed)
        names = await style_names(conn, {one.style_id for one in listed if one.style_id})
    return page(
        visit,
        "desk_spend.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        days=days,
        total=found.net + found.tax,
        tax=found.tax,
        chart=by_day([(one.day, one.pictures, one.net + one.tax, one.tax) for one in found.by_day]),
        keys=by_key,
        foreseen=foreseen(forecast),
        charges=listed[:_PER_PAGE],
        older=quote(listed[_PER_PAGE - 1].id) if len(listed) > _PER_PAGE else "",
        is_first=before is None,
        style_names=names,
    )


async def _keys(conn: Connection, visit: Member, found: tuple[Part, ...]) -> list[PartSum]:
    known = {key.id: key for key in await keys.listing(conn, account_id=visit.account.id)}
    return by_part(
        [
            (
                gettext("On these pages") if one.of is None else known[one.of].hint + "…",
                _note(known.get(one.of or "")),
                "" if one.of is None else "/desk/keys",
                one.pictures,
                one.net + one.tax,
                one.tax,
            )
            for one in sorted(found, key=lambda one: one.net + one.tax, reverse=True)
        ]
    )


def _note(key: ListedKey | None) -> str:
    if key is None:
        return gettext("plans, licences and pictures ordered here")
    return gettext("revoked") if key.revoked_at else ""
