"""How pages write money, times and lengths of time, and how they read what people type."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from licensing.money import Money
from service import formats
from service.errors import Problem
from service.languages import speaking
from service.pages.forms import day, price, whole_number


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (120, "EUR", "EUR 1.20"),
        (5, "EUR", "EUR 0.05"),
        (0, "EUR", "EUR 0.00"),
        (123_456_789, "EUR", "EUR 1,234,567.89"),
        (-250, "EUR", "EUR −2.50"),
        (1200, "JPY", "JPY 1,200"),
        (1234, "KWD", "KWD 1.234"),
    ],
)
def test_money_is_written_with_its_currency_and_minor_unit(amount: int, currency: str, written: str):
    assert formats.money(Money(amount, currency)).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("typed", "currency", "amount"),
    [("1.20", "EUR", 120), ("1,2", "EUR", 120), ("0", "EUR", 0), ("1200", "JPY", 1200), ("0.005", "KWD", 5)],
)
def test_typed_amounts_become_minor_units(typed: str, currency: str, amount: int):
    assert price(typed, currency=currency, name="Price") == Money(amount, currency)


@pytest.mark.parametrize("typed", ["", "free", "-1", "1.234", "1,234.50", "nan", "inf", "1e30"])
def test_what_is_no_amount_is_refused_with_the_value(typed: str):
    with pytest.raises(Problem) as refused:
        price(typed, currency="EUR", name="Price")

    assert refused.value.slug == "invalid_request"
    assert repr(typed) in refused.value.detail


@pytest.mark.parametrize("amount", [0, 5, 60, 2900])
def test_an_amount_survives_the_form(amount: int):
    written = formats.amount(Money(amount, "EUR"))

    assert price(written, currency="EUR", name="Price").amount == amount


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.2, "1 second"),
        (45, "45 seconds"),
        (89, "89 seconds"),
        (91, "2 minutes"),
        (3000, "50 minutes"),
        (5400, "1 hour 30 minutes"),
        (7200, "2 hours"),
    ],
)
def test_lengths_of_time_are_written_as_people_say_them(seconds: float, written: str):
    assert formats.duration(seconds) == written


def test_times_are_utc_and_say_so():
    moment = datetime(2026, 3, 4, 15, 6, tzinfo=UTC)

    assert formats.clock(moment) == "4 Mar 2026, 15:06 UTC"
    assert formats.day(moment) == "4 March 2026"


def test_counts_know_one_from_many():
    assert [formats.count(number, "picture") for number in (0, 1, 1200)] == [
        "0 pictures",
        "1 picture",
        "1,200 pictures",
    ]


def test_a_number_that_is_none_is_refused():
    with pytest.raises(Problem, match="'three' is no whole number"):
        whole_number("three", name="Number of pictures")


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [
        (0, "1 KB"),
        (640_000, "640 KB"),
        (999_999, "1000 KB"),
        (2_400_000, "2.4 MB"),
        (870_800_000, "871 MB"),
        (1_310_000_000, "1.3 GB"),
    ],
)
def test_sizes_are_said_in_the_unit_that_suits_them(num_bytes, words):
    assert formats.size(num_bytes) == words


def test_rates_are_as_short_as_they_can_be():
    assert [formats.rate(bps) for bps in (1900, 725, 550, 0, 10_000)] == [
        f"{number}\N{NO-BREAK SPACE}%" for number in ("19", "7.25", "5.5", "0", "100")
    ]


@pytest.mark.parametrize(
    ("first", "last", "written"),
    [
        (date(2026, 11, 1), date(2026, 11, 30), "November 2026"),
        (date(2026, 11, 2), date(2026, 11, 30), "2 November to 30 November 2026"),
        (date(2026, 12, 1), date(2027, 1, 31), "1 December 2026 to 31 January 2027"),
    ],
)
def test_whole_months_are_named_and_other_times_told_by_their_days(first: date, last: date, written: str):
    assert formats.days(first, last) == written


@pytest.mark.parametrize("typed", ["", "soon", "2026-02-30"])
def test_what_is_no_day_is_refused_with_the_value(typed: str):
    with pytest.raises(Problem, match=f"Until: '{typed}' is no day"):
        day(typed, name="Until")
    assert day("2026-11-24", name="Until") == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "german"),
    [
        (lambda: formats.money(Money(123_450, "EUR")), "1.234,50 EUR"),
        (lambda: formats.money(Money(-250, "EUR")), "−2,50 EUR"),
        (lambda: formats.money(Money(1200, "JPY")), "1.200 JPY"),
        (lambda: formats.rate(725), "7,25 %"),
        (lambda: formats.rate(1900), "19 %"),
        (lambda: formats.tenths(1234.56), "1.234,6"),
        (lambda: formats.percent(0.734), "73 %"),
        (lambda: formats.day(date(2026, 11, 24)), "24. November 2026"),
        (lambda: formats.month("2026-03"), "März 2026"),
        (lambda: formats.days(date(2026, 11, 1), date(2026, 11, 30)), "November 2026"),
        (lambda: formats.days(date(2026, 10, 15), date(2026, 11, 30)), "15. Oktober bis 30. November 2026"),
        (
            lambda: formats.days(date(2026, 12, 1), date(2027, 1, 31)),
            "1. Dezember 2026 bis 31. Januar 2027",
        ),
        (lambda: formats.clock(datetime(2026, 11, 4, 15, 6, tzinfo=UTC)), "4. Nov. 2026, 15:06 UTC"),
        (lambda: formats.duration(6000), "1 Stunde 40 Minuten"),
        (lambda: formats.duration(0.2), "1 Sekunde"),
        (lambda: formats.size(2_400_000), "2,4 MB"),
        (lambda: formats.size(640_000), "640 KB"),
        (lambda: formats.count(1200, "minute", "minutes"), "1.200 Minuten"),
        (lambda: formats.amount(Money(123_450, "EUR")), "1234.50"),
    ],
)
def test_germans_read_figures_as_they_write_them(written: Callable[[], str], german: str):
    with speaking("de"):
        assert written().replace("\N{NO-BREAK SPACE}", " ") == german


def test_money_is_kept_on_one_line_in_german():
    with speaking("de"):
        assert formats.money(Money(5, "EUR")) == "0,05\N{NO-BREAK SPACE}EUR"
