"""What the running month will come to, if it goes on as the last weeks did.

The method, in full: what is booked, and for each day to come what the same weekday brought in each of the last
WEEKS_MOST weeks. Every one of those weeks so makes a course that the rest of the month may take. The forecast is the
mean of these courses (rounded down to a whole unit); the range is the poorest and the richest of them. Of today that
part counts which goes beyond what today has booked. It knows no seasons and no holidays; it is arithmetic that anybody
can repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from licensing.analytics.over import EARNED, SPENT, over_until
from licensing.analytics.spans import Span, moment, month_of, today
from licensing.charges import purses
from licensing.database import Connection
from licensing.money import Money

WEEKS_MOST = 8
WEEKS_LEAST = 2
"""One week alone says nothing about how weeks differ."""
_WEEK_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A month ("2025-11") as it stands and as it may end: `low` <= `expected` <= `high`, by `weeks` weeks before today.
    `known` is what is sure to come beside it and is in all three."""

    month: str
    booked: Money
    known: Money
    expected: Money
    low: Money
    high: Money
    weeks: int


def forecast(
    by_day: Mapping[date, int], *, booked: int, known: int, since: date, on: date, currency: str = "EUR"
) -> Forecast | None:
    """The month of the day `on`. None with fewer than WEEKS_LEAST full weeks between `since`, the day of the first
    booking, and `on`.

    `by_day`: minor units of what goes on from day to day, over the last weeks and today. `booked`: everything in the
    month so far. `known`: what is sure to come in it beside that.
    """
    weeks = min(WEEKS_MOST, (on - since).days // _WEEK_DAYS)
    if weeks < WEEKS_LEAST:
        return None
    courses = [_course(by_day, on, week) for week in range(1, weeks + 1)]
    sure = booked + known
    return Forecast(
        month=f"{on:%Y-%m}",
        booked=Money(booked, currency),
        known=Money(known, currency),
        expected=Money(sure + sum(courses) // weeks, currency),
        low=Money(sure + min(courses), currency),
        high=Money(sure + max(courses), currency),
        weeks=weeks,
    )


async def earnings_forecast(
    conn: Connection, *, creator_id: str, now: datetime, currency: str = "EUR"
) -> Forecast | None:
    """What a creator's running month will bring. Its weeks are those of pictures and licences; a training is booked
    where it was charged, and none is expected."""
    day = today(now)
    days = _looked_at(day)
    since = await _first(conn, [f"payable:{creator_id}:{currency}"], 1)
    over = await over_until(conn, since=days.since, until=days.until)
    rows = await conn.fetch(_EARNED, creator_id, currency, over, days.until, days.since)
    return forecast(
        {row["day"]: row["running"] for row in rows},
        booked=sum(row["booked"] for row in rows if row["day"] >= day.replace(day=1)),
        known=0,
        since=since or day,
        on=day,
        currency=currency,
    )


async def spend_forecast(conn: Connection, *, client_id: str, now: datetime, currency: str = "EUR") -> Forecast | None:
    """What a client's running month will cost, before tax. Its weeks are those of pictures that money pays for; plans
    and licences that renew before the month ends are known, at their full price."""
    day = today(now)
    days, end = _looked_at(day), moment(month_of(day).last + timedelta(days=1))
    since = await _first(conn, purses(client_id, currency), -1)
    over = await over_until(conn, since=days.since, until=days.until)
    rows = await conn.fetch(_SPENT, purses(client_id, currency), over, days.until, client_id, currency, days.since)
    return forecast(
        {row["day"]: row["running"] for row in rows},
        booked=sum(row["booked"] for row in rows if row["day"] >= day.replace(day=1)),
        known=await conn.fetchval(_RENEWALS, client_id, currency, now, end),
        since=since or day,
        on=day,
        currency=currency,
    )


# A day's whole sum, and that of it which goes on from week to week.
_EARNED = f"""
    SELECT day, sum(share)::bigint AS booked, sum(running)::bigint AS running FROM ({EARNED}) AS earned GROUP BY day
"""
_SPENT = f"""
    SELECT day, sum(net)::bigint AS booked, sum(running)::bigint AS running FROM ({SPENT}) AS spent GROUP BY day
"""
_RENEWALS = """
    SELECT coalesce(sum(coalesce((next_plan ->> 'price')::bigint, price)), 0)::bigint FROM licensing.allowance
    WHERE client_id = $1 AND currency = $2 AND kind IN ('plan', 'licence') AND state = 'active' AND renews
      AND paused_since IS NULL AND ends_at > $3 AND ends_at < $4
"""


def _looked_at(day: date) -> Span:
    """The days that a forecast made on this one looks at: the last weeks, and the month so far."""
    return Span(first=min(day.replace(day=1), day - timedelta(weeks=WEEKS_MOST)), last=day)


def _course(by_day: Mapping[date, int], on: date, week: int) -> int:
    """What is to come this month if it goes on as in the week that many weeks ago."""
    rest = [
        by_day.get(on - timedelta(weeks=week) + timedelta(days=ahead % _WEEK_DAYS), 0)
        for ahead in range((month_of(on).last - on).days + 1)
    ]
    return max(rest[0] - by_day.get(on, 0), 0) + sum(rest[1:])


async def _first(conn: Connection, accounts: list[str], sign: int) -> date | None:
    """The day on which an account first gained (sign 1) or lost (-1) something."""
    at: datetime | None = await conn.fetchval(
        """
        SELECT min(g.at) FROM unnest($1::text[]) AS one (account_id), LATERAL (
            SELECT e.group_no FROM licensing.entry e
            WHERE e.account_id = one.account_id AND e.amount * $2 > 0 ORDER BY e.group_no LIMIT 1) first
        JOIN licensing.entry_group g USING (group_no)
        """,
        *(accounts, sign),
    )
    return today(at) if at else None
