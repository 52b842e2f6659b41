"""How pages write money, times and counts, in the language that is spoken. Times are UTC and say so.

In English months and rates are written as papers do. Examples are English; `service.languages.figures` has the others.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal

from licensing.money import Money, minor_digits
from licensing.papers import wording
from service.languages import ENGLISH, figures, gettext, ngettext, spoken


def money(value: Money) -> str:
    """`EUR 1,234.50`: the currency, then the amount with its minor unit."""
    if spoken() != ENGLISH:
        return figures.money(value, spoken())
    digits = minor_digits(value.currency)
    whole, rest = divmod(abs(value.amount), 10**digits)
    sign = "−" if value.amount < 0 else ""
    return f"{value.currency}\N{NO-BREAK SPACE}{sign}{whole:,}" + (f".{rest:0{digits}d}" if digits else "")


def amount(value: Money) -> str:
    """`1234.50`: as a form's field holds it, in every language."""
    digits = minor_digits(value.currency)
    whole, rest = divmod(value.amount, 10**digits)
    return f"{whole}" + (f".{rest:0{digits}d}" if digits else "")


def rate(bps: int) -> str:
    """Hundredths of a percent as short as they can be written: 1900 is `19 %`, 725 is `7.25 %`."""
    share = wording.percent(bps) if spoken() == ENGLISH else figures.short_number(Decimal(bps) / 100, spoken())
    return share + "\N{NO-BREAK SPACE}%"


def day(moment: date) -> str:
    """`24 November 2026`."""
    return wording.day(moment) if spoken() == ENGLISH else figures.day(moment, spoken())


def month(text: str) -> str:
    """`2026-11` as `November 2026`. Raises ValueError for what is no month."""
    if spoken() == ENGLISH:
        return wording.month(text)
    return figures.month(date.fromisoformat(f"{text}-01"), spoken())


def clock(moment: datetime) -> str:
    """`24 Nov 2026, 14:05 UTC`."""
    if spoken() != ENGLISH:
        return figures.clock(moment, spoken())
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def days(first: date, last: date) -> str:
    """From one day to another: `November 2026` where it is a whole month, else `15 October to 30 November 2026`."""
    if first.day == 1 and (last + timedelta(days=1)).day == 1 and (first.year, first.month) == (last.year, last.month):
        return month(f"{first:%Y-%m}")
    if first.year != last.year:
        began = day(first)
    elif spoken() == ENGLISH:
        began = f"{first.day} {first:%B}"
    else:
        began = figures.day_of_year(first, spoken())
    return gettext("{first} to {last}").format(first=began, last=day(last))


def duration(seconds: float) -> str:
    """A length of time as people say it: `12 seconds`, `3 minutes`, `1 hour 20 minutes`."""
    whole = max(1, round(seconds))
    if whole < 90:
        return count(whole, "second", "seconds")
    minutes = round(whole / 60)
    if minutes < 90:
        return count(minutes, "minute", "minutes")
    hours, rest = divmod(minutes, 60)
    return count(hours, "hour", "hours") + (f" {count(rest, 'minute', 'minutes')}" if rest else "")


def stopwatch(seconds: float) -> str:
    """A length of time that is watched: `0:48`, `12:05`, minutes and seconds."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def numeral(number: int) -> str:
    """`1,200`."""
    return f"{number:,}" if spoken() == ENGLISH else figures.number(number, spoken())


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `24 pictures`; to be translated, both are said."""
    return f"{numeral(number)} {ngettext(one, many or one + 's', number)}"


def inline(words: str) -> str:
    """Words that begin a line, as they are written within one: English in small letters, others as they are."""
    return words.lower() if spoken() == ENGLISH else words


def tenths(number: float) -> str:
    """`3.4`: with one digit after the point."""
    return f"{number:.1f}" if spoken() == ENGLISH else figures.number(number, spoken(), digits=1)


def percent(share: float) -> str:
    """`0.734` as `73 %`."""
    return f"{share * 100:.0f}\N{NO-BREAK SPACE}%"


def size(num_bytes: int) -> str:
    """`640 KB`, `2.4 MB`, `871 MB`, `1.3 GB`: two or three digits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if num_bytes >= scale:
            digits = 0 if num_bytes >= 10 * scale else 1
            amount = num_bytes / scale
            written = f"{amount:.{digits}f}" if spoken() == ENGLISH else figures.number(amount, spoken(), digits=digits)
            return f"{written} {unit}"
    return f"{max(1, num_bytes / 1000):.0f} KB"
