"""The clock of a dispute in writing: every number of days in one place."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SATURDAY = 5


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Days count from moment to moment. Working days are Mondays to Fridays in UTC; holidays are not known."""

    open_days: int = 30
    """For a client or a creator to dispute what was sold. A stranger's claim has no end."""
    after_another_days: int = 7
    """As long at least after another side's dispute about the same output was closed."""
    answer_days: int = 7
    """For the other side to answer."""
    decide_working_days: int = 5
    """For the operator to decide, after the answer or after the time for it."""
    appeal_days: int = 3
    """For a side to appeal, once; until then no decision takes effect."""
    final_working_days: int = 5
    """For the operator to decide again, for good."""


CLOCK = Clock()


def working_days_after(moment: datetime, days: int) -> datetime:
    """The same time of day so many working days later. From a weekend the first is Monday."""
    end = moment.astimezone(UTC)
    while days > 0:
        end += timedelta(days=1)
        days -= end.weekday() < _SATURDAY
    return end
