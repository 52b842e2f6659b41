"""How pages write money, times and counts. Times are UTC and say so. Months and rates are written as papers do."""

from datetime import date, datetime, timedelta

from licensing.money import Money, minor_digits
from licensing.papers import wording


def money(value: Money) -> str:
    """`EUR 1,234.50`: the currency, then the amount with its minor unit."""
    digits = minor_digits(value.currency)
    whole, rest = divmod(abs(value.amount), 10**digits)
    sign = "−" if value.amount < 0 else ""
    return f"{value.currency}\N{NO-BREAK SPACE}{sign}{whole:,}" + (f".{rest:0{digits}d}" if digits else "")


def amount(value: Money) -> str:
    """`1234.50`: as a form's field holds it."""
    digits = minor_digits(value.currency)
    whole, rest = divmod(value.amount, 10**digits)
    return f"{whole}" + (f".{rest:0{digits}d}" if digits else "")


def rate(bps: int) -> str:
    """Hundredths of a percent as short as they can be written: 1900 is `19 %`, 725 is `7.25 %`."""
    return wording.percent(bps) + "\N{NO-BREAK SPACE}%"


def day(moment: date) -> str:
    """`24 November 2026`."""
    return wording.day(moment)


def clock(moment: datetime) -> str:
    """`24 Nov 2026, 14:05 UTC`."""
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def days(first: date, last: date) -> str:
    """From one day to another: `November 2026` where it is a whole month, else `15 October to 30 November 2026`."""
    if first.day == 1 and (last + timedelta(days=1)).day == 1 and (first.year, first.month) == (last.year, last.month):
        return wording.month(f"{first:%Y-%m}")
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%B}{year} to {day(last)}"


def duration(seconds: float) -> str:
    """A length of time as people say it: `12 seconds`, `3 minutes`, `1 hour 20 minutes`."""
    whole = max(1, round(seconds))
    if whole < 90:
        return count(whole, "second")
    minutes = round(whole / 60)
    if minutes < 90:
        return count(minutes, "minute")
    hours, rest = divmod(minutes, 60)
    return count(hours, "hour") + (f" {count(rest, 'minute')}" if rest else "")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `24 pictures`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """`0.734` as `73 %`."""
    return f"{share * 100:.0f}\N{NO-BREAK SPACE}%"


def size(num_bytes: int) -> str:
    """`640 KB`, `2.4 MB`, `871 MB`, `1.3 GB`: two or three digits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.{0 if num_bytes >= 10 * scale else 1}f} {unit}"
    return f"{max(1, num_bytes / 1000):.0f} KB"
