"""Days in UTC over which sums are asked for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from licensing.errors import Refusal, refuse
from licensing.sentence import say

DAYS_MOST = 400
"""A year and the month before it, so that both can be compared."""
_YEARS = range(1970, 9999)
_DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
"""Sums end before a moment; `now` plus this is the end of one in which what is of this very moment is."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Days in UTC from `first` to `last`, both in it."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """Its first moment."""
        return moment(self.first)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return moment(self.last + _DAY)

    @property
    def days(self) -> list[date]:
        return [self.first + _DAY * number for number in range((self.last - self.first).days + 1)]


def span(first: date, last: date) -> Span | Refusal:
    """The days from `first` to `last`. Refusal: invalid_request (the wrong way round, more than DAYS_MOST)."""
    if not (first <= last and {first.year, last.year} <= set(_YEARS)):
        return refuse(
            "invalid_request",
            what=say("{first} to {last} is no range of days; give the earlier day first", first=first, last=last),
        )
    if (last - first).days >= DAYS_MOST:
        return refuse(
            "invalid_request",
            what=say(
                "{first} to {last} is more than {most} days; ask for fewer", first=first, last=last, most=DAYS_MOST
            ),
        )
    return Span(first=first, last=last)


def months_over(days: Span, today: date) -> Span | None:
    """Of these days the whole months that are over, None where there is none."""
    first = days.first if days.first.day == 1 else _next_month(days.first)
    end = min(days.last + _DAY, today).replace(day=1)
    return Span(first=first, last=end - _DAY) if first < end else None


def month_of(day: date) -> Span:
    """The month that a day lies in."""
    return Span(first=day.replace(day=1), last=_next_month(day) - _DAY)


def moment(day: date) -> datetime:
    """When a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def today(now: datetime) -> date:
    """The day of a moment."""
    return now.astimezone(UTC).date()


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
