"""How sums, rates and days are written on paper."""

from datetime import date

from licensing.money import Money


def figure(money: Money) -> str:
    """The number alone, for columns whose heading names the currency: Money(-123456, "EUR") is -1,234.56."""
    whole, point, digits = money.number.partition(".")
    return f"{int(whole):,}{point}{digits}" if int(whole) else money.number


def sum_of(money: Money) -> str:
    """With its currency: 1,234.56 EUR."""
    return f"{figure(money)} {money.currency}"


def percent(bps: int) -> str:
    """A rate in hundredths of a percent, as short as it can be written: 1900 is 19, 725 is 7.25."""
    whole, hundredths = divmod(bps, 100)
    return f"{whole}.{hundredths:02}".rstrip("0").rstrip(".")


def day(value: date) -> str:
    """29 November 2026: no country reads it as another day."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def period(since: date, until: date) -> str:
    """1 to 30 November 2026, or 15 November 2026 to 14 December 2026."""
    first = str(since.day) if (since.year, since.month) == (until.year, until.month) else day(since)
    return f"{first} to {day(until)}"


def month(text: str) -> str:
    """ "2026-11" is November 2026. Raises ValueError for what is no month."""
    first = date.fromisoformat(f"{text}-01")
    return f"{_MONTHS[first.month - 1]} {first.year}"


# Not strftime, whose names follow the locale of the process.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def country(code: str) -> str:
    """The name of the country with an ISO 3166-1 code: "DE" is Germany; a code that is not listed here stays a code."""
    return _COUNTRIES.get(code, code)


_COUNTRIES = {
    "AD": "Andorra",
    "AL": "Albania",
    "AT": "Austria",
    "AU": "Australia",
    "BA": "Bosnia and Herzegovina",
    "BE": "Belgium",
    "BG": "Bulgaria",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "Switzerland",
    "CN": "China",
    "CY": "Cyprus",
    "CZ": "Czechia",
    "DE": "Germany",
    "DK": "Denmark",
    "EE": "Estonia",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "GR": "Greece",
    "HR": "Croatia",
    "HU": "Hungary",
    "IE": "Ireland",
    "IL": "Israel",
    "IN": "India",
    "IS": "Iceland",
    "IT": "Italy",
    "JP": "Japan",
    "KR": "South Korea",
    "LI": "Liechtenstein",
    "LT": "Lithuania",
    "LU": "Luxembourg",
    "LV": "Latvia",
    "MC": "Monaco",
    "MD": "Moldova",
    "ME": "Montenegro",
    "MK": "North Macedonia",
    "MT": "Malta",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "PL": "Poland",
    "PT": "Portugal",
    "RO": "Romania",
    "RS": "Serbia",
    "SE": "Sweden",
    "SG": "Singapore",
    "SI": "Slovenia",
    "SK": "Slovakia",
    "SM": "San Marino",
    "TR": "Türkiye",
    "UA": "Ukraine",
    "US": "United States",
    "VA": "Vatican City",
    "XK": "Kosovo",
    "ZA": "South Africa",
}
