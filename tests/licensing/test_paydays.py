"""On which days creators are paid: Mondays and firsts of a month in UTC, whenever somebody looks."""

import calendar
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from licensing.payees import last_payday, next_payday
from tests.licensing.paying import OTHER_ACCOUNT, SHARE, due, end, opened, put, refund, sell, seller, sums
from tests.licensing.world import World, eur


def test_paydays_are_mondays_and_firsts_of_months_on_every_day_of_three_years():
    """36 months with a leap day in them, hour by hour, against a calendar."""
    moment, end_at = datetime(2027, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    week = calendar.Calendar()
    while moment < end_at:
        days = list(week.itermonthdates(moment.year, moment.month))
        monday = max(day for day in days if day.weekday() == calendar.MONDAY and day <= moment.date())

        assert last_payday("weekly", moment) == datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
        assert last_payday("monthly", moment) == datetime(moment.year, moment.month, 1, tzinfo=UTC)
        assert last_payday("never", moment) is None
        moment += timedelta(hours=1)


@pytest.mark.parametrize(
    ("now", "weekly", "monthly"),
    [
        (datetime(2028, 2, 29, 23, 59, tzinfo=UTC), date(2028, 3, 6), date(2028, 3, 1)),
        (datetime(2028, 1, 31, tzinfo=UTC), date(2028, 2, 7), date(2028, 2, 1)),
        (datetime(2027, 12, 31, 12, tzinfo=UTC), date(2028, 1, 3), date(2028, 1, 1)),
        # Still February in UTC.
        (datetime(2027, 3, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin")), date(2027, 3, 1), date(2027, 3, 1)),
        # Already April in UTC, on the last day of March in New York.
        (datetime(2027, 3, 31, 21, tzinfo=ZoneInfo("America/New_York")), date(2027, 4, 5), date(2027, 5, 1)),
    ],
)
def test_the_next_payday_comes_after_now(now: datetime, weekly: date, monthly: date):
    assert next_payday("weekly", now) == datetime(weekly.year, weekly.month, weekly.day, tzinfo=UTC)
    assert next_payday("monthly", now) == datetime(monthly.year, monthly.month, monthly.day, tzinfo=UTC)
    assert next_payday("never", now) is None


async def test_who_has_the_minimum_on_the_payday_is_due_until_paid(world: World):
    world.now = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday; four days later sales are from before the Monday
    weekly = await seller(world, pictures=10, minimum=eur(500))
    monthly = await seller(world, pictures=10, minimum=eur(500), schedule="monthly")
    never = await seller(world, pictures=10, minimum=eur(500), schedule="never")
    poor = await seller(world, pictures=10, minimum=eur(511))
    ours = {style.creator_id for style in (weekly, monthly, never, poor)}

    async def due_at(*moment: int) -> set[str]:
        world.now = datetime(*moment, tzinfo=UTC)
        return (await due(world)).keys() & ours

    assert await due_at(2026, 3, 22, 23, 59) == {weekly.creator_id}
    assert await due_at(2026, 3, 23) == {weekly.creator_id}
    assert await due_at(2026, 3, 31, 23, 59) == {weekly.creator_id}
    assert await due_at(2026, 4, 1) == {weekly.creator_id, monthly.creator_id}
    payout = await opened(world, weekly.creator_id)
    assert await due_at(2026, 4, 2) == {monthly.creator_id}
    await end(world, payout.id)
    await sell(world, weekly, 10)
    assert await due_at(2026, 4, 5) == {monthly.creator_id}
    assert await due_at(2026, 4, 6) == {weekly.creator_id, monthly.creator_id}


async def test_what_came_together_after_the_payday_waits_for_the_next(world: World):
    world.now = datetime(2026, 6, 10, tzinfo=UTC)  # a Wednesday
    style = await seller(world, pictures=9, minimum=eur(500))
    world.now = datetime(2026, 6, 15, tzinfo=UTC)  # the Monday, to the second
    await sell(world, style, 1)

    world.now = datetime(2026, 6, 21, 23, 59, 59, tzinfo=UTC)
    waiting = await due(world)
    world.now = datetime(2026, 6, 22, tzinfo=UTC)
    await sell(world, style, 1)

    assert style.creator_id not in waiting
    # What was earned since goes along.
    assert (await due(world))[style.creator_id] == 11 * SHARE


async def test_who_has_no_longer_the_minimum_is_not_due(world: World):
    world.now = datetime(2026, 9, 2, tzinfo=UTC)
    style = await seller(world, pictures=0, minimum=eur(500))
    order_id = await sell(world, style, 10)
    world.now = datetime(2026, 9, 8, tzinfo=UTC)
    assert style.creator_id in await due(world)

    await refund(world, f"out_{order_id}_3")

    assert style.creator_id not in await due(world)


async def test_a_payout_that_failed_is_tried_again_at_the_next_payday(world: World):
    world.now = datetime(2026, 10, 1, tzinfo=UTC)
    style = await seller(world, pictures=10)
    world.now = datetime(2026, 10, 12, 9, tzinfo=UTC)  # a Monday
    payout = await opened(world, style.creator_id)
    await end(world, payout.id, "failed", "r")
    world.now = datetime(2026, 10, 18, 23, tzinfo=UTC)

    assert style.creator_id not in await due(world)
    world.now = datetime(2026, 10, 19, tzinfo=UTC)
    assert style.creator_id in await due(world)


async def test_nobody_is_due_whose_account_was_changed_lately(world: World):
    world.now = datetime(2026, 11, 4, tzinfo=UTC)
    style = await seller(world, pictures=10)
    world.now = datetime(2026, 11, 9, 9, tzinfo=UTC)
    assert style.creator_id in await due(world)

    await put(world, style.creator_id, account=OTHER_ACCOUNT)
    world.later(hours=71)

    assert style.creator_id not in await due(world)
    world.later(hours=1)
    assert style.creator_id in await due(world)


@dataclass
class Diary:
    """What should happen to one creator, by a calendar alone."""

    schedule: str
    minimum: int
    earned: list[tuple[datetime, int]] = field(default_factory=list)
    paid: list[tuple[datetime, int]] = field(default_factory=list)

    def free(self, until: datetime) -> int:
        """What was earned before a moment, less all that was paid before it."""
        return sum(amount for at, amount in self.earned if at < until) - sum(
            amount for at, amount in self.paid if at < until
        )

    def is_due(self, now: datetime) -> bool:
        day = now.date()
        while day.day != 1 if self.schedule == "monthly" else day.isoweekday() != 1:
            day -= timedelta(days=1)
        payday = datetime(day.year, day.month, day.day, tzinfo=UTC)
        has_one = any(at >= payday for at, _ in self.paid)
        return self.schedule != "never" and not has_one and self.free(payday) >= self.minimum


@pytest.mark.parametrize("months", [6, pytest.param(36, marks=pytest.mark.long)])
async def test_schedules_keep_to_the_calendar_whenever_somebody_looks(world: World, months: int):
    """From before a leap day on: sales at any hour, a look now and then, each creator paid on their days alone."""
    dice = random.Random(20261129)
    world.now = datetime(2027, 12, 28, tzinfo=UTC)
    diaries: dict[str, Diary] = {}
    styles = {}
    for schedule, minimum in (("weekly", 100), ("weekly", 400), ("monthly", 100), ("monthly", 700), ("never", 100)):
        style = await seller(world, pictures=0, schedule=schedule, minimum=eur(minimum))
        styles[style.creator_id], diaries[style.creator_id] = style, Diary(schedule, minimum)
    end_at = world.now + timedelta(days=30.5 * months)

    while world.now < end_at:
        world.later(hours=dice.choice([1, 5, 11, 24, 24, 24, 72]))
        if dice.random() < 0.4:
            creator = dice.choice(list(styles))
            pictures = dice.randint(1, 5)
            await sell(world, styles[creator], pictures)
            diaries[creator].earned.append((world.now, SHARE * pictures))
        if dice.random() < 0.6:
            found = {creator: amount for creator, amount in (await due(world)).items() if creator in diaries}
            assert found.keys() == {creator for creator, diary in diaries.items() if diary.is_due(world.now)}, world.now
            for creator, amount in found.items():
                payout = await opened(world, creator)
                await end(world, payout.id)
                assert payout.amount == eur(amount)
                diaries[creator].paid.append((world.now, amount))

    for creator, diary in diaries.items():
        earned, paid = sum(amount for _, amount in diary.earned), sum(amount for _, amount in diary.paid)
        assert await sums(world, creator) == (earned - paid, 0, 0, paid)
        assert bool(diary.paid) == (diary.schedule != "never")
