"""Money by day, by part and as it may go on: charts together with the values that stand in the tables beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from babel.dates import format_date

from licensing.analytics.forecasts import Forecast
from licensing.analytics.spans import Span
from licensing.money import Money, minor_digits
from licensing.sentence import say
from service.api.shapes import days_asked_for
from service.languages import spoken
from service.pages.charts import Bar, Columns, Outlook, columns_of, outlook_of, rows_of
from service.pages.forms import day
from service.pages.visits import Member

WIDTH, HEIGHT = 900, 240
_BAND = 36
_MONTHS_MOST = 6
"""So many months are named under a chart; of more, every second or third."""


@dataclass(frozen=True, kw_only=True)
class DaySum:
    """A day: `tax` is what of its `sum` is tax."""

    day: date
    pictures: int
    sum: Money
    tax: Money
    bar: Bar

    @property
    def is_empty(self) -> bool:
        return not (self.pictures or self.sum.amount)


@dataclass(frozen=True, kw_only=True)
class ByDay:
    """Days as columns. `months` are where those begin that are named under them, and the names; `levels` the lines
    across."""

    columns: Columns
    days: tuple[DaySum, ...]
    months: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, Money], ...]

    @property
    def told(self) -> list[DaySum]:
        """Days on which there was something, the newest first."""
        return [one for one in reversed(self.days) if not one.is_empty]

    @property
    def highest(self) -> DaySum:
        return max(self.days, key=lambda one: one.sum)

    @property
    def levels_are_whole(self) -> bool:
        """True where no line across needs cents."""
        return all(value.amount % 10 ** minor_digits(value.currency) == 0 for _, value in self.levels)


@dataclass(frozen=True, kw_only=True)
class PartSum:
    """A style or a key as a row: `words` name it, the bar runs from `x` over `length`."""

    words: str
    note: str
    href: str
    pictures: int
    sum: Money
    tax: Money
    x: float
    length: float


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """A forecast with its picture."""

    forecast: Forecast
    outlook: Outlook


async def days_of(visit: Member, today: date) -> Span:
    """The days that the page's form asks for; this month and the two before it where it asks for none. Raises
    Problem."""
    typed = {name: visit.request.query_params.get(name, "").strip() for name in ("from", "to")}
    names = {"from": say("From"), "to": say("To")}
    first, last = [day(text, name=names[name]).date() if text else None for name, text in typed.items()]
    return days_asked_for(first, last, today)


def by_day(days: Sequence[tuple[date, int, Money, Money]]) -> ByDay:
    """From days in a row: each with its pictures, its sum and what of that is tax."""
    currency = days[0][2].currency
    columns = columns_of([one.amount for _, _, one, _ in days], width=WIDTH, height=HEIGHT)
    firsts = [at for at, (on, *_) in enumerate(days) if on.day == 1] or [0]
    named = firsts[:: -(-len(firsts) // _MONTHS_MOST)]
    return ByDay(
        columns=columns,
        days=tuple(
            DaySum(day=on, pictures=pictures, sum=total, tax=tax, bar=bar)
            for (on, pictures, total, tax), bar in zip(days, columns.bars, strict=True)
        ),
        months=tuple((columns.bars[at].x, format_date(days[at][0], "MMM", locale=spoken())) for at in named),
        levels=tuple((one.at, Money(one.value, currency)) for one in columns.levels),
    )


def by_part(parts: Sequence[tuple[str, str, str, int, Money, Money]]) -> list[PartSum]:
    """From parts in a row: each with its name, a note, where it leads, its pictures, its sum and its tax."""
    bars = rows_of([total.amount for *_, total, _ in parts], width=WIDTH) if parts else []
    return [
        PartSum(words=words, note=note, href=href, pictures=pictures, sum=total, tax=tax, x=x, length=length)
        for (words, note, href, pictures, total, tax), (x, length) in zip(parts, bars, strict=True)
    ]


def foreseen(found: Forecast | None) -> Foreseen | None:
    """None where it is too early to say."""
    if found is None:
        return None
    low, likely, high = [one.amount for one in (found.low, found.expected, found.high)]
    outlook = outlook_of(found.booked.amount, low=low, likely=likely, high=high, width=WIDTH, height=_BAND)
    return Foreseen(forecast=found, outlook=outlook)
